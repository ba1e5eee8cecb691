"""Tests for `p2ptwisted.supernode.registry.registry`."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from twisted.internet.defer import CancelledError
from twisted.internet.task import SchedulerStopped
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.errors import InvalidInput, StartError, Unavailable
from p2ptwisted.interfaces import IRegistry
from p2ptwisted.model import SUPERNODE_ID, HeldFile, Holders, Holding, NodeInfo, ResourceInfo
from p2ptwisted.supernode.registry import name_search, wanted_rows, writer
from p2ptwisted.supernode.registry import registry as module
from p2ptwisted.supernode.registry.registry import Registry
from p2ptwisted.supernode.registry.schema import SCHEMA
from p2ptwisted.support.round_robin import SHARE_MAX, share_of
from p2ptwisted.support.sqlite import Database
from p2ptwisted.test.fakes import Slices, open_registry
from p2ptwisted.test.test_model import SHA256

A, B, C, D = (NodeInfo(f"node-{letter}", f"10.0.0.{letter}:8000") for letter in "1234")

X, Y, Z = (
    ResourceInfo(SHA256, "x.bin", 1),
    ResourceInfo("y", "y.txt"),
    ResourceInfo("z", "z.iso", 0),
)


class RegistryTestCase(SynchronousTestCase):
    """An empty registry in memory, written in slices that are done when the test says so."""

    def setUp(self) -> None:
        self.slices = Slices()
        self.registry = self.open(None)

    def open(self, state: Path | None) -> Registry:
        registry = open_registry(self.slices.cooperator, state)
        self.addCleanup(registry.close)
        return registry

    def register(self, node: NodeInfo, *resources: ResourceInfo) -> None:
        registered = self.registry.register(node, resources)
        self.slices.run()
        self.successResultOf(registered)

    def locations(self, id: str) -> list[str]:
        return [at for found in self.registry.holdings([id]) for at in found.file.locations]

    def find(
        self,
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> list[Holding]:
        found = self.registry.find(file_name, node_name, ids)
        self.slices.run()
        return self.successResultOf(found)

    def names(self, part: str, node_name: str | None = None) -> list[str]:
        """The names of the files found by a part of it, sorted."""
        return sorted(str(found.file.name) for found in self.find(part, node_name))


class RegisterTests(RegistryTestCase):
    """Who has what."""

    def test_provides(self) -> None:
        """It is an IRegistry."""
        verifyObject(IRegistry, self.registry)

    def test_held(self) -> None:
        """What a node registers is found there, with name and size where it has one."""
        self.register(A, X, Y, Z)
        self.assertEqual(
            self.registry.holdings([X.id, Y.id, Z.id]),
            [
                Holding(X.id, HeldFile(A.location, [A.location], "x.bin", 1)),
                Holding(Y.id, HeldFile(A.location, [A.location], "y.txt", UNSET)),
                Holding(Z.id, HeldFile(A.location, [A.location], "z.iso", 0)),
            ],
        )

    def test_only_what_is_known(self) -> None:
        """Of the ids asked for those that are known come, in the order asked for, each once."""
        self.register(A, X, Y, Z)
        found = self.registry.holdings(["z", "unknown", X.id, "z"])
        self.assertEqual([holding.id for holding in found], ["z", X.id])
        self.assertEqual(self.registry.holdings([]), [])

    def test_replace(self) -> None:
        """A node's list replaces its earlier one: what is not in it any more is gone."""
        self.register(A, X, Y)
        self.register(A, Y, Z)
        self.assertEqual(self.locations(X.id), [])
        self.assertEqual(self.locations(Y.id), [A.location])
        self.assertEqual(self.locations(Z.id), [A.location])

    def test_replace_with_nothing(self) -> None:
        """A node that has nothing any more is still a node."""
        self.register(A, X)
        self.register(A)
        self.assertEqual(self.locations(X.id), [])
        self.assertEqual(self.registry.nodes(), [A])

    def test_new_name_and_size(self) -> None:
        """A resource that was renamed, or whose size has become known, is shown so."""
        self.register(A, ResourceInfo("x", "old"))
        self.register(A, ResourceInfo("x", "new", 5))
        (found,) = self.registry.holdings(["x"])
        self.assertEqual((found.file.name, found.file.size), ("new", 5))
        self.assertEqual(self.names("old"), [])

    def test_node_renamed(self) -> None:
        """A node is its location; its name is the last one that it gave."""
        self.register(A, X)
        self.register(NodeInfo("other", A.location), X)
        self.assertEqual(self.registry.nodes(), [NodeInfo("other", A.location)])

    def test_one_id_twice(self) -> None:
        """Of two names with one id in one list, the first counts."""
        self.register(A, ResourceInfo("x", "first"), ResourceInfo("x", "second"))
        (found,) = self.registry.holdings(["x"])
        self.assertEqual(found.file.name, "first")
        self.assertEqual(found.file.locations, [A.location])

    def test_case_of_ids(self) -> None:
        """64 hex digits are one id in any case; other tokens are not."""
        self.register(A, ResourceInfo(SHA256.upper(), "x"), ResourceInfo("Y", "y"))
        self.assertEqual(self.locations(SHA256), [A.location])
        self.assertEqual(self.locations("y"), [])

    def test_id_that_looks_like_bytes(self) -> None:
        """An id that isn't 64 hex digits is never taken for one, whatever its bytes are."""
        token = bytes.fromhex("41" * 32).decode()
        self.register(A, ResourceInfo(token, "text"))
        self.register(B, ResourceInfo("41" * 32, "hash"))
        self.assertEqual(self.locations(token), [A.location])
        self.assertEqual(self.locations("41" * 32), [B.location])

    def test_large_size(self) -> None:
        """The largest size that a body may have is kept whole."""
        self.register(A, ResourceInfo("x", "x", 2**63 - 1))
        self.assertEqual(self.registry.holdings(["x"])[0].file.size, 2**63 - 1)


