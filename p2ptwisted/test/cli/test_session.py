"""Tests of `p2ptwisted.cli.session`."""

import io
import json
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, cast

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import members
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.find import find
from p2ptwisted.cli.matches import CANDIDATES_MAX, HOLDERS_MAX, FoundResource
from p2ptwisted.cli.output import MESSAGE_MAX
from p2ptwisted.cli.session import ICommandReactor, Session, Settings, distinct_supernodes, unique
from p2ptwisted.cli.share import share
from p2ptwisted.cli.status import GroupState, NodeState, SupernodeState, nodes, problems
from p2ptwisted.cli.target_nodes import target_nodes
from p2ptwisted.client.api import Client
from p2ptwisted.client.supernode_client import NamedPart
from p2ptwisted.errors import Trouble, UnknownResource, Unreached
from p2ptwisted.model import GoneNode, Health, HeldFile, Holders, Holding, NodeInfo
from p2ptwisted.support.round_robin import SHARE_MAX

ID, OTHER = "a" * 64, "b" * 64


def match(name: str | None, id: str = ID) -> FoundResource:
    return FoundResource(id, name, 7, ["10.0.0.1:8000"], [])


class SupernodesTests(SynchronousTestCase):
    """Those that answer by multicast."""

    def test_distinct(self) -> None:
        """One of this machine's is one, whatever its addresses; others are what they say."""
        self.patch(members, "is_own", lambda host: host in ("127.0.0.1", "10.0.0.1"))
        found = ["127.0.0.1:5000", "127.0.0.1:5001", "10.0.0.2:5000", "10.0.0.1:5000"]
        self.assertEqual(
            distinct_supernodes(found), ["10.0.0.2:5000", "10.0.0.1:5000", "127.0.0.1:5001"]
        )

    def test_known_to_the_named_one(self) -> None:
        """So it is with those that a named supernode knows; it comes first, as it was named."""
        self.patch(members, "is_own", lambda host: host in ("127.0.0.1", "10.0.0.1"))
        known = ["10.0.0.1:5000", "127.0.0.1:5001", "10.0.0.2:5000", "10.0.0.1:5001"]

        class Known:
            async def other_supernodes(self, supernode: str) -> Sequence[str]:
                return known[1:]

        settings = Settings(supernode="http://127.0.0.1:5000")
        session = Session(cast(ICommandReactor, None), cast(Client, Known()), settings)
        self.assertEqual(
            self.successResultOf(Deferred.fromCoroutine(session.supernodes())),
            ["127.0.0.1:5000", "10.0.0.2:5000", "10.0.0.1:5001"],
        )

    def test_crowded(self) -> None:
        """However many one address claims to have, those of others come before its second."""
        self.patch(members, "is_own", lambda host: False)
        many = [f"10.0.0.9:{port}" for port in range(1, 100)]
        found = distinct_supernodes([*many, "10.0.0.1:5000", "10.0.0.1:5001"])
        self.assertEqual(found[:3], [many[0], "10.0.0.1:5000", many[1]])
        self.assertEqual(len(found), 2 + SHARE_MAX)

    def test_silent(self) -> None:
        """One that doesn't answer holds up one question, and not each of a fetch's."""
        asked: list[str] = []

        class OneIsSilent:
            async def other_supernodes(self, supernode: str) -> Sequence[str]:
                return ["10.0.0.2:5000"]

            async def holders(self, supernode: str, id: str, here: bool) -> Holders:
                asked.append(supernode)
                if supernode == "10.0.0.1:5000":
                    raise Unreached("a call", Trouble.SILENT)
                return Holders(id, [], [])

        settings = Settings(supernode="http://10.0.0.1:5000")
        session = Session(cast(ICommandReactor, None), cast(Client, OneIsSilent()), settings)
        for _ in range(3):
            self.successResultOf(Deferred.fromCoroutine(session.holders(ID)))
        self.assertEqual(asked, ["10.0.0.1:5000", *["10.0.0.2:5000"] * 3])


