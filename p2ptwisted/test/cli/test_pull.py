"""Tests of `p2ptwisted.cli.pull`, and of what is said of nodes that are missing, or lack it."""

import io
import json
import sys
from collections.abc import Sequence
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import members
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.expected import Expected, parse_expected
from p2ptwisted.cli.progress_display import Mode
from p2ptwisted.cli.pull import pull
from p2ptwisted.cli.pull_report import ALL_NAMED_MAX, LACKING_MAX, Outcome, closing_line, print_lost
from p2ptwisted.cli.session import ICommandReactor, Session, Settings
from p2ptwisted.cli.status import nodes as print_nodes
from p2ptwisted.cli.status import status as print_status
from p2ptwisted.client.api import Client
from p2ptwisted.client.order_client import TakenOrders
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import InvalidInput, Unavailable
from p2ptwisted.model import DownloadStatus, GoneNode, Health, Holders, NodeInfo, Order

SUPERNODE, OTHER = "10.0.0.1:5000", "10.0.0.2:5000"
ID, ALSO = "a" * 64, "b" * 64


class Group(Client):
    """A client of a group: supernodes with these nodes, where an order is done at once."""

    def __init__(self) -> None:
        self.listed = {
            SUPERNODE: [NodeInfo("nn1", "10.0.0.11:8000"), NodeInfo("nn2", "10.0.0.12:8000")],
            OTHER: [NodeInfo("nn3", "10.0.0.13:8000")],
        }
        self.went: dict[str, list[GoneNode]] = {}
        self.silent: set[str] = set()
        #: What orders come to, by the address of the node.
        self.errors: dict[str, Exception] = {}

    async def other_supernodes(self, supernode: str) -> list[str]:
        return [OTHER]

    async def nodes(self, supernode: str) -> list[NodeInfo]:
        if supernode in self.silent:
            raise Unavailable("no answer in time")
        return self.listed[supernode]

    async def gone(self, supernode: str) -> list[GoneNode]:
        return self.went.get(supernode, [])

    async def holders(self, supernode: str, id: str, here: bool = False) -> Holders:
        return Holders(id, ["10.0.0.11:8000"], [], f"{id[0]}.bin", 5)

    async def order_all(self, location: str, orders: Sequence[Order]) -> TakenOrders:
        if location in self.errors:
            raise self.errors[location]
        return TakenOrders([DownloadStatus(one.id, "done") for one in orders], True)

    async def fetches(
        self, location: str, ids: Sequence[str] | None = None
    ) -> list[DownloadStatus]:
        if location in self.errors:
            raise self.errors[location]
        return []

    async def fetch_status(self, location: str, id: str) -> DownloadStatus:
        raise self.errors[location]

    async def health(self, location: str) -> Health:
        return Health("", 1, False, SUPERNODE)


class GroupCase(SynchronousTestCase):
    """A group, and commands in it."""

    def setUp(self) -> None:
        self.group = Group()
        self.told, self.printed = io.StringIO(), io.StringIO()
        self.patch(sys, "stderr", self.told)
        self.patch(sys, "stdout", self.printed)

    def session(self, as_json: bool = False, progress: Mode = "none") -> Session:
        settings = Settings(supernode=f"http://{SUPERNODE}", as_json=as_json, progress=progress)
        return Session(cast(ICommandReactor, None), self.group, settings)

    def pull(
        self,
        *wanted: str,
        nodes: Sequence[str] = (),
        expect: Sequence[str] = (),
        as_json: bool = False,
        progress: Mode = "none",
    ) -> ExitStatus:
        """Pull to these nodes, or to all of them."""
        reactor = cast(ICommandReactor, Clock())
        session = self.session(as_json, progress)
        pulling = pull(reactor, session, wanted, tuple(nodes), not nodes, parse_expected(expect))
        return self.successResultOf(Deferred.fromCoroutine(pulling))

    def lines(self) -> list[str]:
        return [line.removeprefix("p2p: ") for line in self.told.getvalue().splitlines()]


