"""The `p2p` command with real daemons, as a person and a script use it."""

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from p2ptwisted.pieces import PIECE_MIN

from .daemons import Daemon, at, default_signals, environment, eventually, id_of
from .fetch_cases import SLOW, FetchTestCase, content_of

#: Seconds that one command may take.
WITHIN = 30.0

#: The user that has no rights anywhere.
NOBODY = 65534


class Ran(NamedTuple):
    """A command that has ended."""

    status: int
    out: bytes
    told: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandCase(FetchTestCase):
    """A supernode, and a folder in which commands run."""

    def setUp(self) -> None:
        super().setUp()
        self.here = self.folder / "here"
        self.here.mkdir()

    def begin(self, *arguments: str, more: Mapping[str, str] | None = None) -> Any:
        """A command that is ended with the test, should it still run then."""
        named = {"P2P_SUPERNODE": self.supernode.url}
        variables = environment(self.code) | named | dict(more or {})
        running = subprocess.Popen(
            [sys.executable, "-m", "p2ptwisted.cli", *arguments],
            cwd=self.here,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=default_signals,  # noqa: PLW1509  # there are no threads
        )
        self.end_with_test(running)
        return running

    def end(self, running: Any) -> Ran:
        out, told = running.communicate(timeout=WITHIN)
        self.assertNotIn(b"Traceback", told)
        return Ran(running.returncode, out, told.decode())

    def p2p(self, *arguments: str, more: Mapping[str, str] | None = None) -> Ran:
        return self.end(self.begin(*arguments, more=more))

    def refused(self, status: int, said: str, *arguments: str, **more: Any) -> None:
        """The command ends with that status and one line that has this in it."""
        ran = self.p2p(*arguments, **more)
        self.assertEqual(ran.status, status, ran)
        self.assertEqual(ran.told.count("\n"), 1, ran)
        self.assertIn(said, ran.told)


class FindTests(CommandCase):
    """Who has what."""

    def test_find(self) -> None:
        """By id and by a part of the name, at every supernode of the group."""
        other = self.start_supernode()
        content = content_of(1)
        one = self.start_holder("one", {"data/big.bin": content})
        two = self.start_node("two", {"small[red].txt": b"small"}, *at(other))
        self.wait_until_held(other, "two", id_of(b"small"))
        for what in ("big", "data/big.bin", id_of(content), id_of(content).upper()):
            (found,) = self.p2p("find", what, "--json").json
            self.assertEqual(found["id"], id_of(content))
            self.assertEqual((found["name"], found["size"]), ("data/big.bin", len(content)))
            self.assertEqual(found["locations"], [one.location])
        ran = self.p2p("find", "small")
        self.assertEqual(ran.status, 0)
        for part in (id_of(b"small"), "small[red].txt", two.location):
            self.assertIn(part, ran.out.decode())

    def test_by_multicast(self) -> None:
        """Where no supernode is named, one is found."""
        self.start_holder("one", {"big.bin": b"content"})
        ran = self.p2p(
            "find",
            "big.bin",
            "--json",
            "--multicast-interface",
            "127.0.0.1",
            more={"P2P_SUPERNODE": "", "P2P_MULTICAST_GROUP": self.group},
        )
        self.assertEqual([one["id"] for one in ran.json], [id_of(b"content")])

    def test_nothing(self) -> None:
        """What nobody has is status 3, and no supernode is status 4."""
        self.refused(3, "nobody has", "find", "nothing-like-it")
        self.refused(3, "nobody has", "find", "0" * 64)
        self.refused(3, "nobody has", "get", "nothing-like-it")
        nowhere = {"P2P_SUPERNODE": "http://127.0.0.1:1"}
        self.refused(4, "127.0.0.1:1", "find", "x", more=nowhere)
        self.refused(2, "http://HOST:5000", "find", "x", more={"P2P_SUPERNODE": "ftp://x:1"})
        self.refused(2, "--help", "find")

    def test_nothing_as_json(self) -> None:
        """There is a document also where nothing is found, or nobody can be asked."""
        nobody: dict[str, Any] = {"supernodes": [], "nodes": [], "problems": [], "gone": []}
        nowhere = {"P2P_SUPERNODE": "http://127.0.0.1:1"}
        for command in (("find", "x"), ("get", "x"), ("pull", "x", "--all"), ("nodes",)):
            for more in (None, nowhere):
                ran = self.p2p(*command, "--json", more=more)
                # A pull is ordered of nodes, and there is none.
                status = 4 if more or "--all" in command else 3
                self.assertEqual((ran.json, ran.status), ([], status), ran)
        ran = self.p2p("share", "missing", "--json")
        self.assertEqual((ran.json, ran.status), ([], 1))
        ran = self.p2p("status", "--json", more=nowhere)
        self.assertEqual(ran.status, 4)
        self.assertEqual({**ran.json, "problems": []}, nobody)
        self.assertIn("127.0.0.1:1", ran.json["problems"][0])

    def test_overview(self) -> None:
        """Nodes, supernodes and all of it, as tables and as JSON."""
        one = self.start_holder("one", {"big.bin": b"content"})
        (node,) = self.p2p("nodes", "--json").json
        self.assertEqual((node["name"], node["location"]), ("one", one.location))
        (supernode,) = self.p2p("supernodes", "--json").json
        self.assertEqual(supernode["location"], self.supernode.location)
        self.assertIn("supernodes", self.p2p("status", "--json").json)
        for command in ("nodes", "status"):
            self.assertIn(one.location, self.p2p(command).out.decode())
        self.assertIn(self.supernode.location, self.p2p("supernodes").out.decode())