class Registry:
    """A client of a group in which this is registered, and of nodes that have this of it."""

    def __init__(self) -> None:
        self.found: list[Holding] = []
        #: Whether all that is registered is found, whatever is asked for.
        self.finds_all = False
        #: What is really there, by location.
        self.there: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []

    def add(
        self, id: str, name: str, *locations: str, there: bool = True, others: Sequence[str] = ()
    ) -> None:
        other_names = list(others) or UNSET
        file = HeldFile(locations[0], list(locations), name, 7, other_names)
        self.found.append(Holding(id, file))
        if there:
            self.there[locations[-1]] = id

    async def other_supernodes(self, supernode: str) -> list[str]:
        return []

    async def finds_names(self, supernode: str) -> bool:
        return True

    async def holders(self, supernode: str, id: str, here: bool) -> Holders:
        return Holders(id, [], [])

    async def search_names(self, supernode: str, part: str) -> list[Holding]:
        if self.finds_all:
            return self.found
        return [one for one in self.found if any(part in name for name in one.file.names)]

    async def search_prefix(self, supernode: str, prefix: str) -> list[Holding]:
        return [one for one in self.found if one.id.startswith(prefix)]

    async def holds(self, location: str, id: str) -> bool:
        self.asked.append((location, id))
        return self.there.get(location) == id


