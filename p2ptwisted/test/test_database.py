"""Tests of `p2ptwisted.database`, in real folders."""

import sqlite3
from pathlib import Path

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.database import open_database
from p2ptwisted.errors import StartError
from p2ptwisted.test.node_fakes import log_lines, open_descriptors

SCHEMA = "CREATE TABLE IF NOT EXISTS things (thing TEXT);"


class OpenTests(SynchronousTestCase):
    """Opening a database, whatever is there."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp()) / "sub" / "state"
        self.path = self.state / "test.sqlite"

    def open(self, schema: str = SCHEMA) -> sqlite3.Connection:
        database = open_database(self.state, "test", schema)
        self.addCleanup(database.close)
        return database

    def begin(self, *things: str) -> None:
        """A database with these in it, closed again."""
        database = self.open()
        database.executemany("INSERT INTO things VALUES (?)", [(thing,) for thing in things])
        database.close()

    def things(self, database: sqlite3.Connection) -> list[str]:
        return [thing for (thing,) in database.execute("SELECT thing FROM things")]

    def aside(self) -> list[str]:
        """What was set aside."""
        return sorted(path.name for path in self.state.glob("*.damaged-*"))

    def test_in_memory(self) -> None:
        """Without a folder nothing is on disk, and each is another."""
        one, other = (open_database(None, "test", SCHEMA) for _ in range(2))
        one.execute("INSERT INTO things VALUES ('a')")
        self.assertEqual((self.things(one), self.things(other)), (["a"], []))
        one.close()
        other.close()

    def test_folder_made(self) -> None:
        """The folder is made with those above it, and what is written is there the next time."""
        self.begin("a", "b")
        self.assertEqual(self.things(self.open()), ["a", "b"])
        self.assertEqual(self.aside(), [])

    def test_secret(self) -> None:
        """What is in a state folder is for its owner only."""
        database = self.open()
        database.execute("INSERT INTO things VALUES ('a')")
        modes = {path.stat().st_mode & 0o777 for path in self.state.iterdir()}
        self.assertEqual(modes, {0o600})

    def test_in_use(self) -> None:
        """While one process has it open another is refused, and nothing is set aside."""
        self.begin("a")
        first = self.open()
        error = self.assertRaises(StartError, open_database, self.state, "test", SCHEMA)
        self.assertIn("another daemon", str(error))
        self.assertEqual(self.things(first), ["a"])
        first.close()
        self.assertEqual(self.things(self.open()), ["a"])
        self.assertEqual(self.aside(), [])

    def test_damaged(self) -> None:
        """What SQLite can't read is set aside byte for byte, told of, and never overwritten."""
        for number in (1, 2, 3):
            content = b"nonsense %d " % number * 500
            self.state.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(content)
            with log_lines(LogLevel.warn) as lines:
                database = self.open()
            self.assertEqual(self.things(database), [])
            database.close()
            (line,) = lines
            aside = self.state / f"test.sqlite.damaged-{number}"
            self.assertIn(str(aside), line)
            self.assertEqual(aside.read_bytes(), content)
        self.assertEqual(len(self.aside()), 3)

    def test_damaged_within(self) -> None:
        """Damage further in is found when it is opened, and not in the middle of the work."""
        self.begin(*("thing" * 100 for _ in range(200)))
        content = bytearray(self.path.read_bytes())
        content[len(content) // 2 :] = b"\xa5" * (len(content) - len(content) // 2)
        self.path.write_bytes(content)
        with log_lines(LogLevel.warn) as lines:
            self.assertEqual(self.things(self.open()), [])
        self.assertEqual(len(lines), 1)
        self.assertEqual(self.aside(), ["test.sqlite.damaged-1"])

    def test_leftovers_of_the_damaged(self) -> None:
        """What SQLite kept beside a damaged file is not taken for the new one's."""
        self.begin("a")
        self.path.write_bytes(b"nonsense" * 1000)
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").write_bytes(b"nonsense")
        with log_lines(LogLevel.warn):
            database = self.open()
        database.execute("INSERT INTO things VALUES ('b')")
        database.close()
        self.assertEqual(self.things(self.open()), ["b"])

    def test_other_tables(self) -> None:
        """Tables of another version are set aside, not tripped over by every query."""
        for old in (
            "CREATE TABLE things (other INTEGER)",
            "PRAGMA user_version = 7; CREATE TABLE things (thing TEXT)",
        ):
            self.state.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self.path)
            database.executescript(old)
            database.close()
            with log_lines(LogLevel.warn) as lines:
                self.begin("a")
            (line,) = lines
            self.assertIn("another version", line)
            again = self.open()
            self.assertEqual(self.things(again), ["a"])
            again.close()
            self.path.unlink()
        self.assertEqual(len(self.aside()), 2)

    def test_newer_schema(self) -> None:
        """A schema that has changed begins anew, and the same one again finds what is there."""
        self.begin("a")
        newer = "CREATE TABLE IF NOT EXISTS things (thing TEXT, size INTEGER);"
        with log_lines(LogLevel.warn):
            database = self.open(newer)
        database.execute("INSERT INTO things VALUES ('b', 1)")
        database.close()
        self.assertEqual(self.things(self.open(newer)), ["b"])
        self.assertEqual(len(self.aside()), 1)

    def test_empty_file(self) -> None:
        """An empty file, as a full disk leaves it, is filled and not set aside."""
        self.state.mkdir(parents=True)
        self.path.touch()
        self.begin("a")
        self.assertEqual(self.things(self.open()), ["a"])
        self.assertEqual(self.aside(), [])

    def test_not_a_folder(self) -> None:
        """A folder that can't be made is a StartError that names it, with nothing left open."""
        self.state.parent.mkdir(parents=True)
        self.state.touch()
        before = open_descriptors()
        error = self.assertRaises(StartError, open_database, self.state, "test", SCHEMA)
        self.assertIn(f"--state {self.state}: can't keep anything there", str(error))
        self.assertEqual(open_descriptors(), before)

    def test_not_a_file(self) -> None:
        """What is there and can't be opened is not damage, and is left alone."""
        self.path.mkdir(parents=True)
        before = open_descriptors()
        self.assertRaises(StartError, open_database, self.state, "test", SCHEMA)
        self.assertTrue(self.path.is_dir())
        self.assertEqual(open_descriptors(), before)
