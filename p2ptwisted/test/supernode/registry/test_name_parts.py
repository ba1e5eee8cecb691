"""Tests of `p2ptwisted.supernode.registry.name_parts`."""

from p2ptwisted.model import PREFIX_FOUND_MAX, FoundPart, NodeInfo, ResourceInfo, id_order
from p2ptwisted.supernode.registry import name_parts
from p2ptwisted.test.supernode.registry.test_registry import RegistryTestCase

A, B = NodeInfo("a", "10.0.0.1:8000"), NodeInfo("b", "10.0.0.2:8000")


def digest(number: int) -> str:
    """An id; those of two numbers that follow each other are far apart."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4


class NamePartsTests(RegistryTestCase):
    """All that has a name, part by part."""

    def setUp(self) -> None:
        super().setUp()
        for name, value in (("FOUND_MAX", 10), ("SLICE", 4), ("SAMPLE", 12), ("SCANNED_MAX", 40)):
            self.patch(name_parts, name, value)
        self.patch(name_parts, "SAMPLE_FEW", 1)

    def fill(self, count: int, name: str = "file", first: int = 0) -> list[ResourceInfo]:
        return [ResourceInfo(digest(first + one), f"{name}{one}", 7) for one in range(count)]

    def part(self, after: str, name: str | None = "file", node: str | None = None) -> FoundPart:
        found = self.registry.find_part(name, node, after)
        self.slices.run()
        return self.successResultOf(found)

    def walk(self, name: str | None = "file", node: str | None = None) -> list[list[str]]:
        """The ids of each part."""
        parts = [self.part("", name, node)]
        while (after := parts[-1].next) is not None:
            parts.append(self.part(after, name, node))
        ids = [[one.id for one in part.holdings] for part in parts]
        all_ids = [id for part in ids for id in part]
        self.assertEqual(all_ids, sorted(set(all_ids), key=id_order))
        return ids

    def test_many(self) -> None:
        """Each comes once, in the order of the ids, with all its holders and no part too long."""
        resources = [*self.fill(45), ResourceInfo("a-token", "file-of-a-token")]
        self.register(A, *resources)
        self.register(B, *resources[:20])
        for name in ("file", "FI", "f"):
            parts = self.walk(name)
            self.assertEqual({id for part in parts for id in part}, {one.id for one in resources})
            self.assertLessEqual(max(map(len, parts)), 10)
        found = {one.id: one.file.locations for one in self.part("").holdings}
        self.assertEqual(found["a-token"], [A.location])
        self.assertEqual(self.part(resources[-2].id, "nothing").holdings, [])

    def test_few_among_many(self) -> None:
        """Of names that few rows have, all are found, by the index or without it."""
        self.register(A, *self.fill(200), *self.fill(25, "wanted", 1_000))
        for name in ("wanted", "wa"):
            parts = self.walk(name)
            self.assertEqual(sum(map(len, parts)), 25)
            self.assertLessEqual(max(map(len, parts)), 10)
        # Without the index one ends where enough was read, and need not have found anything.
        self.assertGreater(len(self.walk("wa")), 3)
        self.assertEqual(self.walk("nothing"), [[]])

    def test_changes(self) -> None:
        """What is there all the time is found once, whatever comes and goes meanwhile."""
        staying = self.fill(30)
        self.register(A, *self.fill(30, first=500), *staying)
        self.register(B, *staying)
        part = self.part("")
        found = [one.id for one in part.holdings]
        changed = 0
        while part.next is not None:
            changed += 1
            # All rows get other numbers, and A's come after B's.
            self.registry.remove(A.location)
            self.slices.run()
            self.register(A, *self.fill(30, first=1_000 * changed), *staying)
            part = self.part(part.next)
            found += [one.id for one in part.holdings]
        self.assertGreater(changed, 2)
        self.assertEqual(len(set(found)), len(found))
        self.assertLessEqual({one.id for one in staying}, set(found))

    def test_node(self) -> None:
        """A node's list comes in parts too, also of those with a name."""
        self.register(A, *self.fill(25))
        self.register(B, *self.fill(25, first=100))
        for name in (None, "file"):
            found = {id for part in self.walk(name, "b") for id in part}
            self.assertEqual(found, {digest(100 + one) for one in range(25)})

    def test_first_digits(self) -> None:
        """All SHA-256s that begin with some digits are found, of many the first."""
        ids = ["abcdef01" + f"{number:056x}" for number in range(200)]
        others = ["abcdef00" + "f" * 56, "abcdef02" + "0" * 56, "abcdef01"]
        self.register(A, *(ResourceInfo(id, "file") for id in [*ids, *others]))
        self.register(B, ResourceInfo(ids[150], "file"))
        self.assertEqual(self.registry.ids_beginning("ABCDEF01"), ids[:PREFIX_FOUND_MAX])
        self.assertEqual(self.registry.ids_beginning(ids[150][:63]), ids[144:160])
        self.assertEqual(self.registry.ids_beginning("00000000"), [])

    def test_one_with_many_rows(self) -> None:
        """One that more nodes hold than are read for a part ends it, and the rest comes after."""
        self.patch(name_parts, "SCANNED_MAX", 12)
        self.patch(name_parts, "SAMPLE", 1_000)
        for number in range(30):
            node = NodeInfo(f"n{number}", f"10.0.1.{number}:8000")
            self.register(node, ResourceInfo("9" * 64, "file"), *self.fill(2, first=number))
        ids = {id for part in self.walk() for id in part}
        self.assertEqual(ids, {"9" * 64, *(digest(number) for number in range(31))})
