"""Tests of `p2ptwisted.node.resource_list`."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import NAMES_MAX, ResourceInfo
from p2ptwisted.node.resource_list import ResourceList

NAMES = st.sampled_from("abcdefgh")
IDS = st.sampled_from("xyz")


def expected(files: dict[str, str]) -> list[ResourceInfo]:
    """What the list is where these files have these ids."""
    ids = {files[name]: name for name in sorted(files, reverse=True)}
    others = {id: tuple(n for n in sorted(files) if files[n] == id and n != ids[id]) for id in ids}
    listed = [ResourceInfo(id, name, 7, other_names=others[id]) for id, name in ids.items()]
    return sorted(listed, key=lambda one: one.name)


class ResourceListTests(SynchronousTestCase):
    """Each content once, with all its names."""

    def made(self, names: Iterable[str]) -> ResourceList:
        made = ResourceList()
        for name in names:
            made.add(name, "x", 7)
        return made

    @given(st.lists(st.tuples(NAMES, IDS)))
    def test_any_order(self, changes: list[tuple[str, str]]) -> None:
        """In whatever order files come and go, the list is what the files are."""
        made, files = ResourceList(), dict[str, str]()
        for name, id in changes:
            if name in files:
                made.remove(name, files.pop(name))
            else:
                made.add(name, id, 7)
                files[name] = id
            self.assertEqual(made.all(), expected(files))
            self.assertEqual(len(made), len(set(files.values())))
            for one in "xyz":
                here = sorted(name for name, id in files.items() if id == one)
                self.assertEqual(list(made.names(one)), here)
                self.assertEqual(made.get(one) is None, not here)

    def test_many_names(self) -> None:
        """Of very many names the first are told; when they go, those behind them are."""
        names = [f"{number:04}" for number in range(NAMES_MAX + 2)]
        made = self.made(reversed(names))
        told = made.get("x")
        assert told is not None
        self.assertEqual([told.name, *told.other_names], names[:NAMES_MAX])
        self.assertEqual(list(made.names("x")), names)
        made.remove(names[0], "x")
        told = made.get("x")
        assert told is not None
        self.assertEqual([told.name, *told.other_names], names[1 : NAMES_MAX + 1])