class PullTests(GroupCase):
    """Counts that are true."""

    def test_all(self) -> None:
        """The last line says how many nodes have it."""
        self.assertIs(self.pull(ID), ExitStatus.OK)
        self.assertEqual(self.lines(), ["a.bin: 3 of 3 nodes have it, verified"])

    def test_json(self) -> None:
        """It does so beside JSON as well."""
        self.assertIs(self.pull(ID, as_json=True), ExitStatus.OK)
        self.assertEqual(len(json.loads(self.printed.getvalue())), 3)
        self.assertEqual(self.lines(), ["a.bin: 3 of 3 nodes have it, verified"])

    def test_one_silent(self) -> None:
        """One that can't be asked is named, and why, and the status is 1."""
        self.group.errors["10.0.0.13:8000"] = Unavailable("no answer in time")
        self.assertIs(self.pull(ID), ExitStatus.FAILED)
        said, last = self.lines()
        self.assertIn("node nn3 at 10.0.0.13:8000 can't be asked: no answer in time", said)
        self.assertEqual(
            last,
            "a.bin: 2 of 3 nodes are known to have it, verified; "
            "nn3 at 10.0.0.13:8000 can't be asked",
        )

    def test_alone(self) -> None:
        """Where one file to one node is all there was, and fails, one line says it."""
        self.group.listed = {SUPERNODE: [NodeInfo("nn1", "10.0.0.11:8000")], OTHER: []}
        self.group.errors["10.0.0.11:8000"] = Refused(403, "no")
        self.assertIs(self.pull(ID), ExitStatus.FAILED)
        (said,) = self.lines()
        self.assertIn("nn1 at 10.0.0.11:8000: it doesn't take orders from here", said)

    def test_holder_refuses(self) -> None:
        """Of a node that takes no order it isn't said that it lacks what it may have."""
        for location in ("10.0.0.11:8000", "10.0.0.12:8000", "10.0.0.13:8000"):
            self.group.errors[location] = Refused(403, "you call from 10.0.0.9")
        self.assertIs(self.pull(ID), ExitStatus.FAILED)
        self.assertIn("a.bin: 0 of 3 nodes are known to have it; nn1 at", self.lines()[-1])

    def test_several_missing(self) -> None:
        """Of several files each that is missing is named."""
        self.group.errors["10.0.0.13:8000"] = Refused(403, "you call from 10.0.0.9")
        self.assertIs(self.pull(ID, ALSO), ExitStatus.FAILED)
        why, first, second, last = self.lines()
        self.assertIn("nn3 at 10.0.0.13:8000: it doesn't take orders from here", why)
        self.assertTrue(why.endswith("; missing there are 2 of 2:"), why)
        self.assertEqual((first.strip(), second.strip()), ("a.bin", "b.bin"))
        self.assertIn("2 files: 2 of 3 nodes are known to have all of them, verified;", last)

    def test_many(self) -> None:
        """Of several files a node has one line, and one in the result."""
        self.assertIs(self.pull(ID, ALSO, progress="plain"), ExitStatus.OK)
        self.assertEqual(
            self.lines(),
            [
                *(f"nn{number}: had both files already" for number in (1, 2, 3)),
                "2 files: 3 of 3 nodes have all of them, verified",
            ],
        )
        first, *_ = printed = self.printed.getvalue().splitlines()
        self.assertEqual((len(printed), first), (3, "nn1  10.0.0.11:8000  2 files  10 B"))

    def test_all_of_many_missing(self) -> None:
        """A node that lacks all of many files is not told them one by one."""
        names = [f"{number}.bin" for number in range(ALL_NAMED_MAX + 1)]
        print_lost("nn3 is gone", len(names), names)
        (line,) = self.lines()
        self.assertEqual(line, "nn3 is gone; as far as is known it has none of the 11 files")
        print_lost("nn3 is gone", len(names), names[1:])
        self.assertEqual([line.strip() for line in self.lines()[2:]], names[1:])

    def test_gone(self) -> None:
        """Those that went lately are named, with when and how; that alone is no failure."""
        self.group.went[SUPERNODE] = [
            GoneNode("nn4", "10.0.0.14:8000", 40.4, "lost"),
            GoneNode("nn5", "10.0.0.15:8000", 600.0, "goodbye"),
        ]
        self.assertIs(self.pull(ID), ExitStatus.OK)
        self.assertEqual(
            self.lines(),
            [
                "nn4 at 10.0.0.14:8000: gone 40 s ago, it stopped answering",
                "nn5 at 10.0.0.15:8000: gone 10 min ago, it said goodbye",
                "a.bin: 3 of 3 nodes have it, verified",
            ],
        )

    def test_gone_elsewhere(self) -> None:
        """One that went from one supernode to another has not gone; others are told once."""
        self.group.went = {
            SUPERNODE: [
                GoneNode("nn3", "10.0.0.13:8000", 9.0, "lost"),
                GoneNode("nn4", "10.0.0.14:8000", 40.0, "lost"),
            ],
            OTHER: [GoneNode("nn4", "10.0.0.14:8000", 20.0, "goodbye")],
        }
        self.assertIs(self.pull(ID), ExitStatus.OK)
        gone, _ = self.lines()
        self.assertEqual(gone, "nn4 at 10.0.0.14:8000: gone 20 s ago, it said goodbye")

    def test_silent_supernode(self) -> None:
        """Where a supernode doesn't say which nodes it has, they are not all."""
        self.group.silent = {OTHER}
        self.assertIs(self.pull(ID), ExitStatus.FAILED)
        said, last = self.lines()
        self.assertIn(f"supernode {OTHER} can't be asked", said)
        self.assertEqual(last, "a.bin: 2 of 2 nodes have it, verified")


