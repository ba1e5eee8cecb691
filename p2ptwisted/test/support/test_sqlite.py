"""Tests of `p2ptwisted.support.sqlite`, in real folders."""

import errno
import os
import resource
import sqlite3
from pathlib import Path

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import StartError
from p2ptwisted.support import sqlite as database_module
from p2ptwisted.support.sqlite import Database
from p2ptwisted.test.node_fakes import at_once, log_lines, open_descriptors

SCHEMA = "CREATE TABLE IF NOT EXISTS things (thing TEXT);"

#: Bytes of a file when the disk is full.
FULL = 16 * 1024 * 1024


class DatabaseTestCase(SynchronousTestCase):
    """A database in a folder."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp()) / "sub" / "state"
        self.path = self.state / "test.sqlite"

    def open(self, schema: str = SCHEMA) -> Database:
        database = Database(self.state, "test", schema)
        database.open()
        self.addCleanup(database.close)
        return database

    def begin(self, *things: str) -> None:
        """A database with these in it, closed again."""
        database = self.open()
        database.change_many("INSERT INTO things VALUES (?)", [(thing,) for thing in things])
        database.close()

    def things(self, database: Database) -> list[str]:
        return [thing for (thing,) in database.rows("SELECT thing FROM things")]

    def modes(self) -> set[int]:
        """Who may read what is there."""
        return {path.stat().st_mode & 0o777 for path in self.state.iterdir()}

    def aside(self) -> list[str]:
        """What was set aside."""
        return sorted(path.name for path in self.state.glob("*.damaged-*"))


class OpenTests(DatabaseTestCase):
    """Opening a database, whatever is there."""

    def test_in_memory(self) -> None:
        """Without a folder nothing is on disk, and each is another."""
        one, other = (Database(None, "test", SCHEMA) for _ in range(2))
        one.open()
        other.open()
        one.change("INSERT INTO things VALUES ('a')")
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
        database.change("INSERT INTO things VALUES ('a')")
        self.assertEqual(self.modes(), {0o600})
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)

    def test_secret_again(self) -> None:
        """Files that others could read are taken from them; a folder is as its owner made it."""
        self.begin("a")
        first = sqlite3.connect(self.path)
        self.addCleanup(first.close)
        first.execute("PRAGMA journal_mode = WAL")
        first.execute("INSERT INTO things VALUES ('b')")
        first.commit()
        self.state.chmod(0o755)
        for path in self.state.iterdir():
            path.chmod(0o644)
        self.assertEqual(self.things(self.open()), ["a", "b"])
        self.assertEqual(self.modes() - {0o644}, {0o600})
        for path in self.state.glob("*.sqlite*"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o755)

    def test_links_and_pipes(self) -> None:
        """A link or a pipe in place of one of its files is refused at once, and not touched."""
        self.begin("a")
        outside = self.state.with_name("outside")
        for name in ("test.lock", "test.sqlite", "test.sqlite-wal", "test.sqlite-shm"):
            path = self.state / name
            kept = self.state / "kept"
            if path.exists():
                path.rename(kept)
            outside.write_bytes(b"")
            outside.chmod(0o644)
            for make in (lambda path: path.symlink_to(outside), os.mkfifo):
                make(path)
                before = open_descriptors()
                with at_once():
                    error = self.assertRaises(StartError, Database(self.state, "test", SCHEMA).open)
                self.assertIn(f"{path} is ", str(error))
                self.assertEqual(open_descriptors(), before)
                path.unlink()
            self.assertEqual((outside.read_bytes(), outside.stat().st_mode & 0o777), (b"", 0o644))
            if kept.exists():
                kept.rename(path)
        self.assertEqual(self.things(self.open()), ["a"])

    def test_folder_of_strangers(self) -> None:
        """A folder in which everybody may write, be it like /tmp, is refused in one line."""
        for mode in (0o777, 0o1777):
            self.state.mkdir(parents=True, exist_ok=True)
            self.state.chmod(mode)
            error = self.assertRaises(StartError, Database(self.state, "test", SCHEMA).open)
            self.assertIn(f"everybody may write there (mode {mode:04o})", str(error))
            self.assertEqual(list(self.state.iterdir()), [])

    def test_folder_of_a_group(self) -> None:
        """One in which its group may write is used, and told of in one line."""
        self.state.mkdir(parents=True)
        self.state.chmod(0o770)
        with log_lines(LogLevel.warn) as lines:
            self.open()
        (line,) = lines
        self.assertIn("its group may write there", line)

    def test_aside_of_another(self) -> None:
        """What is set aside takes no name that there is, be it a link that leads nowhere."""
        self.state.mkdir(parents=True)
        self.path.write_bytes(b"nonsense" * 500)
        (self.state / "test.sqlite.damaged-1").symlink_to("nowhere")
        with log_lines(LogLevel.warn):
            self.open()
        self.assertTrue((self.state / "test.sqlite.damaged-1").is_symlink())
        self.assertTrue((self.state / "test.sqlite.damaged-2").is_file())

    def test_in_use(self) -> None:
        """While one process has it open another is refused, and nothing is set aside."""
        self.begin("a")
        first = self.open()
        error = self.assertRaises(StartError, Database(self.state, "test", SCHEMA).open)
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

    def test_newest_of_the_damaged(self) -> None:
        """What a crash left beside the file, and nowhere else, is set aside with it."""
        self.begin(*("thing" * 100 for _ in range(200)))
        database = self.open()
        database.change("INSERT INTO things VALUES ('newest')")
        kept = {path: path.read_bytes() for path in self.state.iterdir()}
        database.close()
        for path, content in kept.items():
            path.write_bytes(content)
        damaged = self.path.read_bytes()[:8_192] + b"nonsense" * 1_000
        self.path.write_bytes(damaged)
        with log_lines(LogLevel.warn):
            self.assertEqual(self.things(self.open()), [])
        aside = self.state / "test.sqlite.damaged-1"
        self.assertEqual(aside.read_bytes(), damaged)
        self.assertIn(b"newest", aside.with_name(f"{aside.name}-wal").read_bytes())

    def test_leftovers_of_the_damaged(self) -> None:
        """What SQLite kept beside a damaged file is not taken for the new one's."""
        self.begin("a")
        self.path.write_bytes(b"nonsense" * 1000)
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").write_bytes(b"nonsense")
        with log_lines(LogLevel.warn):
            database = self.open()
        database.change("INSERT INTO things VALUES ('b')")
        database.close()
        self.assertEqual(self.things(self.open()), ["b"])

    def test_other_tables(self) -> None:
        """Tables of another version are set aside, not tripped over by every query."""
        for old in (
            "CREATE TABLE things (other INTEGER)",
            "CREATE TABLE things (thing TEXT); CREATE TABLE others (other TEXT)",
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
        database.change("INSERT INTO things VALUES ('b', 1)")
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
        error = self.assertRaises(StartError, Database(self.state, "test", SCHEMA).open)
        self.assertIn(f"--state {self.state}: can't keep anything there", str(error))
        self.assertEqual(open_descriptors(), before)

    def test_not_a_path(self) -> None:
        """What can't be a path, or is too long for one, is told in one short line."""
        for name in ("a\0b", "a\n\0b", "x" * 100_000):
            error = self.assertRaises(StartError, Database(Path(name), "test", SCHEMA).open)
            self.assertIn("can't keep anything there", str(error))
            self.assertTrue(str(error).isprintable())
            self.assertLess(len(str(error)), 500)

    def test_not_a_file(self) -> None:
        """What is there and can't be opened is not damage, and is left alone."""
        self.path.mkdir(parents=True)
        before = open_descriptors()
        self.assertRaises(StartError, Database(self.state, "test", SCHEMA).open)
        self.assertTrue(self.path.is_dir())
        self.assertEqual(open_descriptors(), before)


class HeldTests(DatabaseTestCase):
    """Other programs, such as sqlite3 or a backup, and the same file."""

    def other(self, *statements: str) -> sqlite3.Connection:
        """Another program that has run these statements, and goes on."""
        other = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        self.addCleanup(other.close)
        for statement in statements:
            other.execute(statement).fetchall()
        return other

    def test_open(self) -> None:
        """While it is open, be it new or not, others are refused at once and hold nothing up."""
        for thing in ("a", "b"):
            database = self.open()
            for statement in ("SELECT * FROM things", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"):
                with at_once(2.0):
                    self.assertRaises(sqlite3.OperationalError, self.other, statement)
            with at_once(2.0):
                database.change("INSERT INTO things VALUES (?)", (thing,))
                database.change_many("INSERT INTO things VALUES (?)", [(thing,)])
            database.close()
        self.assertEqual(self.things(self.open()), ["a", "a", "b", "b"])

    def test_files(self) -> None:
        """There is no index of the log beside it, neither while it is open nor when it is not."""
        self.begin("a")
        for suffix in (["test.sqlite-wal"], []):
            database = self.open()
            database.change("DELETE FROM things")
            if not suffix:
                database.close()
            names = sorted(path.name for path in self.state.iterdir())
            self.assertEqual(names, ["test.lock", "test.sqlite", *suffix])
            database.close()

    def test_held_at_the_start(self) -> None:
        """One that others hold is copied at once if it can be read, left alone, and told of."""
        for statements, kept in (
            (["SELECT * FROM things"], ["a"]),
            (["BEGIN IMMEDIATE", "INSERT INTO things VALUES ('not committed')"], ["a"]),
            (["BEGIN EXCLUSIVE"], ["a"]),
            (["PRAGMA locking_mode = EXCLUSIVE", "SELECT * FROM things"], []),
            (["PRAGMA journal_mode = DELETE", "BEGIN EXCLUSIVE"], []),
        ):
            self.path.unlink(missing_ok=True)
            self.begin("a")
            other = self.other(*statements)
            with at_once(2.0), log_lines(LogLevel.warn) as lines:
                database = self.open()
                database.change("INSERT INTO things VALUES ('b')")
            self.assertEqual(self.things(database), [*kept, "b"], statements)
            (line,) = lines
            self.assertIn(f"{self.path} can't be written (another program has it open", line)
            database.close()
            other.close()
            again = self.open()
            self.assertEqual(self.things(again), ["a"], statements)
            again.close()
        self.assertEqual(self.aside(), [])

    def test_log_of_a_crash(self) -> None:
        """What a crash left in the log alone is copied too while another program has the file."""
        database = self.open()
        database.change("INSERT INTO things VALUES ('a')")
        kept = {path: path.read_bytes() for path in self.state.iterdir()}
        database.close()
        for path, content in kept.items():
            path.write_bytes(content)
        self.other("SELECT * FROM things")
        with log_lines(LogLevel.warn):
            self.assertEqual(self.things(self.open()), ["a"])


class FailingTests(DatabaseTestCase):
    """A file that fails while it is open."""

    def test_full(self) -> None:
        """On a full disk it goes on in memory with all it had, says so once, and keeps the file."""
        database = self.open()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # As if full; above what the test's own log may come to.
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
        things = [f"{number} ".ljust(FULL // 8, "x") for number in range(20)]
        with log_lines(LogLevel.warn) as lines:
            for thing in things:
                database.change_many("INSERT INTO things VALUES (?)", [(thing,)])
        self.assertEqual(self.things(database), things)
        (line,) = lines
        self.assertIn(f"{self.path} can't be written", line)
        self.assertEqual(database.change("DELETE FROM things WHERE thing LIKE '1%'"), 11)
        self.doCleanups()
        kept = self.things(self.open())
        self.assertEqual(kept, things[: len(kept)])
        self.assertGreater(len(kept), 5)
        self.assertEqual(self.aside(), [])

    def test_not_writable(self) -> None:
        """A folder that takes nothing is told of; memory has to do, with what is in the file."""
        self.begin("a")
        for reason in (errno.EROFS, errno.ENOSPC, errno.EACCES):

            def refuse(path: Path, reason: int = reason) -> int:
                raise OSError(reason, os.strerror(reason))

            patch = self.patch(database_module, "lock_file", refuse)
            with log_lines(LogLevel.warn) as lines:
                database = self.open()
            patch.restore()
            (line,) = lines
            self.assertIn("can't be written", line)
            self.assertIn(os.strerror(reason), line)
            database.change("INSERT INTO things VALUES ('b')")
            self.assertEqual(self.things(database), ["a", "b"])
            database.close()
        self.assertEqual(self.things(self.open()), ["a"])

    def test_no_folder_on_a_bad_disk(self) -> None:
        """Nor does a disk that takes no folder keep a daemon from starting."""
        for reason in (errno.EROFS, errno.ENOSPC):

            def refuse(path: Path, reason: int = reason, **kept: object) -> None:
                raise OSError(reason, os.strerror(reason))

            def lock(path: Path, reason: int = reason) -> int:
                raise OSError(reason, os.strerror(reason))

            patches = [
                self.patch(Path, "mkdir", refuse),
                self.patch(database_module, "lock_file", lock),
            ]
            with log_lines(LogLevel.warn) as lines:
                database = self.open()
            for patch in patches:
                patch.restore()
            self.assertEqual(len(lines), 1)
            database.change("INSERT INTO things VALUES ('b')")
            self.assertEqual(self.things(database), ["b"])

    def test_pipe_and_not_writable(self) -> None:
        """A pipe in a folder that takes nothing is not given to SQLite, which would wait."""
        self.state.mkdir(parents=True)
        os.mkfifo(self.path)

        def refuse(path: Path) -> int:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        self.patch(database_module, "lock_file", refuse)
        self.patch(database_module, "_connect_to_read", None)
        with log_lines(LogLevel.warn):
            self.assertEqual(self.things(self.open()), [])

    def test_damaged_and_not_writable_at_the_start(self) -> None:
        """What can't be read of a file that can't be written either is left alone."""
        self.state.mkdir(parents=True)
        self.path.write_bytes(b"nonsense" * 1_000)

        def refuse(path: Path) -> int:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        self.patch(database_module, "lock_file", refuse)
        with log_lines(LogLevel.warn):
            self.assertEqual(self.things(self.open()), [])
        self.assertEqual(self.path.read_bytes(), b"nonsense" * 1_000)

    def test_damaged_in_use(self) -> None:
        """A file damaged under its user's hands is set aside, and an empty one in memory begun."""
        self.begin(*("thing" * 20 for _ in range(50_000)))
        database = self.open()
        size = self.path.stat().st_size
        with self.path.open("r+b") as file:
            file.write(b"\xa5" * size)
        with log_lines(LogLevel.warn) as lines:
            self.assertEqual(self.things(database), [])
            database.change("INSERT INTO things VALUES ('b')")
        self.assertEqual(self.things(database), ["b"])
        (line,) = lines
        self.assertIn("is damaged", line)
        self.assertEqual(self.aside(), ["test.sqlite.damaged-1"])

    def test_mistake(self) -> None:
        """A statement that is wrong is raised, and takes nothing with it."""
        database = Database(None, "test", SCHEMA)
        database.open()
        self.addCleanup(database.close)
        self.assertRaises(sqlite3.OperationalError, database.rows, "SELECT nonsense")
        self.assertRaises(
            sqlite3.ProgrammingError,
            database.change_many,
            "INSERT INTO things VALUES (?)",
            [("a",), ("b", "c")],
        )
        database.change("INSERT INTO things VALUES ('d')")
        self.assertEqual(self.things(database), ["d"])

    def test_text_that_is_none(self) -> None:
        """Damage that Python trips over, and not SQLite, counts as damage too."""
        self.begin("a")
        database = sqlite3.connect(self.path)
        database.execute("UPDATE things SET thing = CAST(x'ff' AS TEXT)")
        database.commit()
        database.close()
        opened = self.open()
        with log_lines(LogLevel.warn) as lines:
            self.assertEqual(self.things(opened), [])
        self.assertEqual(len(lines), 1)
        self.assertEqual(len(self.aside()), 1)

    def test_damaged_and_not_writable(self) -> None:
        """Damage that can't be set aside is left where it is, and memory has to do."""
        self.begin(*("thing" * 20 for _ in range(50_000)))
        database = self.open()
        self.path.write_bytes(b"\xa5" * self.path.stat().st_size)

        def refuse(path: Path) -> Path:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        self.patch(database_module, "set_aside", refuse)
        with log_lines(LogLevel.warn) as lines:
            self.assertEqual(self.things(database), [])
        (line,) = lines
        self.assertIn("can't be written", line)
        database.close()
        with log_lines(LogLevel.warn) as lines:
            self.assertEqual(self.things(self.open()), [])
        (line,) = lines
        self.assertIn("can't be written", line)
        self.assertEqual(self.aside(), [])