class GetTests(CommandCase):
    """Files to this machine."""

    def setUp(self) -> None:
        super().setUp()
        self.content = content_of(6)
        self.resource = id_of(self.content)

    def test_get(self) -> None:
        """To this folder, another one, a file, or standard output; the result is the path."""
        self.start_holder("one", {"data/big.bin": self.content, "small": b"small"})
        ran = self.p2p("get", "big")
        self.assertEqual((ran.status, ran.lines), (0, ["big.bin"]))
        self.assertIn("verified", ran.told)
        self.assertEqual((self.here / "big.bin").read_bytes(), self.content)
        (self.here / "folder").mkdir()
        (got,) = self.p2p("get", self.resource, "-o", "folder", "--json").json
        self.assertEqual((got["path"], got["state"]), ("folder/big.bin", "done"))
        self.assertEqual(sum(got["holders"].values()), len(self.content))
        self.assertEqual(self.p2p("get", "big", "-o", "as").lines, ["as"])
        self.assertEqual((self.here / "as").read_bytes(), self.content)
        ran = self.p2p("get", "small", "big", "-o", "-")
        self.assertEqual((ran.status, ran.out), (0, b"small" + self.content))
        self.assertEqual(set(os.listdir(self.here)), {"big.bin", "folder", "as"})

    def test_several(self) -> None:
        """Several at once, each once."""
        self.start_holder("one", {"a": b"first", "b": b"second"})
        ran = self.p2p("get", "a", "b", id_of(b"first"))
        self.assertEqual((ran.status, sorted(ran.lines)), (0, ["a", "b"]))
        self.assertEqual((self.here / "b").read_bytes(), b"second")

    def test_one_is_missing(self) -> None:
        """What is missing, or can be several, is named and keeps nobody from the others."""
        self.start_holder("one", {"a.bin": b"first", "x1": b"second", "x2": b"third"})
        for other, status in (("missing", 3), ("x", 1)):
            for wanted in (("a.bin", other), (other, "a.bin")):
                ran = self.p2p("get", *wanted, "--json")
                self.assertEqual(ran.status, status)
                self.assertEqual([one["path"] for one in ran.json], ["a.bin"])
                self.assertIn(other, ran.told)
        self.assertEqual((self.here / "a.bin").read_bytes(), b"first")
        self.refused(3, "missing", "get", "missing", "a.bin", "-o", "-")
        self.assertEqual(self.p2p("get", "missing", "a.bin", "-o", "as").status, 2)

    def test_encodings(self) -> None:
        """A name that the terminal's encoding lacks is fetched, and printed escaped."""
        self.start_holder("one", {"日本.bin": b"content"})
        for encoding in ("latin-1", "ascii"):
            for command, shown in (
                (("get", "bin"), "\\u65e5\\u672c.bin"),
                (("find", "bin"), "\\u65e5\\u672c.bin"),
            ):
                ran = self.p2p(*command, more={"PYTHONIOENCODING": encoding})
                self.assertEqual(ran.status, 0, ran)
                self.assertIn(shown, ran.out.decode())
        self.assertEqual(os.listdir(self.here), ["日本.bin"])

    def test_name_asked_for(self) -> None:
        """A file that holders call differently gets the name that was asked for."""
        self.start_holder("one", {"one.bin": self.content})
        self.start_holder("other", {"other.bin": self.content})
        for name in ("one.bin", "other.bin"):
            self.assertEqual(self.p2p("get", name).lines, [name])

    def test_files_of_others(self) -> None:
        """Pipes, and a part of another user, end it at once with a line, and are left there."""
        self.start_holder("one", {"a": b"content"})
        pipe, part = self.here / "pipe", self.here / "a.part"
        os.mkfifo(pipe)
        self.refused(1, "pipe has no reader", "get", "a", "-o", "pipe")
        os.mkfifo(part)
        self.refused(1, "a.part is not a regular file", "get", "a")
        part.unlink()
        part.touch()
        os.chown(part, NOBODY, NOBODY)
        self.refused(1, f"a.part belongs to another user ({NOBODY})", "get", "a")
        self.assertEqual(part.stat().st_uid, NOBODY)
        self.assertEqual(set(os.listdir(self.here)), {"pipe", "a.part"})
        part.unlink()
        self.assertEqual(self.p2p("get", "a").lines, ["a"])

    def test_streams(self) -> None:
        """A pipe and a device are written to and never replaced; a socket is left as it is."""
        self.start_holder("one", {"a": self.content})
        pipe = self.here / "pipe"
        os.mkfifo(pipe)
        (self.here / "null").symlink_to(os.devnull)
        os.mknod(self.here / "socket", stat.S_IFSOCK | 0o600)
        piped = self.folder / "piped"
        with piped.open("wb") as file:
            reader = subprocess.Popen(["cat", pipe], stdout=file)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)
        # It opens the pipe in its own time.
        running = eventually(WITHIN, "somebody reads", lambda: self.through("a", "pipe"))
        self.assertEqual(running, (0, b""))
        reader.wait(timeout=WITHIN)
        self.assertEqual(piped.read_bytes(), self.content)
        self.assertEqual(self.through("a", "null", "--force"), (0, b""))
        self.assertEqual(self.through("a", "/dev/stdout", "--force"), (0, self.content))
        self.refused(1, "socket is not a regular file", "get", "a", "-o", "socket", "--force")
        self.refused(2, "--json", "get", "a", "-o", "null", "--json")
        self.assertTrue(pipe.is_fifo())
        self.assertTrue((self.here / "null").is_symlink())
        self.assertEqual(set(os.listdir(self.here)), {"pipe", "null", "socket"})

    def through(self, what: str, output: str, *more: str) -> tuple[int, bytes] | None:
        """Status and output of a fetch to a stream; None where nobody reads that."""
        ran = self.p2p("get", what, "-o", output, *more)
        return None if "has no reader" in ran.told else (ran.status, ran.out)

    def test_ambiguous(self) -> None:
        """A part of a name that fits several is refused with their ids; an exact name wins."""
        self.start_holder("one", {"a.txt": b"first", "aa.txt": b"second"})
        self.refused(1, id_of(b"second"), "get", ".txt")
        self.assertEqual(self.p2p("get", "a.txt").lines, ["a.txt"])
        self.assertEqual((self.here / "a.txt").read_bytes(), b"first")

    def test_existing(self) -> None:
        """What is here already is done at once; another file is replaced only by force."""
        self.start_holder("one", {"big.bin": self.content})
        (self.here / "big.bin").write_bytes(self.content)
        (got,) = self.p2p("get", "big.bin", "--json").json
        self.assertEqual((got["state"], got["holders"]), ("present", {}))
        (self.here / "big.bin").write_bytes(b"mine")
        self.refused(1, "--force", "get", "big.bin")
        self.assertEqual((self.here / "big.bin").read_bytes(), b"mine")
        self.assertEqual(self.p2p("get", "big.bin", "--force").status, 0)
        self.assertEqual((self.here / "big.bin").read_bytes(), self.content)

    def test_signals(self) -> None:
        """A signal that ends programs keeps what has come, and the same command goes on with it."""
        self.start_holder("one", {"big.bin": self.content}, "--max-upload", str(SLOW))
        journal = self.here / "big.bin.part.journal"

        def lines() -> int:
            return journal.read_bytes().count(b"\n") if journal.exists() else 2

        def end_by(number: signal.Signals) -> Ran:
            before = lines()
            running = self.begin("get", "big.bin")
            eventually(WITHIN, "more pieces are here", lambda: lines() > before)
            running.send_signal(number)
            return self.end(running)

        for number in (signal.SIGTERM, signal.SIGINT):
            ran = end_by(number)
            self.assertEqual((ran.status, ran.out), (128 + number, b""))
            self.assertEqual(ran.told.count("\n"), 1)
            self.assertIn("kept", ran.told)
            self.assertEqual(set(os.listdir(self.here)), {"big.bin.part", journal.name})
        (got,) = self.p2p("get", "big.bin", "--json").json
        self.assertLessEqual(sum(got["holders"].values()), len(self.content) - 2 * PIECE_MIN)
        self.assertEqual((self.here / "big.bin").read_bytes(), self.content)
        self.assertEqual(os.listdir(self.here), ["big.bin"])

    def test_signal_while_writing(self) -> None:
        """Ended while nobody reads its output, it leaves nothing in the temporary folder."""
        self.start_holder("one", {"big.bin": self.content})
        temporary = self.folder / "temporary"
        temporary.mkdir()
        for number in (signal.SIGTERM, signal.SIGHUP):
            running = self.begin("get", "big.bin", "-o", "-", more={"TMPDIR": str(temporary)})
            # All of the file is here as soon as any of it comes out.
            self.assertEqual(running.stdout.read(1), self.content[:1])
            self.assertNotEqual(os.listdir(temporary), [])
            running.send_signal(number)
            self.assertEqual(running.wait(WITHIN), 128 + number)
            self.assertEqual(os.listdir(temporary), [])
            self.assertEqual(self.end(running).told, "p2p: interrupted\n")

    def test_signal_while_reading(self) -> None:
        """Without the reactor it is the same: one line, and the status of the signal."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
            pipe = self.here / f"pipe-{number}"
            os.mkfifo(pipe)
            running = self.begin("hash", str(pipe))
            with open(pipe, "wb"):  # It has begun when this has a reader.
                running.send_signal(number)
                ran = self.end(running)
            self.assertEqual((ran.status, ran.told), (128 + number, "p2p: interrupted\n"))

    def test_progress(self) -> None:
        """In a terminal there is a bar; the file comes all the same."""
        self.start_holder("one", {"big[red].bin": self.content}, "--max-upload", str(2 * SLOW))
        shown = self.folder / "shown"
        command = f"{sys.executable} -m p2ptwisted.cli get big"
        variables = environment() | {"P2P_SUPERNODE": self.supernode.url, "TERM": "xterm"}
        variables["LC_ALL"] = "C.UTF-8"
        subprocess.run(
            ["script", "-qec", command, str(shown)],
            cwd=self.here,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=WITHIN,
            check=True,
        )
        drawn = shown.read_text(errors="replace")
        self.assertIn("big[red].bin", drawn)
        self.assertIn("━", drawn)
        self.assertIn("MiB/s", drawn)


class NodesTests(CommandCase):
    """What is done to nodes."""

    def node_with(self, name: str) -> Daemon:
        return self.start_fetcher(name)

    def test_pull(self) -> None:
        """One command puts a file on every node of the group, and says where it is."""
        content = content_of(3)
        self.start_holder("one", {"big.bin": content})
        for name in ("two", "three"):
            self.node_with(name)
        ran = self.p2p("pull", "big.bin", "--all", "--json")
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual({one["node"]: one["state"] for one in ran.json}["three"], "done")
        self.assertEqual(len(ran.json), 3)
        for name in ("two", "three"):
            self.assertEqual((self.shared(name) / "big.bin").read_bytes(), content)

    def test_pull_fails(self) -> None:
        """A node that can't is named, and the status says it."""
        self.start_holder("one", {"big.bin": b"content"})
        two = self.node_with("two")
        (self.shared("two") / "big.bin").write_bytes(b"mine")
        # By its id: by the name it could be the other one as well, as soon as that is hashed.
        ran = self.p2p("pull", id_of(b"content"), "--node", two.url)
        self.assertEqual(ran.status, 1)
        self.assertIn(f"{two.location}: big.bin exists and is another file", ran.told)
        ran = self.p2p("pull", "big.bin", "--node", "http://127.0.0.1:1")
        self.assertEqual(ran.status, 1)
        self.refused(2, "--all", "pull", "big.bin")

    def test_share(self) -> None:
        """Files and folders are put into the node's folder, and can be found when it ends."""
        node = self.node_with("one")
        (self.here / "big.bin").write_bytes(b"content")
        (self.here / "folder" / "in").mkdir(parents=True)
        (self.here / "folder" / "in" / "file").write_bytes(b"inside")
        ran = self.p2p("share", "big.bin", "folder", "--node", node.url)
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(
            sorted(ran.lines),
            sorted([f"{id_of(b'content')}  big.bin", f"{id_of(b'inside')}  folder/in/file"]),
        )
        self.assertEqual(self.holders_of(b"inside"), [node.location])
        (self.here / "big.bin").write_bytes(b"changed")
        self.refused(1, "big.bin", "share", "big.bin", "--node", node.url)
        self.assertEqual((self.shared("one") / "big.bin").read_bytes(), b"content")
        (self.here / "linked").write_bytes(b"linked")
        self.assertEqual(self.p2p("share", "linked", "--link", "--node", node.url).status, 0)
        self.assertTrue((self.shared("one") / "linked").samefile(self.here / "linked"))
        self.refused(4, "p2p node DIR", "share", "linked", "--node", "http://127.0.0.1:1")

    def test_share_in_part(self) -> None:
        """What can't be read of a folder is named; what a node doesn't share, refused at once."""
        node = self.node_with("one")
        for name in ("folder/ok/file", "folder/no/file", "x.part"):
            (self.here / name).parent.mkdir(parents=True, exist_ok=True)
            (self.here / name).write_bytes(b"content")
        (self.here / "folder" / "ok" / "file").chmod(0o750)
        closed = self.here / "folder" / "no"
        os.chown(closed, NOBODY, NOBODY)
        closed.chmod(0o700)
        # As root one may read everything, unless one gives that up.
        ran = subprocess.run(
            [
                *("setpriv", "--bounding-set=-dac_override,-dac_read_search"),
                *(sys.executable, "-m", "p2ptwisted.cli", "share", "folder", "--node", node.url),
            ],
            cwd=self.here,
            env=environment() | {"P2P_SUPERNODE": self.supernode.url},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )
        self.assertEqual(ran.returncode, 1, ran)
        self.assertEqual(ran.stdout, f"{id_of(b'content')}  folder/ok/file\n")
        self.assertEqual(ran.stderr, f"p2p: {closed} is left out: Permission denied\n")
        copy = self.shared("one") / "folder" / "ok" / "file"
        self.assertEqual(copy.stat().st_mode & 0o777, 0o750)
        self.refused(1, "unfinished", "share", "x.part", "--node", node.url)
        (self.here / "empty").mkdir()
        self.refused(1, "nothing to share", "share", "empty", "--node", node.url)

    def test_share_links(self) -> None:
        """Of a folder, links that lead out are left out and told of; one that is named is meant."""
        node = self.node_with("one")
        (self.here / "secret").write_bytes(b"secret")
        folder = self.here / "folder"
        folder.mkdir()
        (folder / "file").write_bytes(b"inside")
        (folder / "inside").symlink_to("file")
        (folder / "-up").symlink_to("..")
        for number in range(14):
            (folder / f"out{number}").symlink_to("../secret")
        (self.here / "named").symlink_to("secret")
        ran = self.p2p("share", "folder", "--node", node.url)
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual(
            ran.lines,
            [f"{id_of(b'inside')}  folder/file", f"{id_of(b'inside')}  folder/inside"],
        )
        first, *_, last, summary = ran.told.splitlines()
        self.assertIn(f"{folder / '-up'} is left out", first)
        self.assertEqual(ran.told.count("is left out"), 10)
        self.assertIn("5 more links", last)
        self.assertIn("2 files: 2 done", summary)
        there = self.shared("one") / "folder"
        self.assertEqual({path.name for path in there.iterdir()}, {"file", "inside"})
        self.assertEqual(self.p2p("share", "named", "--node", node.url).status, 0)
        self.assertEqual(self.holders_of(b"secret"), [node.location])

    def test_share_into_a_link(self) -> None:
        """Nothing is put where a link in the node's folder leads out of it."""
        node = self.node_with("one")
        private = self.folder / "private"
        private.mkdir()
        (self.here / "folder").mkdir()
        (self.here / "folder" / "file").write_bytes(b"inside")
        (self.shared("one") / "folder").symlink_to(private)
        self.refused(1, "a link leads out of the folder", "share", "folder", "--node", node.url)
        self.assertEqual(list(private.iterdir()), [])

    def holders_of(self, content: bytes) -> Any:
        (found,) = self.p2p("find", id_of(content), "--json").json
        return found["locations"]