class NamedNodeTests(GroupCase):
    """`--node`, with a node's name."""

    def error(self, *nodes: str) -> CommandError:
        pulling = pull(
            cast(ICommandReactor, Clock()), self.session(), (ID,), nodes, False, parse_expected([])
        )
        return self.failureResultOf(Deferred.fromCoroutine(pulling), CommandError).value  # type: ignore[no-any-return]

    def test_named(self) -> None:
        """A name that p2p nodes prints is a node, as an address is; each counts once."""
        nodes = ("nn3", "10.0.0.12:8000", "http://10.0.0.13:8000")
        self.assertIs(self.pull(ID, nodes=nodes), ExitStatus.OK)
        self.assertEqual(
            self.printed.getvalue().splitlines(),
            [
                "nn3  10.0.0.13:8000  a.bin  5 B",
                "10.0.0.12:8000  10.0.0.12:8000  a.bin  5 B",
            ],
        )

    def test_same_name(self) -> None:
        """A name that several nodes have is refused, with their locations."""
        self.group.listed[OTHER].append(NodeInfo("nn1", "10.0.0.14:8000"))
        error = self.error("nn1")
        self.assertIs(error.status, ExitStatus.USAGE)
        self.assertIn("2 nodes have that name", str(error))
        self.assertIn("10.0.0.11:8000, 10.0.0.14:8000", str(error))

    def test_unknown(self) -> None:
        """What is neither the name of a node nor of a host is told to be neither."""

        async def resolve(reactor: ICommandReactor, host: str) -> str:
            if host == "nn9":
                raise InvalidInput("it can't be resolved")
            return host

        self.patch(members, "resolve", resolve)
        error = self.error("nn9")
        self.assertIs(error.status, ExitStatus.USAGE)
        self.assertEqual(
            str(error),
            "--node nn9: it can't be resolved; nor has any node that name: p2p nodes lists them",
        )
        self.group.went[SUPERNODE] = [GoneNode("nn9", "10.0.0.19:8000", 40.0, "lost")]
        error = self.error("nn9")
        self.assertIs(error.status, ExitStatus.NOBODY)
        self.assertIn("--node nn9: gone 40 s ago, it stopped answering", str(error))


class ExpectTests(GroupCase):
    """`--expect`."""

    def test_enough(self) -> None:
        """What is expected and there, by number, name, location or address, changes nothing."""
        for expect in (["3"], ["2"], ["nn1,nn3"], ["nn1", "10.0.0.12"], ["10.0.0.13:8000", "3"]):
            self.assertIs(self.pull(ID, expect=expect), ExitStatus.OK, expect)
        self.assertEqual({*self.lines()}, {"a.bin: 3 of 3 nodes have it, verified"})

    def test_too_few(self) -> None:
        """Fewer than that many are a failure, and the count has those that are missing."""
        self.assertIs(self.pull(ID, expect=["4"]), ExitStatus.FAILED)
        self.assertEqual(
            self.lines(),
            ["4 nodes are expected, and 3 are there", "a.bin: 3 of 4 nodes have it, verified"],
        )

    def test_missing_name(self) -> None:
        """One that isn't there is a failure, named, with what is known of it."""
        self.group.went[OTHER] = [GoneNode("nn4", "10.0.0.14:8000", 40.0, "lost")]
        self.assertIs(self.pull(ID, expect=["nn1, nn4,nn5"]), ExitStatus.FAILED)
        self.assertEqual(
            self.lines(),
            [
                "nn4 is expected, and isn't there: gone 40 s ago, it stopped answering",
                "nn5 is expected, and isn't there: no node of that name was here lately",
                "a.bin: 3 of 5 nodes have it, verified",
            ],
        )

    def test_lacking(self) -> None:
        """One that is there and doesn't get it fails as it does in any case."""
        self.group.errors["10.0.0.13:8000"] = Refused(403, "no")
        self.assertIs(self.pull(ID, expect=["nn3"]), ExitStatus.FAILED)

    def test_parsed(self) -> None:
        """A number and names may both be given, each name once."""
        self.assertEqual(parse_expected(["a,b", "3", "b,c", "2"]), Expected(3, ("a", "b", "c")))
        self.assertEqual(parse_expected([]), Expected())
        for wrong in ("0", "1000000", "a,,b", ",", "a,"):
            error = self.assertRaises(CommandError, parse_expected, [wrong])
            self.assertIs(error.status, ExitStatus.USAGE)
            self.assertIn("nn1,nn2", str(error))