class FindOneTests(SynchronousTestCase):
    """Which resource a name means."""

    def setUp(self) -> None:
        self.registry = Registry()
        settings = Settings(supernode="http://127.0.0.1:5000")
        self.session = Session(cast(ICommandReactor, None), cast(Client, self.registry), settings)

    def find_one(self, what: str) -> str:
        found = Deferred.fromCoroutine(self.session.find_one(what))
        return self.successResultOf(found).id

    def open(self, what: str) -> str:
        """What is said where it can be several."""
        found = Deferred.fromCoroutine(self.session.find_one(what))
        return str(self.failureResultOf(found, CommandError).value)

    def test_made_up(self) -> None:
        """A name that is claimed where nobody listens still means what is there."""
        self.registry.add(ID, "file", "10.0.0.1:8000")
        self.registry.add(OTHER, "file", "10.0.0.9:1", "10.0.0.9:2", there=False)
        self.assertEqual(self.find_one("file"), ID)

    def test_made_up_whole_name(self) -> None:
        """So it does where the part of a name that is asked for is claimed as a name."""
        self.registry.add(ID, "file.bin", "10.0.0.1:8000")
        self.registry.add(OTHER, "file", "10.0.0.9:1", there=False)
        self.assertEqual(self.find_one("file"), ID)

    def test_exact(self) -> None:
        """Of what is there, the whole name counts before a part of one."""
        self.registry.add(OTHER, "file.bin", "10.0.0.9:8000")
        self.registry.add(ID, "folder/file", "10.0.0.1:8000")
        self.assertEqual(self.find_one("file"), ID)

    def test_second_name(self) -> None:
        """A name that it has besides another is its name too, and what it then is called by."""
        self.registry.add(ID, "first.bin", "10.0.0.1:8000", others=["a/second.bin", "third"])
        self.registry.add(OTHER, "second.bin.old", "10.0.0.2:8000")
        found = self.session.find_one("second.bin")
        one = self.successResultOf(Deferred.fromCoroutine(found))
        self.assertEqual((one.id, one.name), (ID, "a/second.bin"))
        self.assertEqual(one.other_names, ["first.bin", "third"])

    def test_names_of_several_supernodes(self) -> None:
        """The names that supernodes know are put together, those like the one asked for first."""
        self.registry.add(ID, "one.bin", "10.0.0.1:8000", others=["x"])
        self.registry.add(ID, "two.bin", "10.0.0.2:8000", others=["x", "bin"])
        (one,) = self.successResultOf(Deferred.fromCoroutine(self.session.find("bin")))
        self.assertEqual(one.names, ["bin", "one.bin", "two.bin", "x"])
        self.assertEqual(one.locations, ["10.0.0.1:8000", "10.0.0.2:8000"])

    def test_partial(self) -> None:
        """Who has a part of what was found by name is known, from each supernode."""
        for location, part in (("10.0.0.1:8000", "10.0.0.3:1"), ("10.0.0.2:8000", "10.0.0.4:1")):
            file = HeldFile(location, [location], "a.bin", 7, partial=[part])
            self.registry.found.append(Holding(ID, file))
        (one,) = self.successResultOf(Deferred.fromCoroutine(self.session.find("a.bin")))
        self.assertEqual(one.partial, ["10.0.0.3:1", "10.0.0.4:1"])

    def test_forms(self) -> None:
        """A name is one, composed as people type it, or decomposed as a Mac's files have it."""
        composed, decomposed = "caf\u00e9.bin", "cafe\u0301.bin"
        for name, asked in ((composed, decomposed), (decomposed, composed)):
            self.registry.found = []
            self.registry.add(OTHER, f"old-{asked}", "10.0.0.2:8000")
            self.registry.add(ID, f"a/{name}", "10.0.0.1:8000", others=["x"])
            # What is found is the supernode's business.
            self.registry.finds_all = True
            one = self.successResultOf(Deferred.fromCoroutine(self.session.find_one(asked)))
            self.assertEqual((one.id, one.name), (ID, f"a/{name}"))

    def test_first_digits(self) -> None:
        """An id is meant by its first eight digits, unless that is a name; several are listed."""
        self.registry.add(ID, "one", "10.0.0.1:8000")
        self.assertEqual(self.find_one(ID[:8]), ID)
        twin = ID[:8] + OTHER[8:]
        self.registry.add(twin, "two", "10.0.0.2:8000")
        told = self.open(ID[:8])
        self.assertIn(ID, told)
        self.assertIn(twin, told)
        self.registry.add(OTHER, ID[:8], "10.0.0.3:8000")
        self.assertEqual(self.find_one(ID[:8]), OTHER)
        problem = Deferred.fromCoroutine(self.session.find_one("ab"))
        self.failureResultOf(problem, UnknownResource)

    def test_asked_for_by_two_names(self) -> None:
        """One that is asked for by two of its names comes by both, and by each once."""
        self.registry.add(ID, "a", "10.0.0.1:8000", others=["b"])
        found = self.session.find_each(["a", "b", "a", "b"])
        both, status = self.successResultOf(Deferred.fromCoroutine(found))
        self.assertEqual([(one.id, one.name) for one in both], [(ID, "a"), (ID, "b")])
        self.assertIs(status, ExitStatus.OK)

    def test_only_one(self) -> None:
        """What can be nothing else is fetched without a look: that will tell."""
        self.registry.add(ID, "file", "10.0.0.1:8000", there=False)
        self.assertEqual(self.find_one("file"), ID)
        self.assertEqual(self.registry.asked, [])

    def test_flood(self) -> None:
        """However much one host claims, the others' are looked at, and few are session."""
        for number in range(10 * CANDIDATES_MAX):
            id = f"{number:064x}"
            self.registry.add(id, "file", f"10.0.0.9:{number + 1}", there=False)
        # The honest id is claimed there, too.
        ports = [f"10.0.0.9:{port}" for port in range(1, 10 * HOLDERS_MAX)]
        self.registry.add(ID, "file", *ports, "10.0.0.1:8000")
        self.assertEqual(self.find_one("file"), ID)
        self.assertLessEqual(len(self.registry.asked), CANDIDATES_MAX * HOLDERS_MAX)

    def test_open(self) -> None:
        """Where several are there, each is told with its size and how many have it."""
        self.registry.add(ID, "file", "10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1")
        self.registry.add(OTHER, "file", "10.0.0.9:1")
        told = self.open("file")
        self.assertIn(f"{ID} (file, 7 B, at 2 addresses)", told)
        self.assertIn(f"{OTHER} (file, 7 B, at 1 address)", told)

    def test_none_there(self) -> None:
        """Where nobody says that he has any of them, it is as open as before."""
        self.registry.add(ID, "file", "10.0.0.1:1", there=False)
        self.registry.add(OTHER, "file", "10.0.0.9:1", there=False)
        self.assertIn("any of 2", self.open("file"))

    def test_long_names(self) -> None:
        """What a search can mean is told with each id, however long the names are."""
        names = ["a" * 4096 + str(number) for number in range(3)]
        found = [match(name, f"{number}" * 64) for number, name in enumerate(names)]

        async def find(what: str) -> list[FoundResource]:
            return found

        session = Session(cast(ICommandReactor, None), cast(Client, Registry()), Settings())
        self.patch(session, "find", find)
        told = str(
            self.failureResultOf(Deferred.fromCoroutine(session.find_one("a")), CommandError).value
        )
        self.assertLess(len(told), MESSAGE_MAX)
        for one in found:
            self.assertIn(one.id, told)

    def test_unique(self) -> None:
        """One that is asked for twice is fetched once, by the name that came first."""
        one, other = match("a"), match("b", OTHER)
        self.assertEqual(unique([one, other, match("c")]), [one, other])


