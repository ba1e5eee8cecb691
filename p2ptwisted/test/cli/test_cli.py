"""Tests of the parts of `p2ptwisted.cli` that touch no network."""

import io
import json
import os
import sys
from collections.abc import Coroutine, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import session as group
from p2ptwisted.cli import share as share_module
from p2ptwisted.cli.exit_status import ExitStatus, Problem, worst
from p2ptwisted.cli.find import find
from p2ptwisted.cli.get import GetJob, places
from p2ptwisted.cli.main import main
from p2ptwisted.cli.matches import CANDIDATES_MAX, HOLDERS_MAX, Match
from p2ptwisted.cli.output import LINE_MAX, TOLD_MAX, say, say_table, size_of, tell
from p2ptwisted.cli.pull import targets
from p2ptwisted.cli.session import Session, Settings, distinct, unique
from p2ptwisted.cli.share import share
from p2ptwisted.cli.status import GroupState, SupernodeState, nodes, problems
from p2ptwisted.client.api import Client
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Health, HeldFile, Holders, Holding, NodeInfo
from p2ptwisted.node.service import INodeReactor
from p2ptwisted.support.round_robin import SHARE_MAX
from p2ptwisted.support.throttle import RateLimit
from p2ptwisted.test.fakes import Slices

ID, OTHER = "a" * 64, "b" * 64


def match(name: str | None, id: str = ID) -> Match:
    return Match(id, name, 7, ["10.0.0.1:8000"], [])


class OutputTests(SynchronousTestCase):
    """What a person reads."""

    def test_long(self) -> None:
        """However long a stranger's words are, a line is bounded."""
        for stream, print_it, most in (
            ("stderr", lambda text: tell(text), TOLD_MAX + 10),
            ("stdout", lambda text: say(text), LINE_MAX + 1),
            ("stdout", lambda text: say_table(("A",), [(text,)]), 3 * LINE_MAX),
        ):
            written = io.StringIO()
            self.patch(sys, stream, written)
            print_it("\U000e0001" * 100_000)
            self.assertLessEqual(len(written.getvalue()), most)
            self.assertIn("\\U000e0001", written.getvalue())

    def test_long_names(self) -> None:
        """What a search can mean is told with each id, however long the names are."""
        names = ["a" * 4096 + str(number) for number in range(3)]
        found = [match(name, f"{number}" * 64) for number, name in enumerate(names)]

        async def find(what: str) -> list[Match]:
            return found

        asked = Session(cast(INodeReactor, None), cast(Client, Registry()), Settings())
        self.patch(asked, "find", find)
        told = str(self.failureResultOf(Deferred.fromCoroutine(asked.one("a")), Problem).value)
        self.assertLess(len(told), TOLD_MAX)
        for one in found:
            self.assertIn(one.id, told)

    def test_sizes(self) -> None:
        """Bytes come in the unit that a person would choose."""
        for size, shown in (
            (None, "size unknown"),
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1024**2 - 1, "1.0 MiB"),
            (3 * 1024**4, "3.0 TiB"),
        ):
            self.assertEqual(size_of(size), shown)


class PlacesTests(SynchronousTestCase):
    """Where fetched files go."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_folder(self) -> None:
        """Into a folder, that is there or that ends in a slash, they go by their own names."""
        for output in (str(self.folder), f"{self.folder}/new/"):
            found = places([match("data/a"), match("b", OTHER)], output)
            self.assertEqual(found, [Path(output, "a"), Path(output, "b")])

    def test_here(self) -> None:
        """Without a word they go to this folder."""
        self.assertEqual(places([match("data/a")], None), [Path("a")])

    def test_file(self) -> None:
        """One can be given a name; several can't."""
        as_file = str(self.folder / "as")
        self.assertEqual(places([match("a")], as_file), [Path(as_file)])
        error = self.assertRaises(Problem, places, [match("a"), match("b", OTHER)], as_file)
        self.assertEqual(error.status, ExitStatus.USAGE)

    def test_nameless(self) -> None:
        """One without a name is called by its id."""
        self.assertEqual(places([match(None)], None), [Path(ID)])

    def test_hostile(self) -> None:
        """No name leads out of the folder."""
        for name in ("../../etc/passwd", "/etc/passwd", "..", "a/../..", ".hidden"):
            (place,) = places([match(name)], str(self.folder))
            self.assertEqual(place.parent, self.folder)
            self.assertFalse(place.name.startswith("."))

    def test_a_lying_size(self) -> None:
        """What is here already is, whatever size a stranger says that it has."""
        path = self.folder / "file"
        path.write_bytes(b"content")
        slices = Slices()
        getting = GetJob(Match(sha256(b"content").hexdigest(), "file", 99, [], []), path)
        reactor = cast(INodeReactor, Clock())
        run = getting.run(reactor, cast(Session, None), slices.cooperator, False, RateLimit(None))
        got = Deferred.fromCoroutine(run)
        slices.run()
        self.successResultOf(got)
        self.assertEqual((getting.got.state, getting.got.size), ("present", 7))

    def test_same_name(self) -> None:
        """Two that would go to one place are refused."""
        self.assertRaises(Problem, places, [match("x/a"), match("y/a", OTHER)], None)

    def test_unique(self) -> None:
        """One that is asked for twice is fetched once."""
        one, other = match("a"), match("b", OTHER)
        self.assertEqual(unique([one, other, match("c")]), [match("c"), other])


