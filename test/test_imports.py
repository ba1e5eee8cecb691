"""
Files that are called like modules, in the folder where something runs: none of them is run.

They may have come there by a fetch. Each leaves a mark when it is imported.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.protocol import ProcessProtocol
from twisted.trial.unittest import TestCase

from p2ptwisted.model import FileStamp
from p2ptwisted.node.hash_pool import WORKER, HashPool, IPoolReactor
from p2ptwisted.support.child_process import start_child
from p2ptwisted.test.node_fakes import ProcessReactor
from p2ptwisted.transfer.file_sync import file_sync
from tools.run_tests import STEPS

from .daemons import (
    CHECKOUT,
    HERE,
    TWISTD,
    Daemon,
    Machine,
    at,
    environment,
    eventually,
    free_port,
    id_of,
)
from .fetch_cases import FETCHED_WITHIN, FetchTestCase, content_of, make_old

#: Seconds that a command may take.
WITHIN = 30.0

P2P = Path(sys.executable).with_name("p2p")


def names_of(modules: Iterable[str]) -> set[str]:
    """What files in a folder must be called to be taken for these modules."""
    return {module.partition(".")[0] for module in modules} - {"__main__"}


#: The whole standard library, and whatever else is imported by what is tested here, or by trial.
EVERY_NAME = names_of(sys.stdlib_module_names) | names_of(sys.modules)

#: This one is found by its folder.
PLUGIN = "twisted/plugins/trap"


def imported_by(command: Sequence[str | bytes]) -> set[str]:
    """The names of the modules that this command line imports; its first word is Python."""
    ran = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=True,
    )
    # The first line is that of the headings.
    lines = [line.split("|") for line in ran.stderr.splitlines()[1:]]
    return names_of(line[2].strip() for line in lines if len(line) == 3)


class Traps:
    """Files that are called like modules, in one folder, and the marks that they leave."""

    def __init__(self, folder: Path, marks: Path) -> None:
        self._folder = folder
        self._marks = marks
        marks.mkdir()

    def set(self, names: Iterable[str]) -> None:
        for name in names:
            trap = self._folder / f"{name}.py"
            trap.parent.mkdir(parents=True, exist_ok=True)
            mark = self._marks / name.replace("/", ".")
            trap.write_text(f"open({str(mark)!r}, 'w').close()\n")

    def sprung(self) -> list[str]:
        """The names of those that were run."""
        return sorted(mark.name for mark in self._marks.iterdir())


class ChildTests(TestCase):
    """Both kinds of children, started from where the traps are."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        here = folder / "here"
        here.mkdir(parents=True)
        self.traps = Traps(here, folder / "marks")
        self.traps.set(EVERY_NAME | {PLUGIN})
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(here)
        for variable in ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE"):
            self.patch_environment(variable, str(here))
        self.patch_environment("PYTHONSTARTUP", "os.py")
        self.reactor = cast(IPoolReactor, reactor)
        #: Relative, and not in UTF-8.
        self.path = Path(os.fsdecode(b"\xff"))
        self.path.write_bytes(b"content")
        self.stamp = FileStamp.of(self.path.stat())

    def patch_environment(self, variable: str, value: str) -> None:
        before = os.environ.get(variable)
        os.environ[variable] = value

        def restore() -> None:
            del os.environ[variable]
            if before is not None:
                os.environ[variable] = before

        self.addCleanup(restore)

    def tearDown(self) -> None:
        self.assertEqual(self.traps.sprung(), [])

    def test_names(self) -> None:
        """There is a trap for whatever a child imports."""
        maker = ProcessReactor()
        start_child(maker, ProcessProtocol(), WORKER)
        names = imported_by(maker.processes[0].arguments)
        self.assertLessEqual({"hashlib", "msgspec", "p2ptwisted"}, names)
        self.assertEqual(names - EVERY_NAME, set())

    async def test_pool(self) -> None:
        """One of the pool hashes a file and runs none of them."""
        pool = HashPool(self.reactor, 1)
        pool.startService()
        try:
            digests = await pool.hash(self.path.parent, self.path.name, self.stamp)
        finally:
            await pool.stopService()
        self.assertEqual(digests.id, id_of(b"content"))

    async def test_sync(self) -> None:
        """So does one that syncs a file."""
        with self.path.open("r+b") as file:
            await file_sync(self.reactor)(file.fileno())