class HoldersTests(RegistryTestCase):
    """Several nodes that have the same."""

    def test_most_recently_seen_first(self) -> None:
        """All holders come, whoever was seen last first, by registration or otherwise."""
        for node in (A, B, C):
            self.register(node, X)
        self.assertEqual(self.locations(X.id), [C.location, B.location, A.location])
        self.assertTrue(self.registry.seen(A.location))
        self.assertEqual(self.locations(X.id), [A.location, C.location, B.location])
        self.register(B, X)
        self.assertEqual(self.locations(X.id), [B.location, A.location, C.location])

    def test_unreachable_last(self) -> None:
        """Those that can't be reached come after all others, whatever is asked, until they can."""
        for node in (A, B, C):
            self.register(node, X, ResourceInfo("part", "p", partial=True))
        self.registry.mark_reachable(C.location, False)
        self.registry.seen(C.location)
        expected = [B.location, A.location, C.location]
        self.assertEqual(self.locations(X.id), expected)
        self.assertEqual(self.find("x.bin")[0].file.locations, expected)
        self.assertEqual(self.registry.holders(X.id).locations, expected)
        self.assertEqual(self.registry.holders("part").partial, expected)
        self.assertEqual([node.reachable for node in self.registry.nodes()], [True, True, False])
        self.registry.mark_reachable(C.location, True)
        self.assertEqual(self.locations(X.id)[0], C.location)
        self.assertTrue(all(node.reachable for node in self.registry.nodes()))

    def test_name_of_the_first(self) -> None:
        """The location, name and size are those of the holder that comes first."""
        self.register(A, ResourceInfo("x", "a", 1))
        self.register(B, ResourceInfo("x", "b", 2))
        (found,) = self.registry.holdings(["x"])
        self.assertEqual(
            found, Holding("x", HeldFile(B.location, [B.location, A.location], "b", 2))
        )

    def test_removal(self) -> None:
        """A node that is removed takes nothing with it that others have."""
        self.register(A, X, Y)
        self.register(B, X)
        self.assertTrue(self.registry.remove(A.location))
        self.assertEqual(self.locations(X.id), [B.location])
        self.assertEqual(self.locations(Y.id), [])
        self.slices.run()
        self.assertEqual(self.locations(X.id), [B.location])
        self.assertEqual(self.registry.nodes(), [B])

    def test_bound(self) -> None:
        """An answer names so many locations and no more, the most recently seen."""
        self.patch(module, "LOCATIONS_MAX", 2)
        for node in (A, B, C):
            self.register(node, X)
        self.assertEqual(self.locations(X.id), [C.location, B.location])

    def test_bound_of_all(self) -> None:
        """Where all have more in one answer than it may name, each gets a share."""
        self.patch(module, "ANSWER_MAX", 4)
        for node in (A, B, C):
            self.register(node, X, Y)
        self.register(D, Z)
        found = self.registry.holdings([X.id, Z.id, Y.id])
        self.assertEqual(
            [one.file.locations for one in found], [[C.location], [D.location], [C.location]]
        )
        self.assertEqual(len(self.registry.holdings([X.id])[0].file.locations), 3)
        self.assertEqual(len(self.registry.holdings([X.id], 2)[0].file.locations), 2)

    def crowd(self, count: int, *resources: ResourceInfo, host: str = "10.0.0.9") -> None:
        """So many nodes at one address, which come after all others."""
        for port in range(1, count + 1):
            self.register(NodeInfo("", f"{host}:{port}"), *resources)

    def test_crowded(self) -> None:
        """However many ports of one address come last, they push out nobody."""
        part = ResourceInfo(Y.id, "part", partial=True)
        for node in (A, B, C):
            self.register(node, X, part)
        self.crowd(200, X, part)
        honest = {A.location, B.location, C.location}
        holders = self.registry.holders(X.id)
        parts = self.registry.holders(Y.id).partial
        (together,) = self.registry.holdings([X.id, Z.id])
        (found,) = self.find("x.bin")
        for most in (4, 16, 1_000):
            (few,) = self.registry.holdings([X.id], most)
            told = few.file.locations
            self.assertTrue(honest <= set(told), most)
            self.assertLessEqual(len(told), min(most, 3 + share_of(most)))
        for told in (holders.locations, parts, together.file.locations, found.file.locations):
            self.assertTrue(honest <= set(told[:4]), told[:4])
            self.assertEqual(len(told), 3 + SHARE_MAX)

    def test_crowd_that_has_more(self) -> None:
        """What only the later ones of many nodes at one address have is found there."""
        self.crowd(SHARE_MAX + 1, X)
        last = NodeInfo("", f"10.0.0.9:{SHARE_MAX + 2}")
        self.register(last, Y, ResourceInfo("p", "part", partial=True))
        self.assertEqual(self.locations(Y.id), [last.location])
        self.assertEqual(self.registry.holders("p").partial, [last.location])
        self.assertEqual(len(self.registry.holdings([X.id, Y.id])), 2)
        self.assertEqual(self.names("y.txt"), ["y.txt"])
        self.assertEqual([one.id for one in self.find(ids=[Y.id])], [Y.id])
        for port in range(1, SHARE_MAX + 1):
            self.registry.remove(f"10.0.0.9:{port}")
        self.assertEqual(self.locations(X.id), [f"10.0.0.9:{SHARE_MAX + 1}"])
        self.register(last, Y)
        self.assertEqual(self.locations(Y.id), [last.location])

    def test_crowd_is_cheap(self) -> None:
        """It costs a look-up only some rows of each address, for a datagram as for a search."""
        self.register(A, X)
        for host in range(5):
            self.crowd(60, X, host=f"10.0.9.{host}")
        read = 0
        rows = Database.rows

        def counted(database: Database, *arguments: Any) -> list[Any]:
            nonlocal read
            found = rows(database, *arguments)
            read += len(found)
            return found

        self.patch(Database, "rows", counted)
        (found,) = self.registry.holdings([X.id], 21)
        self.assertIn(A.location, found.file.locations)
        self.assertLessEqual(read, 5 * SHARE_MAX + 1 + 2 * 21)

    def test_strangers(self) -> None:
        """Who isn't registered can be neither seen nor removed."""
        self.assertFalse(self.registry.seen(A.location))
        self.assertFalse(self.registry.remove(A.location))

    def test_order_of_nodes(self) -> None:
        """Nodes are listed in the order in which they came, whatever they do later."""
        for node in (B, A, C):
            self.register(node)
        self.registry.seen(B.location)
        self.assertEqual(self.registry.nodes(), [B, A, C])

    def test_back_again(self) -> None:
        """A node that was removed can come back, and is a new one."""
        self.register(A, X)
        self.register(B, X)
        self.registry.remove(A.location)
        self.register(A, Y)
        self.assertEqual(self.registry.nodes(), [B, A])
        self.assertEqual(self.locations(X.id), [B.location])
        self.assertEqual(self.locations(Y.id), [A.location])


class SeveralNamesTests(RegistryTestCase):
    """One content that its holders call differently."""

    def test_name_asked_for(self) -> None:
        """It is told by the name that was asked for, however recently its holder was seen."""
        for node, name in ((A, "data/One.bin"), (B, "other.bin")):
            self.register(node, ResourceInfo("x", name, 7))
        for asked, told in (
            ("One.bin", "data/One.bin"),
            ("one", "data/One.bin"),
            ("other.bin", "other.bin"),
            (".bin", "other.bin"),
        ):
            (found,) = self.find(asked)
            self.assertEqual(found.file.name, told)
            self.assertEqual(found.file.locations, [B.location, A.location])

    def test_holder_that_is_not_told(self) -> None:
        """It is told by that name also where its holder is one too many to be told."""
        self.patch(module, "FOUND_ANSWER_MAX", 1)
        for node, name in ((A, "one.bin"), (B, "other.bin")):
            self.register(node, ResourceInfo("x", name, 7))
        (found,) = self.find("one")
        self.assertEqual((found.file.name, found.file.locations), ("one.bin", [B.location]))