class ClosingTests(SynchronousTestCase):
    """The last line."""

    def test_nobody(self) -> None:
        """Where nobody has it, nothing is verified."""
        said = closing_line(["a"], [Outcome("10.0.0.1:1", "10.0.0.1:1", ["a"])], 1)
        self.assertEqual(said, "a: 0 of 1 node has it; 10.0.0.1:1 lacks it")

    def test_lacking(self) -> None:
        """One that lacks something is named, and what."""
        said = closing_line(["a", "b"], [Outcome("n", "10.0.0.1:1", ["a"])], 1)
        self.assertEqual(
            said, "2 files: 0 of 1 node has all of them; n at 10.0.0.1:1 lacks 1 of them"
        )

    def test_one(self) -> None:
        """One has it."""
        said = closing_line(["a", "b"], [Outcome("n", "10.0.0.1:1", [])], 1)
        self.assertEqual(said, "2 files: 1 of 1 node has all of them, verified")

    def test_many_lack(self) -> None:
        """Of very many that lack something some are named, and the others counted."""
        outcomes = [Outcome(f"n{number}", "10.0.0.1:1", ["a"]) for number in range(50)]
        said = closing_line(["a"], outcomes, 50)
        self.assertIn("; n9 at", said)
        self.assertNotIn("; n10 at", said)
        self.assertTrue(said.endswith(f"and {50 - LACKING_MAX} more lack something"), said)


class StatusTests(GroupCase):
    """What other commands say of nodes that have gone."""

    def setUp(self) -> None:
        super().setUp()
        self.group.went[SUPERNODE] = [
            GoneNode("nn4", "10.0.0.14:8000", 40.0, "lost"),
            GoneNode("", "127.0.0.1:8000", 60.0, "new word"),
        ]

    async def _no_fetches(self, location: str) -> list[DownloadStatus]:
        return []

    def test_status(self) -> None:
        """`p2p status` has a table of them, in JSON a list; nothing is wrong with the group."""
        self.patch(self.group, "fetches", self._no_fetches)
        for as_json in (False, True):
            running = Deferred.fromCoroutine(print_status(self.session(as_json)))
            self.assertIs(self.successResultOf(running), ExitStatus.OK)
        said = self.printed.getvalue()
        self.assertRegex(said, r"nn4 +10.0.0.14:8000 +gone 40 s ago +it stopped answering")
        found = json.loads(said[said.index("{") :])
        self.assertEqual(
            found["gone"][0],
            {
                "name": "nn4",
                "location": "10.0.0.14:8000",
                "supernode": SUPERNODE,
                "seconds": 40.0,
                "how": "lost",
            },
        )
        # What is loopback to a supernode is that host.
        self.assertEqual(found["gone"][1]["location"], "10.0.0.1:8000")

    def test_nodes(self) -> None:
        """`p2p nodes` has a line for each, of very many for some."""
        running = Deferred.fromCoroutine(print_nodes(self.session()))
        self.assertIs(self.successResultOf(running), ExitStatus.OK)
        first, second = self.lines()
        self.assertEqual(first, "nn4 at 10.0.0.14:8000: gone 40 s ago, it stopped answering")
        self.assertEqual(second, "10.0.0.1:8000: gone 60 s ago, new word")
        self.group.went[SUPERNODE] = [
            GoneNode("n", f"10.0.1.{number}:1", 1.0, "lost") for number in range(50)
        ]
        self.successResultOf(Deferred.fromCoroutine(print_nodes(self.session())))
        self.assertEqual(len(self.lines()), 2 + 10 + 1)
        self.assertIn("40 more", self.lines()[-1])
