"""Tests of the parts of `p2ptwisted.cli` that touch no network."""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import session as session_module
from p2ptwisted.cli.exit_status import CommandError, ExitStatus, first_failure
from p2ptwisted.cli.get import target_paths
from p2ptwisted.cli.main import main
from p2ptwisted.cli.matches import CANDIDATES_MAX, HOLDERS_MAX, FoundResource
from p2ptwisted.cli.output import (
    MESSAGE_MAX,
    RESULT_LINE_MAX,
    print_lines,
    print_message,
    print_table,
    size_of,
)
from p2ptwisted.cli.session import ICommandReactor, Session, Settings, distinct_supernodes, unique
from p2ptwisted.cli.share import share
from p2ptwisted.client.api import Client
from p2ptwisted.model import Health, HeldFile, Holding

ID, OTHER = "a" * 64, "b" * 64


def match(name: str | None, id: str = ID) -> FoundResource:
    return FoundResource(id, name, 7, ["10.0.0.1:8000"], [])


class OutputTests(SynchronousTestCase):
    """What a person reads."""

    def test_long(self) -> None:
        """However long a stranger's words are, a line is bounded."""
        for stream, print_it, most in (
            ("stderr", lambda text: print_message(text), MESSAGE_MAX + 10),
            ("stdout", lambda text: print_lines(text), RESULT_LINE_MAX + 1),
            ("stdout", lambda text: print_table(("A",), [(text,)]), 3 * RESULT_LINE_MAX),
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
            found = target_paths([match("data/a"), match("b", OTHER)], output)
            self.assertEqual(found, [Path(output, "a"), Path(output, "b")])

    def test_here(self) -> None:
        """Without a word they go to this folder."""
        self.assertEqual(target_paths([match("data/a")], None), [Path("a")])

    def test_file(self) -> None:
        """One can be given a name; several can't."""
        as_file = str(self.folder / "as")
        self.assertEqual(target_paths([match("a")], as_file), [Path(as_file)])
        error = self.assertRaises(
            CommandError, target_paths, [match("a"), match("b", OTHER)], as_file
        )
        self.assertEqual(error.status, ExitStatus.USAGE)

    def test_nameless(self) -> None:
        """One without a name is called by its id."""
        self.assertEqual(target_paths([match(None)], None), [Path(ID)])

    def test_hostile(self) -> None:
        """No name leads out of the folder."""
        for name in ("../../etc/passwd", "/etc/passwd", "..", "a/../..", ".hidden"):
            (place,) = target_paths([match(name)], str(self.folder))
            self.assertEqual(place.parent, self.folder)
            self.assertFalse(place.name.startswith("."))

    def test_same_name(self) -> None:
        """Two that would go to one place are refused."""
        self.assertRaises(CommandError, target_paths, [match("x/a"), match("y/a", OTHER)], None)

    def test_unique(self) -> None:
        """One that is asked for twice is fetched once."""
        one, other = match("a"), match("b", OTHER)
        self.assertEqual(unique([one, other, match("c")]), [match("c"), other])


class SupernodesTests(SynchronousTestCase):
    """Those that answer by multicast."""

    def test_distinct(self) -> None:
        """One of this machine's is one, whatever its addresses; others are what they say."""
        self.patch(session_module, "is_own", lambda host: host in ("127.0.0.1", "10.0.0.1"))
        found = ["127.0.0.1:5000", "127.0.0.1:5001", "10.0.0.2:5000", "10.0.0.1:5000"]
        self.assertEqual(
            distinct_supernodes(found), ["10.0.0.2:5000", "10.0.0.1:5000", "127.0.0.1:5001"]
        )

    def test_known_to_the_named_one(self) -> None:
        """So it is with those that a named supernode knows; it comes first, as it was named."""
        self.patch(session_module, "is_own", lambda host: host in ("127.0.0.1", "10.0.0.1"))
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

        session = Session(cast(ICommandReactor, None), cast(Client, Far()), Settings())
        sharing = share(
            cast(ICommandReactor, None),
            session,
            (str(file),),
            "http://192.0.2.99:8000",
            None,
            False,
        )
        problem = self.failureResultOf(Deferred.fromCoroutine(sharing), CommandError).value
        self.assertIs(problem.status, ExitStatus.USAGE)
        self.assertIn("--folder", str(problem))
        self.assertEqual(list(folder.iterdir()), [])


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
        self.assertIs(first_failure([]), ExitStatus.OK)
        self.assertIs(
            first_failure([ExitStatus.OK, ExitStatus.NOT_FOUND, ExitStatus.FAILED]),
            ExitStatus.NOT_FOUND,
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