class StandardStreamTests(CommandCase):
    """Standard streams that are closed, full, or without a reader."""

    def setUp(self) -> None:
        super().setUp()
        self.start_holder("one", {"a": b"content"})

    def run_with(self, change: str, *arguments: str) -> tuple[int, str]:
        """Status and messages of a command after such a redirection in a shell."""
        command = ["sh", "-c", f'exec "$@" {change}', "sh", sys.executable, "-m", "p2ptwisted.cli"]
        reader, unread = os.pipe()
        os.close(reader)
        try:
            ran = subprocess.run(
                [*command, *arguments],
                cwd=self.here,
                env=environment() | {"P2P_SUPERNODE": self.supernode.url},
                stdin=subprocess.DEVNULL,
                stdout=unread,
                stderr=subprocess.PIPE,
                timeout=WITHIN,
                check=False,
            )
        finally:
            os.close(unread)
        return ran.returncode, ran.stderr.decode()

    def test_results(self) -> None:
        """A result that can't be written is status 1 and at most a line; a fetch is done first."""
        for command in (
            ("get", "a"),
            ("get", "a", "-o", "-"),
            ("nodes",),
            ("hash", os.devnull),
        ):
            for change, lines in (("", 0), (">&-", 1), (">/dev/full", 1), ("<&- >&- 2>&-", 0)):
                status, told = self.run_with(change, *command)
                if command == ("get", "a") and "2>&-" not in change:
                    lines += 1  # It has been fetched, or was here.
                self.assertEqual((status, told.count("\n")), (1, lines), (command, change, told))
            if command == ("get", "a"):
                self.assertEqual((self.here / "a").read_bytes(), b"content")

    def test_messages(self) -> None:
        """Messages that can't be written change nothing, and are not taken for a result."""
        for change in ("2>&-", "<&- 2>&-", "2>/dev/full"):
            status, _ = self.run_with(f">out {change}", "get", "a")
            self.assertEqual((status, (self.here / "out").read_text()), (0, "a\n"))
            status, _ = self.run_with(f">out {change}", "get", "missing")
            self.assertEqual((status, (self.here / "out").read_text()), (3, ""))
            (self.here / "a").unlink()