class SupernodesTests(SynchronousTestCase):
    """Those that answer by multicast."""

    def test_distinct(self) -> None:
        """One of this machine's is one, whatever its addresses; others are what they say."""
        self.patch(group, "is_own", lambda host: host in ("127.0.0.1", "10.0.0.1"))
        found = ["127.0.0.1:5000", "127.0.0.1:5001", "10.0.0.2:5000", "10.0.0.1:5000"]
        self.assertEqual(distinct(found), ["10.0.0.2:5000", "10.0.0.1:5000", "127.0.0.1:5001"])

    def test_crowded(self) -> None:
        """However many one address claims to have, those of others come before its second."""
        self.patch(group, "is_own", lambda host: False)
        many = [f"10.0.0.9:{port}" for port in range(1, 100)]
        found = distinct([*many, "10.0.0.1:5000", "10.0.0.1:5001"])
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
                    raise Unavailable("no answer in time")
                return Holders(id, [], [])

        settings = Settings(supernode="http://10.0.0.1:5000")
        group = Session(cast(INodeReactor, None), cast(Client, OneIsSilent()), settings)
        for _ in range(3):
            self.successResultOf(Deferred.fromCoroutine(group.holders(ID)))
        self.assertEqual(asked, ["10.0.0.1:5000", *["10.0.0.2:5000"] * 3])

    def test_known_to_the_named_one(self) -> None:
        """So it is with those that a named supernode knows; it comes first, as it was named."""
        self.patch(group, "is_own", lambda host: host in ("127.0.0.1", "10.0.0.1"))
        known = ["10.0.0.1:5000", "127.0.0.1:5001", "10.0.0.2:5000", "10.0.0.1:5001"]

        class Known:
            async def other_supernodes(self, supernode: str) -> Sequence[str]:
                return known[1:]

        settings = Settings(supernode="http://127.0.0.1:5000")
        asked = Session(cast(INodeReactor, None), cast(Client, Known()), settings)
        self.assertEqual(
            self.successResultOf(Deferred.fromCoroutine(asked.supernodes())),
            ["127.0.0.1:5000", "10.0.0.2:5000", "10.0.0.1:5001"],
        )


class Silent:
    """A client of two supernodes, of which only these answer, and know nothing."""

    def __init__(self, *answering: str) -> None:
        self.answering = answering

    async def other_supernodes(self, supernode: str) -> list[str]:
        return ["10.0.0.2:5000"]

    async def nodes(self, supernode: str) -> list[NodeInfo]:
        return self._answer(supernode)

    async def search_names(self, supernode: str, part: str) -> list[Holding]:
        return self._answer(supernode)

    async def finds_names(self, supernode: str) -> bool:
        return not self._answer(supernode)

    def _answer(self, supernode: str) -> list[Any]:
        if supernode not in self.answering:
            raise Unavailable("no answer in time")
        return []


class SilenceTests(SynchronousTestCase):
    """What is not known, because a supernode doesn't answer, is not said not to be there."""

    def setUp(self) -> None:
        self.told = io.StringIO()
        self.patch(sys, "stderr", self.told)
        self.patch(sys, "stdout", io.StringIO())

    def group(self, *answering: str) -> Session:
        settings = Settings(supernode="http://10.0.0.1:5000")
        return Session(cast(INodeReactor, None), cast(Client, Silent(*answering)), settings)

    def problem(self, work: Coroutine[Deferred[Any], Any, object]) -> Problem:
        failure = self.failureResultOf(Deferred.fromCoroutine(work), Problem)
        return cast(Problem, failure.value)

    def test_all(self) -> None:
        """Where none answers nobody knows whether a node is registered."""
        for work in (
            nodes(self.group()),
            targets(self.group(), (), True),
        ):
            problem = self.problem(work)
            self.assertIs(problem.status, ExitStatus.NOBODY)
            self.assertIn("none of 10.0.0.1:5000, 10.0.0.2:5000 answers", str(problem))

    def test_some(self) -> None:
        """Where one doesn't, it is told whose nodes are missing, and who may know more."""
        self.problem(nodes(self.group("10.0.0.1:5000")))
        self.assertIn("10.0.0.2:5000 doesn't answer", self.told.getvalue())
        found = find(self.group("10.0.0.1:5000"), ("a name",))
        self.assertIs(self.successResultOf(Deferred.fromCoroutine(found)), ExitStatus.NOT_FOUND)
        self.assertIn("10.0.0.2:5000 doesn't answer, and may know", self.told.getvalue())

    def test_status(self) -> None:
        """It is all that is wrong, as far as anybody knows."""
        (wrong,) = problems(GroupState([SupernodeState("10.0.0.1:5000", None)], [], []))
        self.assertIn("answers datagrams but not HTTP", wrong)