class PartialTests(RegistryTestCase):
    """Nodes that have only a part of a resource, and are fetching the rest."""

    PART = ResourceInfo("x", "x.bin", 7, partial=True)
    WHOLE = ResourceInfo("x", "x.bin", 7)

    def test_never_a_holder(self) -> None:
        """Who has only a part is not found by any search."""
        self.register(A, self.PART)
        self.assertEqual(self.registry.holdings(["x"]), [])
        for found in (
            self.find("x.bin"),
            self.find("x"),
            self.find(node_name=A.name),
            self.find(ids=["x"]),
            self.find("x.bin", A.name, ["x"]),
        ):
            self.assertEqual(found, [])
        self.assertEqual(self.registry.nodes(), [A])

    def test_beside_a_holder(self) -> None:
        """Where others have all of it these are found; a search by name names it beside them."""
        self.register(A, self.WHOLE)
        self.register(B, self.PART)
        whole = HeldFile(A.location, [A.location], "x.bin", 7)
        self.assertEqual(self.registry.holdings(["x"]), [Holding("x", whole)])
        for found in (self.find("x.bin"), self.find("x")):
            (one,) = found
            self.assertEqual((one.file.locations, one.file.partial), ([A.location], [B.location]))
        self.assertEqual(self.find("x", A.name), [Holding("x", whole)])

    def test_beside_a_holder_bound(self) -> None:
        """Of those beside holders a search names the most recently seen, so many and no more."""
        self.patch(module, "LOCATIONS_MAX", 2)
        self.register(NodeInfo("d", "10.0.0.4:8000"), self.WHOLE)
        for node in (A, B, C):
            self.register(node, self.PART)
        (found,) = self.find("x.bin")
        self.assertEqual(found.file.partial, [C.location, B.location])

    def test_holders(self) -> None:
        """Everybody is told apart who has all of it or a part, the most recently seen first."""
        for node, resource in [
            (A, self.WHOLE),
            (B, self.PART),
            (C, self.PART),
            (NodeInfo("d", "10.0.0.4:8000"), self.WHOLE),
        ]:
            self.register(node, resource, Y)
        self.registry.seen(B.location)
        self.assertEqual(
            self.registry.holders("x"),
            Holders("x", ["10.0.0.4:8000", A.location], [B.location, C.location], "x.bin", 7),
        )

    def test_nobody(self) -> None:
        """What nobody has has no holders, and neither has it a name."""
        self.register(A, Y)
        self.assertEqual(self.registry.holders("x"), Holders("x", [], []))

    def test_size_where_known(self) -> None:
        """The size is that of whoever knows it."""
        self.register(A, self.PART)
        self.register(B, ResourceInfo("x", "other"))
        self.assertEqual(
            self.registry.holders("x"),
            Holders("x", [B.location], [A.location], "other", 7, ["x.bin"]),
        )
        self.register(A)
        self.assertEqual(self.registry.holders("x"), Holders("x", [B.location], [], "other"))

    def test_becomes_whole(self) -> None:
        """When the rest has come the node is a holder; should it lose some, it is none again."""
        self.register(A, self.PART)
        self.register(A, self.WHOLE)
        self.assertEqual(self.locations("x"), [A.location])
        self.assertEqual(self.registry.holders("x").partial, [])
        self.assertEqual(self.names("x.bin"), ["x.bin"])
        self.register(A, self.PART)
        self.assertEqual(self.locations("x"), [])
        self.assertEqual(self.registry.holders("x").partial, [A.location])

    def test_removed(self) -> None:
        """A node that leaves is no partial holder any more either."""
        self.register(A, self.PART)
        self.registry.remove(A.location)
        self.assertEqual(self.registry.holders("x"), Holders("x", [], []))

    def test_sha256(self) -> None:
        """An id that is stored in short is given in full."""
        self.register(A, X)
        self.assertEqual(
            self.registry.holders(SHA256), Holders(SHA256, [A.location], [], "x.bin", 1)
        )

    def test_bound(self) -> None:
        """An answer names so many and no more, the most recently seen."""
        self.patch(module, "LOCATIONS_MAX", 2)
        for node in (A, B, C):
            self.register(node, self.PART)
        self.assertEqual(self.registry.holders("x").partial, [C.location, B.location])


class RefusalTests(RegistryTestCase):
    """Lists that are not taken."""

    def test_invalid_id(self) -> None:
        """One id that isn't one, and nothing of the list is stored, nor the node."""
        for id in ["", "a b", "x" * 129, "é"]:
            registered = self.registry.register(A, [X, ResourceInfo(id, "n")])
            self.slices.run()
            error = self.failureResultOf(registered, InvalidInput).value
            self.assertIn("is not a resource id", str(error))
        self.assertEqual(self.registry.nodes(), [])
        self.assertEqual(self.locations(X.id), [])

    def test_invalid_id_keeps_the_earlier_list(self) -> None:
        """A refused list leaves the node's earlier one as it was."""
        self.register(A, X)
        registered = self.registry.register(A, [Y, ResourceInfo("a b", "n")])
        self.slices.run()
        self.failureResultOf(registered, InvalidInput)
        self.assertEqual(self.locations(X.id), [A.location])
        self.assertEqual(self.locations(Y.id), [])

    def test_invalid_id_at_the_end(self) -> None:
        """Nor is anything stored of a list so long that it is read in slices."""
        self.patch(wanted_rows, "LIST_SLICE", 2)
        resources = [*(ResourceInfo(str(n), str(n)) for n in range(5)), ResourceInfo("a b", "n")]
        registered = self.registry.register(A, resources)
        self.slices.run()
        self.failureResultOf(registered, InvalidInput)
        self.assertEqual(self.registry.nodes(), [])

    def test_reserved_id(self) -> None:
        """No node can hold the id that stands for supernodes."""
        registered = self.registry.register(A, [ResourceInfo(SUPERNODE_ID, "n")])
        self.slices.run()
        error = self.failureResultOf(registered, InvalidInput).value
        self.assertEqual(str(error), "the id 'supernode' is reserved: no node can hold it")

    def test_too_many_nodes(self) -> None:
        """So many nodes and no more; those there are still register, and one gone makes room."""
        self.patch(writer, "NODES_MAX", 2)
        self.register(A, X)
        self.register(B)
        registered = self.registry.register(C, [X])
        self.slices.run()
        error = self.failureResultOf(registered, Unavailable).value
        self.assertEqual(str(error), "this supernode has 2 nodes and takes no more")
        self.assertEqual(self.registry.nodes(), [A, B])
        self.register(A, Y)
        self.registry.remove(B.location)
        self.register(C)
        self.assertEqual(self.registry.nodes(), [A, C])

    def refused(self, node: NodeInfo, *resources: ResourceInfo, bounded: bool = False) -> str:
        """What a registration is refused with."""
        registered = self.registry.register(node, resources, bounded)
        self.slices.run()
        return str(self.failureResultOf(registered, Unavailable).value)

    def test_too_many_resources(self) -> None:
        """So many in all and no more; a refused list leaves the earlier one, and who goes frees."""
        self.patch(writer, "HOLDINGS_MAX", 3)
        self.register(A, X, Y)
        self.register(B, X)
        self.assertIn("no more than 3 resources", self.refused(B, X, Y))
        self.assertIn("no more than 3 resources", self.refused(C, Z))
        self.assertEqual(self.registry.nodes(), [A, B])
        self.assertEqual(self.locations(X.id), [B.location, A.location])
        self.register(A, X)
        self.register(B, X, Y)
        self.registry.remove(B.location)
        self.slices.run()
        self.register(C, Y, Z)

    def test_half_written_list_counts(self) -> None:
        """While a shorter list takes the place of a longer one, there can be as many as before."""
        self.patch(writer, "HOLDINGS_MAX", 3)
        self.register(A, X, Y, Z)
        shorter = self.registry.register(A, [X])
        self.slices.step()
        self.slices.step()
        other = self.registry.register(B, [X])
        self.slices.run()
        self.successResultOf(shorter)
        self.failureResultOf(other, Unavailable)
        self.register(B, X, Y)

    def test_one_address(self) -> None:
        """What is bounded for an address is so for that address alone, whatever its ports."""
        self.patch(writer, "ADDRESS_HOLDINGS_MAX", 2)
        other_port = NodeInfo("other", "10.0.0.1:9")
        self.register(A, X)
        self.assertIn("10.0.0.1 may have no more", self.refused(other_port, X, Y, bounded=True))
        self.register(NodeInfo("like it", "10.0.0.11:8000"), X, Y)
        self.register(other_port, X, Y)
        self.register(B, X, Y)
        self.assertIn("10.0.0.2 may have no more", self.refused(B, X, Y, Z, bounded=True))


