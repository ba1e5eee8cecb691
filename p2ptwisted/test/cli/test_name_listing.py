"""Tests of `p2ptwisted.cli.name_listing`, and of `p2p find` with it."""

import io
import json
import sys
from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import find as find_module
from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.find import find
from p2ptwisted.cli.session import ICommandReactor, Session, Settings
from p2ptwisted.client.api import Client
from p2ptwisted.client.supernode_client import NamedPart
from p2ptwisted.errors import Trouble, Unreached
from p2ptwisted.model import HeldFile, Holders, Holding

ONE, TWO = "10.0.0.1:5000", "10.0.0.2:5000"


def holding(number: int, name: str, at: str) -> Holding:
    return Holding(f"{number:064x}", HeldFile(at, [at], name, 7))


class Supernodes:
    """A client of two supernodes that give their lists in parts of three."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Holding]] = {ONE: [], TWO: []}
        #: Supernodes of an earlier version, and those that fail after so many parts.
        self.older: set[str] = set()
        self.fails_after: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []

    async def other_supernodes(self, supernode: str) -> list[str]:
        return [TWO]

    async def finds_names(self, supernode: str) -> bool:
        return True

    async def holders(self, supernode: str, id: str, here: bool) -> Holders:
        return Holders(id, [], [])

    async def search_part(self, supernode: str, part: str, after: str) -> NamedPart:
        self.asked.append((supernode, after))
        if supernode in self.fails_after:
            self.fails_after[supernode] -= 1
            if self.fails_after[supernode] < 0:
                raise Unreached("a call", Trouble.SILENT)
        found = [one for one in self.lists[supernode] if one.id > after]
        if supernode in self.older:
            return NamedPart(found[:3], None, len(found) > 3)
        return NamedPart(found[:3], found[2].id if len(found) > 3 else None)


class FindTests(SynchronousTestCase):
    """What is found by a name, however much it is."""

    def setUp(self) -> None:
        self.supernodes = Supernodes()
        self.told = io.StringIO()
        self.patch(sys, "stderr", self.told)

    def find(self, *wanted: str, as_json: bool = True) -> tuple[ExitStatus, str]:
        printed = io.StringIO()
        self.patch(sys, "stdout", printed)
        settings = Settings(supernode=f"http://{ONE}", as_json=as_json)
        client = cast(Client, self.supernodes)
        session = Session(cast(ICommandReactor, None), client, settings)
        status = self.successResultOf(Deferred.fromCoroutine(find(session, wanted)))
        return status, printed.getvalue()

    def fill(self, count: int) -> None:
        """Every second at both, with a name of its own at each."""
        for number in range(count):
            self.supernodes.lists[ONE].append(holding(number, f"z{count - number}", "10.0.0.7:1"))
            if number % 2:
                self.supernodes.lists[TWO].append(holding(number, f"n{number}", "10.0.0.8:1"))

    def test_all(self) -> None:
        """The parts of all supernodes are followed to their end, and put together."""
        self.fill(20)
        status, printed = self.find("z")
        found = json.loads(printed)
        self.assertIs(status, ExitStatus.OK)
        self.assertEqual({one["id"] for one in found}, {f"{number:064x}" for number in range(20)})
        both = next(one for one in found if one["id"] == f"{1:064x}")
        self.assertEqual(both["locations"], ["10.0.0.7:1", "10.0.0.8:1"])
        self.assertEqual((both["name"], both["other_names"]), ("z19", ["n1"]))
        # In the order of their names, as they are not too many.
        self.assertEqual(sorted(found, key=lambda one: one["name"]), found)

    def test_streamed(self) -> None:
        """Where there are more than are sorted they are printed as they come, and not kept."""
        self.patch(find_module, "SORTED_MAX", 4)
        self.fill(20)
        found = json.loads(self.find("z")[1])
        ids = [one["id"] for one in found]
        self.assertEqual(ids, [f"{number:064x}" for number in range(20)])
        lines = self.find("z", as_json=False)[1].splitlines()
        self.assertEqual([line[:64] for line in lines if not line.startswith(" ")], ids)

    def test_asked_for_twice(self) -> None:
        """What several words mean is printed once."""
        self.fill(5)
        self.assertEqual(len(json.loads(self.find("z", "n")[1])), 5)

    def test_nothing(self) -> None:
        """That nothing was found is a document, too."""
        status, printed = self.find("z")
        self.assertIs(status, ExitStatus.NOT_FOUND)
        self.assertEqual(json.loads(printed), [])

    def test_earlier_version(self) -> None:
        """A supernode that tells no more than some is named, and the status says it."""
        self.fill(20)
        self.supernodes.older.add(TWO)
        self.assertIs(self.find("z")[0], ExitStatus.FAILED)
        self.assertIn(f"supernode {TWO} does not tell all", self.told.getvalue())
        self.supernodes.lists[TWO] = self.supernodes.lists[TWO][:2]
        self.assertIs(self.find("z")[0], ExitStatus.OK)

    def test_ends_in_the_middle(self) -> None:
        """One that stops answering in the middle is named; the others' are printed."""
        self.fill(20)
        self.supernodes.fails_after[TWO] = 1
        status, printed = self.find("z")
        self.assertIs(status, ExitStatus.FAILED)
        self.assertEqual(len(json.loads(printed)), 20)
        self.assertIn(f"supernode {TWO} gives no answer", self.told.getvalue())
        self.assertIn("the rest of what it knows", self.told.getvalue())