class Silent:
    """A client of two supernodes, of which only these answer, and know nothing but nodes."""

    def __init__(self, *answering: str, listed: Sequence[NodeInfo] = ()) -> None:
        self.answering = answering
        self.listed = listed

    async def other_supernodes(self, supernode: str) -> list[str]:
        return ["10.0.0.2:5000"]

    async def nodes(self, supernode: str) -> list[NodeInfo]:
        return [*self._answer(supernode), *self.listed]

    async def gone(self, supernode: str) -> list[GoneNode]:
        return self._answer(supernode)

    async def search_names(self, supernode: str, part: str) -> list[Holding]:
        return self._answer(supernode)

    async def search_part(self, supernode: str, part: str, after: str) -> NamedPart:
        return NamedPart(self._answer(supernode), None)

    async def finds_names(self, supernode: str) -> bool:
        return not self._answer(supernode)

    def _answer(self, supernode: str) -> list[Any]:
        if supernode not in self.answering:
            raise Unreached("a call", Trouble.SILENT)
        return []


class SilenceTests(SynchronousTestCase):
    """What is not known, because a supernode doesn't answer, is not said not to be there."""

    def setUp(self) -> None:
        self.told = io.StringIO()
        self.patch(sys, "stderr", self.told)
        self.patch(sys, "stdout", io.StringIO())

    def session(self, *answering: str) -> Session:
        settings = Settings(supernode="http://10.0.0.1:5000")
        return Session(cast(ICommandReactor, None), cast(Client, Silent(*answering)), settings)

    def problem(self, work: Coroutine[Deferred[Any], Any, object]) -> CommandError:
        failure = self.failureResultOf(Deferred.fromCoroutine(work), CommandError)
        return cast(CommandError, failure.value)

    def test_all(self) -> None:
        """Where none answers nobody knows whether a node is registered."""
        for work in (
            nodes(self.session()),
            target_nodes(self.session(), (), True),
        ):
            problem = self.problem(work)
            self.assertIs(problem.status, ExitStatus.NOBODY)
            for supernode in ("10.0.0.1:5000", "10.0.0.2:5000"):
                self.assertIn(f"supernode {supernode} gives no answer", str(problem))

    def test_some(self) -> None:
        """Where one doesn't, it is told whose nodes are missing, and who may know more."""
        self.problem(nodes(self.session("10.0.0.1:5000")))
        self.assertIn("10.0.0.2:5000 gives no answer", self.told.getvalue())
        self.assertIn("its nodes are missing", self.told.getvalue())
        found = find(self.session("10.0.0.1:5000"), ("a name",))
        self.assertIs(self.successResultOf(Deferred.fromCoroutine(found)), ExitStatus.NOT_FOUND)
        self.assertIn("may know it can't be asked: supernode 10.0.0.2", self.told.getvalue())

    def test_status(self) -> None:
        """It is all that is wrong, as far as anybody knows."""
        (wrong,) = problems(GroupState([SupernodeState("10.0.0.1:5000", None)], [], []))
        self.assertEqual(wrong, "supernode 10.0.0.1:5000 gives no answer")

    def test_status_of_a_folder(self) -> None:
        """A node whose shared folder is gone is not well."""
        health = Health("n", 0, False, "10.0.0.1:5000", folder_problem="the folder is gone")
        node = NodeState("n", "10.0.0.2:8000", "10.0.0.1:5000", health)
        (wrong,) = problems(GroupState([], [node], []))
        self.assertEqual(wrong, "node n (10.0.0.2:8000): the folder is gone")