class SearchTests(RegistryTestCase):
    """Searches by name."""

    def setUp(self) -> None:
        super().setUp()
        self.names_of_a = [
            "data/train.csv",
            "data/Test.CSV",
            'say "hello".txt',
            "100%_done.log",
            "100 percent.log",
            "grüße-ÄÖÜ.txt",
            "数据集.tar",
            "it's.txt",
            "ab",
            "star*.txt",
            "a\nb\tc.txt",
            "NEAR(x, y) OR z",
        ]
        self.register(A, *(ResourceInfo(f"a{n}", name) for n, name in enumerate(self.names_of_a)))
        self.register(B, ResourceInfo("b0", "data/train.csv"), ResourceInfo("a1", "data/Test.CSV"))

    def test_parts(self) -> None:
        """Any part of a name finds it, at the beginning, in the middle and at the end."""
        for part in ["data/tr", "rain", "train.csv", "data/train.csv"]:
            self.assertEqual(self.names(part, A.name), ["data/train.csv"])
        self.assertEqual(self.names("data/train.csv.gz"), [])

    def test_every_name_by_itself(self) -> None:
        """Every name finds itself, whatever characters it has."""
        for name in self.names_of_a:
            self.assertIn(name, self.names(name), name)

    def test_case(self) -> None:
        """Case makes no difference, to long parts nor to short ones."""
        self.assertEqual(self.names("TEST.csv"), ["data/Test.CSV"])
        self.assertEqual(self.names("AB"), ["ab"])

    def test_case_of_other_letters(self) -> None:
        """Nor does it to letters that ASCII doesn't have, in parts that the index can find."""
        self.assertEqual(self.names("GRÜ"), ["grüße-ÄÖÜ.txt"])
        self.assertEqual(self.names("äöü"), ["grüße-ÄÖÜ.txt"])

    def test_forms(self) -> None:
        """Letters with an accent are found however they are typed, and shown as they are."""
        decomposed, composed = "cafe\u0301/Ru\u0308be.bin", "caf\u00e9/R\u00fcbe.txt"
        self.register(C, ResourceInfo("c1", decomposed), ResourceInfo("c2", composed))
        for part in ("caf\u00e9", "cafe\u0301", "CAF\u00c9", "R\u00fcb", "ru\u0308b", "\u00e9/"):
            self.assertEqual(self.names(part), [decomposed, composed], ascii(part))
        for part in ("\u00e9", "e\u0301", "\u00fc", "u\u0308"):
            self.assertLessEqual({composed, decomposed}, set(self.names(part)), ascii(part))
        for part, name in (
            ("R\u00fcbe.bin", decomposed),
            ("Ru\u0308be.bin", decomposed),
            ("R\u00fcbe.txt", composed),
            ("Ru\u0308be.txt", composed),
            (decomposed, decomposed),
        ):
            self.assertEqual(self.names(part), [name])
            self.assertEqual(self.names(part, C.name), [name])
        for part in ("cafe", "Rube", "fe/", "be.txt/"):
            self.assertEqual(self.names(part), [])
        self.register(C)
        self.assertEqual(self.names("caf\u00e9"), [])

    def test_forms_of_one_id(self) -> None:
        """The very name that was asked for comes before one that has it in it, in either form."""
        self.register(C, ResourceInfo("x", "\u00e9.bin.old", other_names=("a/e\u0301.bin",)))
        for asked in ("\u00e9.bin", "e\u0301.bin"):
            self.assertEqual(self.names(asked), ["a/e\u0301.bin"])

    def test_forms_of_nodes(self) -> None:
        """Nodes are called by either form of their names, too."""
        self.register(NodeInfo("Zoe\u0308", "10.0.0.7:1"), ResourceInfo("n", "n.bin"))
        for name in ("Zoe\u0308", "Zo\u00eb"):
            self.assertEqual(self.names("n.bin", name), ["n.bin"])
            self.assertEqual([one.id for one in self.find(None, name)], ["n"])
            self.assertEqual([one.id for one in self.find(None, name, ["n"])], ["n"])
        self.assertEqual(self.find(None, "zo\u00eb"), [])
        self.assertIn("Zoe\u0308", [node.name for node in self.registry.nodes()])

    def test_short_parts(self) -> None:
        """Parts too short for the index find their names too."""
        self.assertEqual(self.names("数"), ["数据集.tar"])
        self.assertEqual(self.names("%_"), ["100%_done.log"])
        self.assertEqual(self.names('"h'), ['say "hello".txt'])
        self.assertEqual(self.names("*"), ["star*.txt"])
        self.assertEqual(self.names("\n"), ["a\nb\tc.txt"])

    def test_quotes(self) -> None:
        """Quotes are characters like others."""
        self.assertEqual(self.names('"hello"'), ['say "hello".txt'])
        self.assertEqual(self.names('"""'), [])
        self.assertEqual(self.names("t's"), ["it's.txt"])
        self.assertEqual(self.names("' OR 1=1 --"), [])

    def test_patterns(self) -> None:
        """Nothing in a part is a pattern: not of LIKE, not of GLOB, not of the index."""
        self.assertEqual(self.names("100%"), ["100%_done.log"])
        self.assertEqual(self.names("100_"), [])
        self.assertEqual(self.names("star*"), ["star*.txt"])
        self.assertEqual(self.names("sta*"), [])
        self.assertEqual(self.names("train OR hello"), [])
        self.assertEqual(self.names("name:train"), [])
        self.assertEqual(self.names("NEAR(x"), ["NEAR(x, y) OR z"])

    def test_unicode(self) -> None:
        """Three characters of any script are three characters."""
        self.assertEqual(self.names("数据集"), ["数据集.tar"])
        self.assertEqual(self.names("grüße"), ["grüße-ÄÖÜ.txt"])

    def test_null_character(self) -> None:
        """A part with a character that no file name can have finds nothing, and breaks nothing."""
        for part in ["\0", "a\0b", "abc\0", "\0abc", "\0\0\0"]:
            self.assertEqual(self.names(part), [], repr(part))

    def test_by_node(self) -> None:
        """A node's name, the whole of it, gives what that node has, and only it as a holder."""
        found = self.find(node_name=B.name)
        self.assertEqual(sorted(holding.id for holding in found), ["a1", "b0"])
        self.assertEqual({tuple(holding.file.locations) for holding in found}, {(B.location,)})
        self.assertEqual(self.find(node_name="node"), [])

    def test_by_ids(self) -> None:
        """Ids alone give the holdings of those that are known."""
        found = self.find(ids=["b0", "unknown", "a1"])
        self.assertEqual({holding.id for holding in found}, {"a1", "b0"})
        self.assertEqual(self.find(ids=[]), [])

    def test_narrowing(self) -> None:
        """All that is given must hold."""
        self.assertEqual([f.id for f in self.find("train", B.name)], ["b0"])
        self.assertEqual([f.id for f in self.find("train", ids=["a0", "a1"])], ["a0"])
        self.assertEqual([f.id for f in self.find("tr", ids=["a0", "a1"])], ["a0"])
        self.assertEqual([f.id for f in self.find(node_name=B.name, ids=["a0", "a1"])], ["a1"])
        self.assertEqual([f.id for f in self.find("Test", B.name, ["a0", "a1"])], ["a1"])
        self.assertEqual(self.find("train", B.name, ["a0", "a1"]), [])
        self.assertEqual(self.find("tr", "nobody", ["a0"]), [])

    def test_holders_outside_the_name(self) -> None:
        """All holders of what is found come, though another may call it otherwise."""
        self.register(C, ResourceInfo("a0", "renamed"))
        self.assertEqual(
            [f.file.locations for f in self.find("train", ids=["a0"])], [[C.location, A.location]]
        )

    def test_removed(self) -> None:
        """What a removed node had is not found from that moment on."""
        self.registry.remove(A.location)
        for part in ["train", "tr"]:
            self.assertEqual([found.id for found in self.find(part)], ["b0"])
        self.assertEqual(self.names("hello"), [])
        self.slices.run()
        self.assertEqual([found.id for found in self.find("train")], ["b0"])

    def test_bound(self) -> None:
        """An answer has so many holdings and no more, whether or not the index found them."""
        self.patch(name_search, "FOUND_MAX", 3)
        self.patch(name_search, "SCAN_SLICE", 2)
        for part in ["data", ".t", "."]:
            self.assertLessEqual(len(self.find(part)), 3)
        self.assertEqual(len(self.find(".")), 3)
        self.assertEqual(len(self.find(node_name=A.name)), 3)

    def test_crowded(self) -> None:
        """An address that has too much of a name, or of a node's name, hides nobody else's."""
        self.patch(name_search, "FOUND_MAX", 8)
        self.patch(name_search, "FOUND_SHARE", 2)
        self.patch(name_search, "INDEX_SLICE", 3)
        self.patch(name_search, "SCAN_SLICE", 3)
        many = [[ResourceInfo(f"c{port}{n}", "some.iso") for n in range(20)] for port in (1, 2)]
        for port, resources in enumerate(many):
            self.register(NodeInfo("same", f"10.0.0.3:{port + 1}"), *resources)
        self.register(
            NodeInfo("same", D.location), *(ResourceInfo(f"d{n}", "some.iso") for n in range(3))
        )
        for found in (self.find("some"), self.find("so"), self.find(node_name="same")):
            self.assertEqual(len(found), 8)
            honest = {one.id for one in found if one.file.location == D.location}
            self.assertEqual(honest, {"d0", "d1", "d2"})
        self.registry.remove(D.location)
        self.assertEqual(len(self.find("some")), 8)
        self.register(NodeInfo("same", D.location), ResourceInfo("d0", "some.iso"))
        # It isn't looked for among everything that there is.
        self.patch(name_search, "OTHERS_MAX", 9)
        self.assertNotIn("d0", {one.id for one in self.find("some")})

    def test_short_parts_in_slices(self) -> None:
        """Names that are looked for without the index are read in slices, to the last."""
        self.patch(name_search, "SCAN_SLICE", 1)
        found = self.registry.find("tr")
        self.slices.step()
        self.assertNoResult(found)
        self.slices.run()
        self.assertEqual({f.id for f in self.successResultOf(found)}, {"a0", "b0"})

    def test_slices(self) -> None:
        """So are all others, whatever is looked for, and none is left out or comes twice."""
        self.patch(name_search, "SCAN_SLICE", 1)
        self.patch(name_search, "INDEX_SLICE", 1)
        self.patch(module, "FIND_SLICE", 1)
        self.register(C, *(ResourceInfo(f"a{n}", name) for n, name in enumerate(self.names_of_a)))
        searches: list[tuple[dict[str, Any], set[str]]] = [
            ({"file_name": "train"}, {"a0", "b0"}),
            ({"node_name": B.name}, {"a1", "b0"}),
            ({"ids": ["a0", "a1"]}, {"a0", "a1"}),
        ]
        for what, ids in searches:
            found = self.registry.find(**what)
            self.slices.step()
            self.slices.step()
            self.assertNoResult(found)
            self.slices.run()
            result = self.successResultOf(found)
            self.assertEqual({one.id for one in result}, ids)
            self.assertEqual(len(result), len(ids))

    def test_gaps(self) -> None:
        """What was removed leaves gaps that cost no slices, and what follows is found."""
        self.patch(name_search, "INDEX_SLICE", 2)
        self.register(C, *(ResourceInfo(f"c{n}", "gone.bin") for n in range(100)))
        self.register(D, ResourceInfo("last", "train.last"))
        self.registry.remove(C.location)
        self.slices.run()
        found = self.registry.find("train")
        for _ in range(15):
            self.slices.step()
        self.assertEqual({one.id for one in self.successResultOf(found)}, {"a0", "b0", "last"})

    def test_gone_caller(self) -> None:
        """A search that nobody waits for looks no further, and makes room."""
        self.patch(name_search, "SCAN_SLICE", 1)
        self.patch(module, "FINDS_MAX", 1)
        found = self.registry.find("tr")
        found.cancel()
        self.failureResultOf(found, CancelledError)
        self.slices.step()
        self.assertFalse(self.slices.busy)
        self.assertEqual(len(self.find("tr")), 2)

    def test_many_at_once(self) -> None:
        """So many run at once and no more; what is asked for by id alone is not held up."""
        self.patch(module, "FINDS_MAX", 2)
        two = [self.registry.find("train"), self.registry.find(node_name=B.name)]
        self.failureResultOf(self.registry.find("train"), Unavailable)
        self.assertEqual(self.locations("b0"), [B.location])
        self.slices.run()
        for found in two:
            self.successResultOf(found)
        self.assertEqual(len(self.find("train")), 2)

    def test_empty_part(self) -> None:
        """An empty part is part of every name."""
        self.assertEqual(len(self.find("", B.name)), 2)