class SecuredTests(SynchronousTestCase):
    """Where a URL says that TLS is spoken."""

    def setUp(self) -> None:
        self.arguments = (cast(INodeReactor, None), cast(Client, Registry()))

    def test_without_authority(self) -> None:
        """No `https:` is called in plain HTTP: without --ca-file it is refused, unasked."""
        url = "https://127.0.0.1:5000"
        asked = Session(*self.arguments, Settings(supernode=url))
        pulling = targets(asked, (url,), False)
        sharing = share(self.arguments[0], asked, (__file__,), url, None, False)
        for work in (asked.supernodes(), pulling, sharing):
            problem = self.failureResultOf(Deferred.fromCoroutine(work), Problem).value
            self.assertIs(problem.status, ExitStatus.USAGE)
            self.assertIn("--ca-file", str(problem))

    def test_with_authority(self) -> None:
        """With one it is taken, and so are `http:` and none, for the group speaks TLS anyway."""
        for before in ("https://", "http://", ""):
            settings = Settings(supernode=f"{before}127.0.0.1:5000", ca_file="ca.pem")
            asking = Session(*self.arguments, settings).supernodes()
            found = self.successResultOf(Deferred.fromCoroutine(asking))
            self.assertEqual(found, ["127.0.0.1:5000"])


class Registry:
    """A client of a group in which this is registered, and of nodes that have this of it."""

    def __init__(self) -> None:
        self.found: list[Holding] = []
        #: What is really there, by location.
        self.there: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []

    def add(self, id: str, name: str, *locations: str, there: bool = True) -> None:
        self.found.append(Holding(id, HeldFile(locations[0], list(locations), name, 7)))
        if there:
            self.there[locations[-1]] = id

    async def other_supernodes(self, supernode: str) -> list[str]:
        return []

    async def search_names(self, supernode: str, part: str) -> list[Holding]:
        return [one for one in self.found if part in str(one.file.name)]

    async def holds(self, location: str, id: str) -> bool:
        self.asked.append((location, id))
        return self.there.get(location) == id


class OneTests(SynchronousTestCase):
    """Which resource a name means."""

    def setUp(self) -> None:
        self.registry = Registry()
        settings = Settings(supernode="http://127.0.0.1:5000")
        self.group = Session(cast(INodeReactor, None), cast(Client, self.registry), settings)

    def one(self, what: str) -> str:
        found = Deferred.fromCoroutine(self.group.one(what))
        return self.successResultOf(found).id

    def open(self, what: str) -> str:
        """What is said where it can be several."""
        found = Deferred.fromCoroutine(self.group.one(what))
        return str(self.failureResultOf(found, Problem).value)

    def test_made_up(self) -> None:
        """A name that is claimed where nobody listens still means what is there."""
        self.registry.add(ID, "file", "10.0.0.1:8000")
        self.registry.add(OTHER, "file", "10.0.0.9:1", "10.0.0.9:2", there=False)
        self.assertEqual(self.one("file"), ID)

    def test_made_up_whole_name(self) -> None:
        """So it does where the part of a name that is asked for is claimed as a name."""
        self.registry.add(ID, "file.bin", "10.0.0.1:8000")
        self.registry.add(OTHER, "file", "10.0.0.9:1", there=False)
        self.assertEqual(self.one("file"), ID)

    def test_exact(self) -> None:
        """Of what is there, the whole name counts before a part of one."""
        self.registry.add(OTHER, "file.bin", "10.0.0.9:8000")
        self.registry.add(ID, "folder/file", "10.0.0.1:8000")
        self.assertEqual(self.one("file"), ID)

    def test_only_one(self) -> None:
        """What can be nothing else is fetched without a look: that will tell."""
        self.registry.add(ID, "file", "10.0.0.1:8000", there=False)
        self.assertEqual(self.one("file"), ID)
        self.assertEqual(self.registry.asked, [])

    def test_flood(self) -> None:
        """However much one host claims, the others' are looked at, and few are asked."""
        for number in range(10 * CANDIDATES_MAX):
            id = f"{number:064x}"
            self.registry.add(id, "file", f"10.0.0.9:{number + 1}", there=False)
        # The honest id is claimed there, too.
        ports = [f"10.0.0.9:{port}" for port in range(1, 10 * HOLDERS_MAX)]
        self.registry.add(ID, "file", *ports, "10.0.0.1:8000")
        self.assertEqual(self.one("file"), ID)
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


