"""Tests of the names that a resource has besides its first one, in the registry."""

from msgspec import UNSET

from p2ptwisted.errors import Unavailable
from p2ptwisted.model import NAMES_MAX, HeldFile, Holding, NodeInfo, ResourceInfo
from p2ptwisted.supernode.registry import wanted_rows, writer
from p2ptwisted.test.supernode.registry.test_registry import (
    A,
    B,
    C,
    RegistryTestCase,
)


def named(name: str, *others: str, id: str = "x", partial: bool = False) -> ResourceInfo:
    return ResourceInfo(id, name, 7, partial, others)


class OtherNamesTests(RegistryTestCase):
    """One content that one node has under several names."""

    def told(self, part: str | None = None, node_name: str | None = None) -> list[list[str]]:
        """All names of each resource that is found."""
        return [found.file.names for found in self.find(part, node_name)]

    def rows(self) -> int:
        """How many rows there are for all names."""
        database = self.registry._db
        ((count,),) = database.rows("SELECT count(*) FROM holdings")
        return int(count)

    def test_found(self) -> None:
        """It is found by each of its names, short parts too, and told by the one asked for."""
        self.register(A, named("data/One.bin", "other.bin", "a/two.bin"))
        for asked, told in (
            ("One.bin", ["data/One.bin", "other.bin", "a/two.bin"]),
            ("one", ["data/One.bin", "other.bin", "a/two.bin"]),
            ("two.bin", ["a/two.bin", "data/One.bin", "other.bin"]),
            ("OTHER", ["other.bin", "data/One.bin", "a/two.bin"]),
            ("tw", ["a/two.bin", "data/One.bin", "other.bin"]),
        ):
            (found,) = self.find(asked)
            self.assertEqual(found.file.names, told, asked)
            self.assertEqual((found.file.locations, found.file.size), ([A.location], 7))
            self.assertEqual(self.told(asked, A.name), [told])
            self.assertEqual([one.id for one in self.find(asked, ids=["x"])], ["x"])
        self.assertEqual(self.told("three"), [])

    def test_whole_name_first(self) -> None:
        """It is told by the whole name that was asked for, wherever others have that in theirs."""
        self.register(A, named("old-b.bin", "b.bin.bak", "b.bin"))
        self.register(B, named("new-b.bin"))
        self.assertEqual(self.told("b.bin"), [["b.bin", "new-b.bin", "old-b.bin", "b.bin.bak"]])

    def test_one_resource(self) -> None:
        """It is one resource, with one holder; who asks by id is told its first name alone."""
        self.register(A, named("a", "b", "c"))
        found = Holding("x", HeldFile(A.location, [A.location], "a", 7))
        self.assertEqual(self.registry.holdings(["x"]), [found])
        self.assertEqual(self.registry.holdings(["x", "y"]), [found])
        holders = self.registry.holders("x")
        self.assertEqual((holders.locations, holders.partial), ([A.location], []))
        self.assertEqual((holders.name, holders.other_names), ("a", ["b", "c"]))
        self.assertEqual(self.told(node_name=A.name), [["a", "b", "c"]])
        self.assertEqual(len(self.find(ids=["x"])), 1)

    def test_several_nodes(self) -> None:
        """Names that nodes have in common are told once, and those of one node are that node's."""
        self.register(A, named("a", "b"))
        self.register(B, named("b", "c"))
        (found,) = self.find("c")
        self.assertEqual(found.file.locations, [B.location, A.location])
        self.assertEqual(found.file.names, ["c", "b", "a"])
        self.assertEqual(self.told("c", A.name), [])
        self.assertEqual(self.told("a", A.name), [["a", "b"]])
        self.assertEqual(self.registry.holders("x").names, ["b", "a", "c"])
        self.registry.remove(B.location)
        self.slices.run()
        self.assertEqual(self.told("c"), [])
        self.assertEqual(self.told("b"), [["b", "a"]])

    def test_part(self) -> None:
        """The names of who has only a part are not found, as it isn't."""
        self.register(A, named("a.bin", "b.bin", partial=True))
        for part in ("a.bin", "b.bin", "b."):
            self.assertEqual(self.told(part), [])
        holders = self.registry.holders("x")
        self.assertEqual((holders.locations, holders.partial), ([], [A.location]))
        self.register(A, named("a.bin", "b.bin"))
        self.assertEqual(self.told("b.bin"), [["b.bin", "a.bin"]])

    def test_crowd(self) -> None:
        """So are those of the later ones of very many nodes at one address."""
        for port in range(1, 40):
            self.register(NodeInfo("", f"10.0.0.9:{port}"), named("a.bin", f"number-{port:02}.bin"))
        for port in (1, 39):
            (found,) = self.find(f"number-{port:02}")
            self.assertEqual(found.file.name, f"number-{port:02}.bin")
        self.assertEqual(len(self.registry.holders("x").locations), 32)

    def test_always_there(self) -> None:
        """Whichever name comes or goes, there is no moment in which the resource isn't found."""
        self.patch(writer, "WRITE_SLICE", 1)
        lists = (
            ["b", "c"],
            ["c"],
            ["a", "c", "d"],
            ["c", "a"],
            ["e", "a", "f"],
            ["g"],
        )
        other = named("1", "2", id="y")
        self.register(A, named(*lists[0]), other)
        for names in lists[1:]:
            registered = self.registry.register(A, [named(*names), other])
            while self.slices.busy:
                self.slices.step()
                self.assertEqual(self.locations("x"), [A.location])
                self.assertEqual(self.registry.holders("x").locations, [A.location])
                self.assertEqual(self.locations("y"), [A.location])
            self.successResultOf(registered)
            self.assertEqual(self.registry.holdings(["x"])[0].file.name, names[0])
            self.assertEqual(self.registry.holders("x").names[0], names[0])
            self.assertEqual(set(self.registry.holders("x").names), set(names))
            self.assertEqual(self.rows(), len(names) + 2)
            for gone in set("abcdefg") - set(names):
                self.assertEqual(self.told(gone), [])

    def test_size_becomes_known(self) -> None:
        """Nor is there one when something else of it changes."""
        self.register(A, ResourceInfo("x", "a", None, other_names=("b",)))
        registered = self.registry.register(A, [named("a", "b")])
        while self.slices.busy:
            self.slices.step()
            self.assertEqual(self.locations("x"), [A.location])
        self.successResultOf(registered)
        self.assertEqual(self.registry.holdings(["x"])[0].file.size, 7)
        self.assertEqual(self.rows(), 2)

    def test_one_name(self) -> None:
        """Where it has one name there are no others, however often that comes."""
        self.register(A, named("a", "a"), named("a", "a"))
        self.register(B, named("a"))
        self.assertIs(self.find("a")[0].file.other_names, UNSET)
        self.assertIs(self.registry.holders("x").other_names, UNSET)
        self.assertEqual(self.rows(), 2)

    def test_listed_twice(self) -> None:
        """The names of an id that comes twice in a list are all found; the first entry counts."""
        self.register(
            A, ResourceInfo("x", "a", 1), ResourceInfo("x", "b", 2, True, ("c",)), named("d")
        )
        (found,) = self.registry.holdings(["x"])
        self.assertEqual((found.file.name, found.file.size), ("a", 1))
        self.assertEqual(self.told("c"), [["c", "a", "b", "d"]])

    def test_most_names(self) -> None:
        """Of one id so many names are kept, and no more; so it is of all together."""
        names = [f"name-{number:03}" for number in range(NAMES_MAX + 5)]
        self.register(A, named(*names))
        self.register(B, *map(named, names))
        self.assertEqual(self.rows(), 2 * NAMES_MAX)
        self.assertEqual(len(self.told(names[NAMES_MAX - 1])), 1)
        self.assertEqual(self.told(names[NAMES_MAX]), [])
        self.patch(wanted_rows, "OTHER_NAMES_MAX", 3)
        self.register(A, named("a", "b", "c"), named("d", "e", "f", id="y"))
        self.registry.remove(B.location)
        self.slices.run()
        self.assertEqual(self.rows(), 2 + 3)

    def test_names_told(self) -> None:
        """An answer tells so many names of one resource, those most like the one asked for."""
        names = [f"name-{number:03}" for number in range(NAMES_MAX)]
        self.register(A, named(*names))
        self.register(B, named(*(f"other-{name}" for name in names)))
        for found in (self.told("other-name-099")[0], self.registry.holders("x").names):
            self.assertEqual(len(found), NAMES_MAX)
        self.assertEqual(self.told("other-name-099")[0][0], "other-name-099")

    def test_counted(self) -> None:
        """Each name takes up a place among those that a supernode has."""
        self.patch(writer, "HOLDINGS_MAX", 5)
        self.register(A, named("a", "b"), named("c", id="y"))
        registered = self.registry.register(B, [named("a", "b", "c")])
        self.slices.run()
        self.failureResultOf(registered, Unavailable)
        self.register(B, named("a", "b"))
        self.registry.remove(A.location)
        self.slices.run()
        self.register(C, named("a", "b", "c"))

    def test_interrupted(self) -> None:
        """A list that takes the place of a half-written one leaves nothing of it."""
        self.patch(writer, "WRITE_SLICE", 1)
        for steps in range(12):
            self.register(A, named("a", "b", "c"))
            self.registry.register(A, [named("d", "a", "e")])
            for _ in range(steps):
                self.slices.step()
            self.register(A, named("b", "d", "f"))
            self.assertEqual(self.registry.holders("x").names, ["b", "d", "f"])
            self.assertEqual(self.locations("x"), [A.location])
            self.assertEqual(self.rows(), 3)