class WritingTests(RegistryTestCase):
    """Lists so long that they are written while others are served."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(writer, "READ_SLICE", 4)
        self.patch(writer, "WRITE_SLICE", 2)

    def long_list(self, prefix: str, count: int = 10) -> list[ResourceInfo]:
        return [
            ResourceInfo(f"{prefix}{number}", f"{prefix}{number}.bin") for number in range(count)
        ]

    def found(self, resources: Sequence[ResourceInfo]) -> int:
        return len(self.registry.holdings([resource.id for resource in resources]))

    def write_until_seen(self, resources: Sequence[ResourceInfo]) -> None:
        """Do slices until some of a list, and not all of it, is there."""
        while not self.found(resources):
            self.slices.step()
        self.assertLess(self.found(resources), len(resources))

    def test_found_while_written(self) -> None:
        """What is written already is found; the caller hears when all is."""
        resources = self.long_list("x")
        registered = self.registry.register(A, resources)
        self.write_until_seen(resources)
        self.assertNoResult(registered)
        self.slices.run()
        self.successResultOf(registered)
        self.assertEqual(self.found(resources), 10)

    def test_unchanged_stays_all_the_while(self) -> None:
        """What is in the old and the new list is found at every moment of the change."""
        self.register(A, *self.long_list("x"), *self.long_list("old"))
        kept = self.long_list("x")
        self.registry.register(A, [*self.long_list("new"), *kept])
        for _ in range(100):
            self.slices.step()
            self.assertEqual(self.found(kept), 10)
        self.assertEqual(self.found(self.long_list("old")), 0)
        self.assertEqual(self.found(self.long_list("new")), 10)

    def test_superseded(self) -> None:
        """A newer list takes the place of one that is still being written; both callers hear."""
        older, newer = self.long_list("older"), self.long_list("newer")
        first = self.registry.register(A, older)
        self.write_until_seen(older)
        second = self.registry.register(A, newer)
        self.slices.run()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.found(older), 0)
        self.assertEqual(self.found(newer), 10)

    def test_superseded_before_it_began(self) -> None:
        """The same where nothing of the older one was written yet."""
        older, newer = self.long_list("older"), self.long_list("newer")
        first = self.registry.register(A, older)
        second = self.registry.register(A, newer)
        self.slices.run()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual((self.found(older), self.found(newer)), (0, 10))

    def test_gone_caller(self) -> None:
        """A list that nobody waits for any more is written no further, nor mixed with the next."""
        older, newer = self.long_list("older"), self.long_list("newer")
        first = self.registry.register(A, older)
        self.write_until_seen(older)
        written = self.found(older)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.slices.run()
        self.assertEqual(self.found(older), written)
        self.register(A, *newer)
        self.assertEqual((self.found(older), self.found(newer)), (0, 10))

    def test_long_names(self) -> None:
        """Slices are cut by the names' characters too, written and deleted; none is empty."""
        self.patch(writer, "WRITE_SLICE", 100)
        self.patch(writer, "WRITE_CHARACTERS", 10)
        long = [ResourceInfo(f"x{number}", f"{number}" * 8) for number in range(5)]
        seen = set()
        self.registry.register(A, long)
        while self.slices.busy:
            self.slices.step()
            seen.add(self.found(long))
        self.registry.register(A, [ResourceInfo("y", "n" * 20)])
        while self.slices.busy:
            self.slices.step()
            seen.add(-self.found(long))
        self.assertEqual(seen, set(range(-5, 6)))
        self.assertEqual(self.locations("y"), [A.location])

    def test_two_nodes_at_once(self) -> None:
        """The lists of two nodes are written side by side."""
        both = [
            self.registry.register(A, self.long_list("x")),
            self.registry.register(B, self.long_list("x")),
        ]
        self.slices.run()
        for registered in both:
            self.successResultOf(registered)
        for resource in self.long_list("x"):
            self.assertEqual(sorted(self.locations(resource.id)), [A.location, B.location])

    def test_goodbye(self) -> None:
        """A node that leaves while its list is being written is gone, and stays gone."""
        resources = self.long_list("x")
        registered = self.registry.register(A, resources)
        self.write_until_seen(resources)
        self.assertTrue(self.registry.remove(A.location))
        self.assertEqual(self.found(resources), 0)
        self.slices.run()
        self.successResultOf(registered)
        self.assertEqual(self.found(resources), 0)
        self.assertEqual(self.registry.nodes(), [])

    def test_goodbye_at_once(self) -> None:
        """So is one that leaves before the first slice of its list is written."""
        for slices in range(3):
            self.registry.register(A, self.long_list("x"))
            for _ in range(slices):
                self.slices.step()
            self.registry.remove(A.location)
            self.slices.run()
            self.assertEqual(self.registry.nodes(), [], f"after {slices} slices")

    def test_removal_in_slices(self) -> None:
        """What a large node held goes in slices, unseen, while others are served."""
        self.register(A, *self.long_list("x"))
        self.register(B, *self.long_list("x"))
        self.registry.remove(A.location)
        for _ in range(50):
            self.assertEqual(self.locations("x0"), [B.location])
            self.assertEqual(self.found(self.long_list("x")), 10)
            self.slices.step()

    def test_failing_write(self) -> None:
        """A slice that can't be written leaves no transaction open, and the caller hears."""
        registered = self.registry.register(A, [ResourceInfo("x", "\ud800")])
        self.slices.run()
        self.failureResultOf(registered, UnicodeEncodeError)
        self.register(A, X)
        self.assertEqual(self.locations(X.id), [A.location])