class CheckoutTests(TestCase):
    """What a developer starts, in the checkout's folder."""

    def test_isolated(self) -> None:
        """No module is looked for in that folder first, but by trial."""
        recipes = (CHECKOUT / "Makefile").read_text().splitlines()
        commands = [line.split() for line in recipes if "/python " in line and " -m " in line]
        self.assertGreater(len(commands), 5)
        commands += [list(step.command) for steps in STEPS.values() for step in steps]
        for command in commands:
            if "twisted.trial" not in command:
                self.assertIn("-P", command)


class CommandTests(FetchTestCase):
    """`p2p get`, into a folder where the traps are."""

    def setUp(self) -> None:
        super().setUp()
        self.here = self.folder / "here"
        self.here.mkdir()
        self.traps = Traps(self.here, self.folder / "marks")
        self.content = content_of(3)
        self.start_holder("holder", {"big.bin": self.content})

    def get(self, *command: str | Path, **variables: str) -> None:
        ran = subprocess.run(
            [*command, "get", "big.bin"],
            cwd=self.here,
            env=environment() | {"P2P_SUPERNODE": self.supernode.url} | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN,
        )
        self.assertEqual(self.traps.sprung(), [], ran.stderr)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual((self.here / "big.bin").read_bytes(), self.content)

    def test_program(self) -> None:
        """Nothing of that is run by the installed command."""
        self.traps.set(EVERY_NAME | {PLUGIN})
        self.get(P2P)

    def test_module(self) -> None:
        """Nor by `python -m`, but for what Python imports before our first line."""
        command = [sys.executable, "-m", "p2ptwisted.cli"]
        names = imported_by([*command, "get", "--help"])
        before = imported_by([sys.executable, "-m", "p2ptwisted.support.import_path"])
        self.assertLessEqual({"click", "inspect"}, names - before)
        self.traps.set(EVERY_NAME - before)
        self.get(*command)


class NodeTests(FetchTestCase):
    """A node whose working directory is the folder that it shares."""

    def setUp(self) -> None:
        super().setUp()
        self.content = content_of(3)
        self.start_holder("holder", {"big.bin": self.content})
        self.traps = Traps(self.shared("here"), self.folder / "marks")

    def start_here(self, machine: Machine = HERE) -> Daemon:
        port = free_port()
        options = ("--port", str(port), "--resources", ".", "--name", "here", *at(self.supernode))
        here = self.shared("here")
        return self.start("p2p-node", port, *options, folder=here, machine=machine)

    def use(self, node: Daemon) -> None:
        """Have it hash all the traps, and fetch."""
        id = id_of(self.content)
        self.wait_for_supernode(node)
        self.order(node, id)
        self.assertDone(self.wait_for_end(node, id), self.shared("here") / "big.bin", self.content)
        # Each has another content: its own name.
        health = "/api/node/health"
        count = len(list(self.shared("here").rglob("*.py"))) + 1
        eventually(
            FETCHED_WITHIN,
            f"{count} files are shared",
            lambda: node.get(health).data["resources"] == count,
        )
        self.assertEqual(self.traps.sprung(), [])

    def test_there(self) -> None:
        """Nothing that is there when it starts is run."""
        self.traps.set(EVERY_NAME | {PLUGIN})
        for path in self.shared("here").rglob("*.py"):
            make_old(path)
        self.use(self.start_here())

    def test_arriving(self) -> None:
        """Nor is what Python would look for in that directory, once our first line has run."""
        before = imported_by([sys.executable, str(TWISTD), "p2p-node", "--help"])
        self.assertIn("stringprep", EVERY_NAME - before)
        self.traps.set(EVERY_NAME - before)
        machine = Machine()
        machine.prefix = ("env", f"PYTHONPATH={CHECKOUT}:")
        node = self.start_here(machine)
        self.traps.set(before | {PLUGIN})
        self.use(node)