class ShareTests(SynchronousTestCase):
    """Where shared files are put."""

    def test_folder_of_another_machine(self) -> None:
        """What a node elsewhere calls its folder is not believed: it may be any of ours."""
        folder, file = Path(self.mktemp()), Path(self.mktemp())
        folder.mkdir()
        file.write_bytes(b"content")

        class Far:
            async def health(self, location: str) -> Health:
                return Health("far", 0, False, None, str(folder))

        asked = Session(cast(INodeReactor, None), cast(Client, Far()), Settings())
        sharing = share(
            cast(INodeReactor, None), asked, (str(file),), "http://192.0.2.99:8000", None, False
        )
        problem = self.failureResultOf(Deferred.fromCoroutine(sharing), Problem).value
        self.assertIs(problem.status, ExitStatus.USAGE)
        self.assertIn("--folder", str(problem))
        self.assertEqual(list(folder.iterdir()), [])

    def test_there_already(self) -> None:
        """What can't be opened, or has another size, is another file, and is not read."""
        folder, file = Path(self.mktemp()), Path(self.mktemp())
        folder.mkdir()

        class Near:
            async def health(self, location: str) -> Health:
                return Health("near", 0, False, None, str(folder))

        reactor = cast(INodeReactor, Clock())
        asked = Session(reactor, cast(Client, Near()), Settings())
        read: list[object] = []

        def hashing(file: object, digest: object) -> Iterator[None]:
            read.append(file)
            yield

        self.patch(share_module, "hashing", hashing)
        there = folder / file.name
        for content, put in (
            (b"", lambda: os.mkfifo(there)),
            (b"content", lambda: there.write_bytes(b"longer content")),
        ):
            file.write_bytes(content)
            put()
            sharing = Deferred.fromCoroutine(
                share(reactor, asked, (str(file),), "http://127.0.0.1:8000", None, False)
            )
            cast(Clock, reactor).pump([0.1] * 10)
            problem = self.failureResultOf(sharing, Problem).value
            self.assertIn("exists and is another file", str(problem))
            self.assertEqual(read, [])
            there.unlink()

    def test_folder_not_told(self) -> None:
        """A node of this machine that is called by another address of it tells no folder."""

        class Near:
            async def health(self, location: str) -> Health:
                return Health("near", 0, False, None)

        asked = Session(cast(INodeReactor, None), cast(Client, Near()), Settings())
        self.patch(share_module, "is_own", lambda host: True)
        sharing = share(cast(INodeReactor, None), asked, (), "http://192.0.2.1:8000", None, False)
        problem = self.failureResultOf(Deferred.fromCoroutine(sharing), Problem).value
        self.assertIn("call it as 127.0.0.1", str(problem))


class StatusTests(SynchronousTestCase):
    """What a script learns."""

    def setUp(self) -> None:
        self.out, self.told = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.told)

    def result(self) -> str:
        self.out.seek(0)
        return self.out.read()

    def test_worst(self) -> None:
        """Of several pieces of work the first that failed decides."""
        self.assertIs(worst([]), ExitStatus.OK)
        self.assertIs(
            worst([ExitStatus.OK, ExitStatus.NOT_FOUND, ExitStatus.FAILED]), ExitStatus.NOT_FOUND
        )

    def test_usage(self) -> None:
        """What makes no sense is one line that leads to the help, and status 2."""
        for arguments in (["get"], ["nonsense"], ["get", "x", "--max-download", "1"]):
            self.assertEqual(main(arguments), ExitStatus.USAGE)
        lines = self.told.getvalue().splitlines()
        self.assertEqual(len(lines), 3)
        self.assertTrue(all("--help" in line for line in lines))

    def test_pull_nowhere(self) -> None:
        """A pull must say which nodes: these or all, not both."""
        self.assertEqual(main(["pull", "x"]), ExitStatus.USAGE)
        self.assertEqual(main(["pull", "x", "--all", "--node", "http://a:1"]), ExitStatus.USAGE)

    def test_help(self) -> None:
        """The help is a result, and names every command."""
        self.assertEqual(main(["--help"]), ExitStatus.OK)
        for command in ("find", "get", "pull", "share", "hash", "nodes", "supernodes", "status"):
            self.assertIn(command, self.result())

    def test_hash(self) -> None:
        """Ids as JSON, by path."""
        path = self.mktemp()
        Path(path).write_bytes(b"")
        self.assertEqual(main(["hash", path, "--json"]), ExitStatus.OK)
        self.assertIn(
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            json.dumps(json.loads(self.result())),
        )