class HashTests(CommandCase):
    """Ids, without any daemon."""

    def test_like_sha256sum(self) -> None:
        """Byte for byte what sha256sum prints, whatever a file is called."""
        names = ["plain", "with space", "back\\slash", "line\nend", "ünïcode"]
        for name in names:
            (self.here / name).write_bytes(name.encode())
        expected = subprocess.run(
            ["sha256sum", *names], cwd=self.here, stdout=subprocess.PIPE, check=True
        )
        self.assertEqual(self.p2p("hash", *names).out, expected.stdout)

    def test_missing(self) -> None:
        """A file that isn't there is named; the others are hashed all the same."""
        Path(self.here, "plain").write_bytes(b"plain")
        ran = self.p2p("hash", "missing", "plain")
        self.assertEqual(ran.status, 1)
        self.assertIn("missing", ran.told)
        self.assertEqual(ran.lines, [f"{hashlib.sha256(b'plain').hexdigest()}  plain"])

    def test_completion(self) -> None:
        """Shells complete commands and options."""
        variables = {"_P2P_COMPLETE": "bash_complete", "COMP_WORDS": "p2p su", "COMP_CWORD": "1"}
        self.assertIn("plain,supernodes", self.p2p(more=variables).lines)
        for shell in ("bash", "zsh", "fish"):
            ran = self.p2p(more={"_P2P_COMPLETE": f"{shell}_source"})
            self.assertIn("p2p", ran.out.decode())