class FileTests(RegistryTestCase):
    """A registry in a folder."""

    def setUp(self) -> None:
        super().setUp()
        self.state = Path(self.mktemp()) / "state"
        self.path = self.state / "registry.sqlite"

    def start(self) -> None:
        self.slices = Slices()
        self.registry = self.open(self.state)

    def restart(self) -> None:
        self.registry.close()
        self.start()

    def stored(self, table: str = "holdings") -> int:
        """How many rows there are in the closed file, seen or not."""
        database = sqlite3.connect(self.path)
        try:
            (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
            return int(count)
        finally:
            database.close()

    def test_restart(self) -> None:
        """A restarted registry answers at once for the nodes that it knew, in the same order."""
        self.start()
        self.register(A, X, Y)
        self.register(B, X)
        self.registry.seen(A.location)
        self.restart()
        self.assertEqual(self.registry.nodes(), [A, B])
        self.assertEqual(self.locations(X.id), [A.location, B.location])
        self.assertEqual(self.names("y.txt"), ["y.txt"])

    def test_seen_after_a_restart(self) -> None:
        """Who is seen after a restart comes before those seen earlier."""
        self.start()
        for node in (A, B, C):
            self.register(node, X)
        self.restart()
        self.registry.seen(A.location)
        self.assertEqual(self.locations(X.id), [A.location, C.location, B.location])

    def test_half_deleted_node(self) -> None:
        """A node whose removal was cut short does not come back, and the rest of it goes."""
        self.patch(writer, "WRITE_SLICE", 2)
        self.start()
        self.register(A, *(ResourceInfo(f"x{number}", "x") for number in range(10)))
        self.register(B, ResourceInfo("x0", "x"))
        self.registry.remove(A.location)
        self.slices.step()
        self.registry.close()
        self.assertIn(self.stored(), range(2, 11))
        self.start()
        self.assertEqual(self.registry.nodes(), [B])
        self.assertEqual(self.locations("x9"), [])
        self.slices.run()
        self.assertEqual(self.locations("x0"), [B.location])
        self.registry.close()
        self.assertEqual(self.stored(), 1)
        self.assertEqual(self.stored("nodes"), 1)

    def test_half_written_list(self) -> None:
        """A list whose writing was cut short is completed by the next one."""
        self.patch(writer, "WRITE_SLICE", 2)
        self.start()
        resources = [ResourceInfo(f"x{number}", "x") for number in range(10)]
        registered = self.registry.register(A, resources)
        while not self.locations("x1"):
            self.slices.step()
        self.restart()
        self.failureResultOf(registered, SchedulerStopped)
        self.register(A, *resources)
        self.assertEqual(len(self.registry.holdings([f"x{number}" for number in range(10)])), 10)
        self.registry.close()
        self.assertEqual(self.stored(), 10)

    def test_damaged_file(self) -> None:
        """A file that isn't a database is set aside with its content, and an empty one begun."""
        self.state.mkdir(parents=True)
        for number, content in enumerate([b"nonsense" * 1000, b"SQLite format 4\0" + b"x" * 5000]):
            self.path.write_bytes(content)
            with capturedLogs() as events:
                self.start()
            self.assertEqual(self.registry.nodes(), [])
            self.register(A, X)
            self.registry.close()
            aside = self.state / f"registry.sqlite.damaged-{number + 1}"
            self.assertEqual(aside.read_bytes(), content)
            (told,) = [formatEvent(event) for event in events if "aside" in event]
            self.assertIn(f"{self.path} is damaged", told)
            self.assertIn(str(aside), told)
        self.restart()
        self.assertEqual(self.locations(X.id), [A.location])

    def test_damaged_pages(self) -> None:
        """A file damaged further in, seen only when it is used, does not stay in the way either."""
        self.start()
        resources = [ResourceInfo(f"x{number}", f"name {number}") for number in range(2000)]
        self.register(A, *resources)
        self.registry.close()
        content = bytearray(self.path.read_bytes())
        half = len(content) // 2
        content[half:] = b"\xa5" * half
        self.path.write_bytes(content)
        self.start()
        # The first use may be what finds the damage; the node then registers once more.
        self.registry.register(A, resources).addErrback(lambda _: None)
        self.slices.run()
        self.register(A, *resources)
        self.assertEqual(len(self.registry.holdings(["x0", "x1999"])), 2)
        aside = self.state / "registry.sqlite.damaged-1"
        self.assertEqual(len(aside.read_bytes()), len(content))

    def test_damaged_in_mid_list(self) -> None:
        """Where the file is lost while a list is written, nobody else is said to have the list."""
        self.start()
        resources = [ResourceInfo(f"x{number}", "name" * 20) for number in range(20_000)]
        self.register(A, *resources)
        self.restart()
        # Its node is looked up, all of its rows are read, and at the end a new one is written.
        self.registry.register(A, [*resources, Y])
        for _ in range(len(resources) // writer.READ_SLICE + 3):
            self.slices.step()
        size = self.path.stat().st_size
        with self.path.open("r+b") as file:
            file.write(b"\xa5" * size)
        with capturedLogs():
            self.assertEqual(self.locations("x12345"), [])
        self.assertTrue((self.state / "registry.sqlite.damaged-1").exists())
        self.register(B, X)
        self.assertEqual(self.locations(X.id), [B.location])
        for id in (Y.id, "x0", "x19999"):
            self.assertNotIn(B.location, self.locations(id))
        # Whose list it was is told to register again.
        self.assertFalse(self.registry.seen(A.location))
        self.register(A, *resources, Y)
        self.assertEqual(self.locations("x19999"), [A.location])

    def test_earlier_tables(self) -> None:
        """A file of an earlier version, which knew no parts, is set aside and not tripped over."""
        self.state.mkdir(parents=True)
        database = sqlite3.connect(self.path)
        database.execute(
            "CREATE TABLE holdings (holding INTEGER PRIMARY KEY, node, id, name, size)"
        )
        database.close()
        self.start()
        self.register(A, X)
        self.assertEqual(self.locations(X.id), [A.location])
        self.assertTrue((self.state / "registry.sqlite.damaged-1").exists())

    def test_earlier_version(self) -> None:
        """A file whose names have no normal form, of the version before, is set aside, and told."""
        earlier = SCHEMA.replace("    normal TEXT", "    -- TEXT").replace(
            "normal, content=''", "name"
        )
        for old, new in (("(rowid, normal)", "(rowid, name)"), ("rowid, normal)", "rowid, name)")):
            earlier = earlier.replace(old, new)
        earlier = earlier.replace("coalesce(new.normal, new.name)", "new.name")
        earlier = earlier.replace("coalesce(old.normal, old.name)", "old.name")
        self.assertNotIn("normal", earlier.replace("normal form", ""))
        self.state.mkdir(parents=True)
        database = sqlite3.connect(self.path)
        database.executescript(earlier)
        database.execute("INSERT INTO nodes VALUES (1, '10.0.0.1:8000', 'node', 1, 1)")
        database.execute("INSERT INTO holdings VALUES (1, 1, 'x', 'e\u0301.bin', 7, 0)")
        database.commit()
        database.close()
        with capturedLogs() as logged:
            self.start()
        (line,) = [formatEvent(event) for event in logged]
        self.assertIn("its tables are those of another version", line)
        self.assertIn("registry.sqlite.damaged-1", line)
        self.assertEqual(self.registry.nodes(), [])
        self.register(A, ResourceInfo("x", "e\u0301.bin"))
        self.assertEqual(self.names("\u00e9.bin"), ["e\u0301.bin"])
        self.restart()
        self.assertEqual(self.names("\u00e9.bin"), ["e\u0301.bin"])

    def test_parts_after_a_restart(self) -> None:
        """Who has only a part is still known as such after a restart."""
        self.start()
        self.register(A, ResourceInfo("x", "x.bin", 7, partial=True))
        self.restart()
        self.assertEqual(self.locations("x"), [])
        self.assertEqual(self.registry.holders("x").partial, [A.location])

    def test_other_programs(self) -> None:
        """Another program that opens the file is refused at once, and holds nothing up."""
        self.start()
        other = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        self.addCleanup(other.close)
        for statement in ("SELECT count(*) FROM nodes", "BEGIN IMMEDIATE"):
            self.assertRaises(sqlite3.OperationalError, other.execute, statement)
        self.register(A, X)
        self.assertEqual(self.locations(X.id), [A.location])

    def test_empty_file(self) -> None:
        """An empty file, as a full disk leaves it, is a registry with nothing in it."""
        self.state.mkdir(parents=True)
        self.path.touch()
        self.start()
        self.register(A, X)
        self.assertEqual(self.locations(X.id), [A.location])

    def test_folder_that_can_not_be(self) -> None:
        """Where the folder can't be made the user is told which, and why."""
        self.state.parent.mkdir(parents=True)
        self.state.write_text("a file")
        error = self.assertRaises(
            StartError, open_registry, self.slices.cooperator, self.state / "sub"
        )
        self.assertIn(f"--state {self.state / 'sub'}: can't keep anything there", str(error))

    def test_file_that_can_not_be_opened(self) -> None:
        """What is there and can't be opened is not damage, and is left alone."""
        self.path.mkdir(parents=True)
        error = self.assertRaises(StartError, open_registry, self.slices.cooperator, self.state)
        self.assertIn(f"--state {self.state}: can't keep anything there", str(error))
        self.assertTrue(self.path.is_dir())


NODES = st.sampled_from([A, B, C])
NAMES = st.sampled_from(["alpha.txt", "beta.txt", "gamma", "al", 'q"q"q', "100%"])
RESOURCES = st.builds(
    ResourceInfo,
    st.sampled_from([SHA256, "y", "z", "w"]),
    NAMES,
    st.none() | st.integers(0, 9),
    st.booleans(),
    st.lists(NAMES, max_size=2).map(tuple),
)
Operation = tuple[str, NodeInfo, list[ResourceInfo]]
OPERATIONS: st.SearchStrategy[list[Operation]] = st.lists(
    st.tuples(
        st.sampled_from(["register", "register", "remove", "seen"]),
        NODES,
        st.lists(RESOURCES, max_size=6),
    ),
    max_size=30,
)


class Model:
    """The same in a dict, the most recently seen node last."""

    def __init__(self) -> None:
        self.lists: dict[str, dict[str, ResourceInfo]] = {}

    @staticmethod
    def merged(resources: Sequence[ResourceInfo]) -> dict[str, ResourceInfo]:
        """Each id once: its first entry, with the names of all."""
        merged: dict[str, ResourceInfo] = {}
        for one in resources:
            first = merged.setdefault(one.id, one)
            names = dict.fromkeys([first.name, *first.other_names, one.name, *one.other_names])
            others = tuple(names)[1:]
            merged[one.id] = msgspec.structs.replace(first, other_names=others)
        return merged

    def apply(self, operation: str, node: NodeInfo, resources: Sequence[ResourceInfo]) -> None:
        location = node.location
        if operation == "register":
            self.lists.pop(location, None)
            self.lists[location] = self.merged(resources)
        elif operation == "remove":
            self.lists.pop(location, None)
        elif operation == "seen" and location in self.lists:
            self.lists[location] = self.lists.pop(location)

    def held(self, id: str) -> list[tuple[str, ResourceInfo]]:
        """Who has it or a part of it, the most recently seen first."""
        return [(at, mine[id]) for at, mine in reversed(self.lists.items()) if id in mine]

    def holders(self, id: str) -> Holders:
        held = self.held(id)
        names = [one.name for _, one in held]
        # In any order.
        for _, one in held:
            names += [] if one.partial else one.other_names
        others = sorted(dict.fromkeys(names[1:]).keys() - set(names[:1]))
        return Holders(
            id,
            [at for at, one in held if not one.partial],
            [at for at, one in held if one.partial],
            held[0][1].name if held else None,
            next((one.size for _, one in held if one.size is not None), None),
            others or UNSET,
        )

    def holdings(self, ids: Sequence[str]) -> list[Holding]:
        found = []
        for id in ids:
            held = [(at, one) for at, one in self.held(id) if not one.partial]
            if held:
                size = held[0][1].size
                file = HeldFile(
                    held[0][0],
                    [at for at, _ in held],
                    held[0][1].name,
                    UNSET if size is None else size,
                )
                found.append(Holding(id, file))
        return found

    def named(self, part: str) -> set[str]:
        return {
            one.id
            for mine in self.lists.values()
            for one in mine.values()
            if not one.partial and any(part in name for name in (one.name, *one.other_names))
        }


class ModelTests(SynchronousTestCase):
    """The registry does what a dict does."""

    def setUp(self) -> None:
        # So small that every list takes several slices.
        self.patch(writer, "WRITE_SLICE", 1)
        self.patch(writer, "READ_SLICE", 2)
        self.patch(wanted_rows, "LIST_SLICE", 2)
        self.patch(name_search, "SCAN_SLICE", 2)
        self.patch(name_search, "INDEX_SLICE", 2)

    @settings(deadline=None)
    @given(OPERATIONS)
    def test_like_a_dict(self, operations: list[Operation]) -> None:
        """After any operations, each seen through, all searches answer as the dict does."""
        slices = Slices()
        registry = open_registry(slices.cooperator, None)
        model = Model()
        try:
            for operation in operations:
                self.apply(registry, *operation)
                slices.run()
                model.apply(*operation)
                self.compare(registry, slices, model)
        finally:
            registry.close()

    @settings(deadline=None)
    @given(OPERATIONS)
    def test_interrupted(self, operations: list[Operation]) -> None:
        """The same in the end where each begins before the one before it is through."""
        slices = Slices()
        registry = open_registry(slices.cooperator, None)
        model = Model()
        try:
            for operation in operations:
                self.apply(registry, *operation)
                slices.step()
                model.apply(*operation)
            slices.run()
            self.assertEqual({node.location for node in registry.nodes()}, set(model.lists))
            for id in ["w", SHA256, "z", "y"]:
                found, expected = registry.holders(id), model.holders(id)
                self.assertEqual(set(found.locations), set(expected.locations))
                self.assertEqual(set(found.partial), set(expected.partial))
        finally:
            registry.close()

    def apply(
        self, registry: Registry, operation: str, node: NodeInfo, resources: list[ResourceInfo]
    ) -> None:
        match operation:
            case "register":
                registry.register(node, resources)
            case "remove":
                registry.remove(node.location)
            case "seen":
                registry.seen(node.location)

    def compare(self, registry: Registry, slices: Slices, model: Model) -> None:
        ids = ["w", SHA256, "unknown", "z", "y"]
        self.assertEqual(registry.holdings(ids), model.holdings(ids))
        for id in ids:
            holders = registry.holders(id)
            if holders.other_names is not UNSET:
                holders = msgspec.structs.replace(holders, other_names=sorted(holders.other_names))
            self.assertEqual(holders, model.holders(id))
        self.assertEqual({node.location for node in registry.nodes()}, set(model.lists))
        for part in ["alpha", "txt", "a", ".t", '"q', '"q"', "00%"]:
            found = registry.find(part)
            slices.run()
            ids_found = {holding.id for holding in self.successResultOf(found)}
            self.assertEqual(ids_found, model.named(part), part)
