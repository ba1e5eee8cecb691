"""Tests of `p2ptwisted.node.passes`: a real folder, which goes while it is gone through."""

from collections.abc import Callable, Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import FileStamp
from p2ptwisted.node.folder_walk import Entry
from p2ptwisted.node.passes import Passes
from p2ptwisted.transfer.shared_folder import SharedFolder


class PassesTests(SynchronousTestCase):
    """What one pass takes for found, and for gone."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).resolve()
        self.path.mkdir()
        self.stamp = FileStamp.of(self.path.stat())
        self.folder = SharedFolder(self.path)
        self.folder.look()
        self.found: list[str] = []
        self.new: list[list[str]] = []
        self.gone: list[str] = []
        self.passes = Passes(self.folder, self.take, self.take_over, self.gone.append)

    def take(self, entry: Entry) -> bool:
        self.found.append(entry.name)
        return entry.name == "new"

    def take_over(self, gone: set[str], new: list[str]) -> Iterator[None]:
        self.new.append(new)
        yield

    def leave(self) -> None:
        self.path.rename(self.path.with_name("away"))

    def go_through(self, *steps: str | Callable[[], object]) -> bool:
        """Go through what consists of these names, between which other things happen."""

        def find() -> Iterator[Entry | None]:
            for step in steps:
                if isinstance(step, str):
                    yield Entry(step, self.stamp)
                else:
                    step()

        going = self.passes.go_through(find, {"a", "b", "c"})
        while True:
            try:
                next(going)
            except StopIteration as end:
                return bool(end.value)

    def test_whole(self) -> None:
        """In the end what was not found is gone, unless it was seen otherwise."""
        self.assertTrue(self.go_through("a", "new", lambda: self.passes.seen("b")))
        self.assertEqual(self.found, ["a", "new"])
        self.assertEqual(self.new, [["new"]])
        self.assertEqual(self.gone, ["c"])

    def test_gone_before(self) -> None:
        """Where the folder is gone nothing is looked for."""
        self.leave()
        self.assertFalse(self.go_through("a"))
        self.assertEqual((self.found, self.gone), ([], []))

    def test_gone_meanwhile(self) -> None:
        """Where it is noticed meanwhile that the folder is gone, the rest says nothing."""
        self.assertFalse(self.go_through("a", self.leave, self.folder.look, "b"))
        self.assertEqual((self.found, self.new, self.gone), (["a"], [], []))

    def test_back_meanwhile(self) -> None:
        """So it is where it is back already: what was not found may have been away."""

        def back() -> None:
            self.path.with_name("away").rename(self.path)

        self.assertFalse(self.go_through(self.leave, self.folder.look, back, self.folder.look))
        self.assertEqual(self.gone, [])

    def test_gone_in_the_end(self) -> None:
        """Before anything is taken for gone the folder itself is looked at."""
        self.assertFalse(self.go_through("a", self.leave))
        self.assertEqual((self.found, self.new, self.gone), (["a"], [], []))

    def test_gone_while_taking_over(self) -> None:
        """It may go between two names as well."""
        self.passes = Passes(self.folder, self.take, self.take_over, self.forget)
        self.assertFalse(self.go_through("a"))
        self.assertEqual(len(self.gone), 1)

    def forget(self, name: str) -> None:
        self.gone.append(name)
        self.leave()
        self.folder.look()