class UnreachableTests(SynchronousTestCase):
    """Nodes that their supernode can't reach."""

    def problems(self, node: NodeState) -> list[str]:
        return problems(GroupState([SupernodeState("10.0.0.1:5000", 1)], [node], []))

    def test_nobody(self) -> None:
        """One that this host can't reach either is one that nobody can; it is told once."""
        node = NodeState(
            "n", "10.0.0.9:8000", "10.0.0.1:5000", error="no answer in time", reachable=False
        )
        (wrong,) = self.problems(node)
        self.assertIn("nobody can reach 10.0.0.9:8000", wrong)
        self.assertIn("--location", wrong)

    def test_only_the_supernode(self) -> None:
        """Of one that this host can reach, it is told who can't."""
        node = NodeState("n", "10.0.0.9:8000", "10.0.0.1:5000", reachable=False)
        (wrong,) = self.problems(node)
        self.assertIn("supernode 10.0.0.1:5000 can't reach 10.0.0.9:8000, though this host", wrong)

    def test_listed(self) -> None:
        """The list of nodes says it, in JSON for each."""
        told, printed = io.StringIO(), io.StringIO()
        self.patch(sys, "stderr", told)
        nodes_there = [NodeInfo("a", "10.0.0.8:8000"), NodeInfo("b", "10.0.0.9:8000", False)]
        for as_json in (False, True):
            self.patch(sys, "stdout", printed)
            settings = Settings(supernode="http://10.0.0.1:5000", as_json=as_json)
            client = cast(Client, Silent("10.0.0.1:5000", listed=nodes_there))
            session = Session(cast(ICommandReactor, None), client, settings)
            listing = Deferred.fromCoroutine(nodes(session))
            self.assertIs(self.successResultOf(listing), ExitStatus.OK)
        self.assertIn("nobody can reach 10.0.0.9:8000", told.getvalue())
        found = json.loads(printed.getvalue()[printed.getvalue().index("[") :])
        self.assertEqual([one["reachable"] for one in found], [True, False])


class SecuredTests(SynchronousTestCase):
    """Where a URL says that TLS is spoken."""

    def setUp(self) -> None:
        self.arguments = (cast(ICommandReactor, None), cast(Client, Registry()))

    def test_without_authority(self) -> None:
        """No `https:` is called in plain HTTP: without --ca-file it is refused, unasked."""
        url = "https://127.0.0.1:5000"
        session = Session(*self.arguments, Settings(supernode=url))
        pulling = target_nodes(session, (url,), False)
        sharing = share(self.arguments[0], session, (__file__,), url, None, False)
        for work in (session.supernodes(), pulling, sharing):
            problem = self.failureResultOf(Deferred.fromCoroutine(work), CommandError).value
            self.assertIs(problem.status, ExitStatus.USAGE)
            self.assertIn("--ca-file", str(problem))

    def test_with_authority(self) -> None:
        """With one it is taken, and so are `http:` and none, for the group speaks TLS anyway."""
        for before in ("https://", "http://", ""):
            settings = Settings(supernode=f"{before}127.0.0.1:5000", ca_file="ca.pem")
            asking = Session(*self.arguments, settings).supernodes()
            found = self.successResultOf(Deferred.fromCoroutine(asking))
            self.assertEqual(found, ["127.0.0.1:5000"])
