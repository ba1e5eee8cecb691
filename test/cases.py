"""
The test case of all system tests: its daemons are stopped after each test.

Every daemon has its log in the test's temporary folder; the logs of a test
that fails are printed.
"""

import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.reporter import TestResultDecorator
from twisted.trial.unittest import SynchronousTestCase

from .daemons import CHECKOUT, HERE, START_WITHIN, Daemon, Machine, eventually, free_port

#: The group of the tests on loopback; each test has a port of its own.
GROUP = "239.255.10.1"


class _WithLogs(TestResultDecorator):
    """A trial result that prints daemons' logs at whatever goes wrong."""

    def __init__(self, result: Any, logs: Sequence[Path]) -> None:
        super().__init__(result)
        self._logs = logs

    def addError(self, test: Any, error: Any) -> None:
        super().addError(test, error)
        self._show()

    def addFailure(self, test: Any, failure: Any) -> None:
        super().addFailure(test, failure)
        self._show()

    def _show(self) -> None:
        for log in self._logs:
            print(f"\n--- {log}\n{log.read_text(errors='replace')}", file=sys.stderr)


class SystemTestCase(SynchronousTestCase):
    """A test with daemons, which are stopped after it, and their logs shown where it failed."""

    #: Where the program is that daemons run which are started now.
    code = CHECKOUT

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)
        self._logs: list[Path] = []

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.group = f"{GROUP}:{free_port(socket.SOCK_DGRAM)}"

    def end_with_test(self, running: subprocess.Popen[Any]) -> None:
        """Kill a command after the test, should it still run then."""

        def end() -> None:
            if running.poll() is None:
                running.kill()
            running.communicate()

        self.addCleanup(end)

    def run(self, result: Any = None) -> None:
        super().run(_WithLogs(result, self._logs))

    def start(
        self,
        role: str,
        port: int,
        *options: str,
        machine: Machine = HERE,
        folder: Path | None = None,
        twistd_options: Sequence[str] = (),
    ) -> Daemon:
        """A daemon with just these options, which answers by now."""
        log = self.folder / f"{len(self._logs)}-{role}.log"
        folder = folder or self.folder
        daemon = Daemon(role, port, options, log, folder, machine, twistd_options, self.code)
        self._logs.append(log)
        self.addCleanup(daemon.clean_up)
        daemon.wait()
        return daemon

    def start_supernode(self, *options: str, port: int | None = None) -> Daemon:
        """A supernode on loopback, in the group of this test."""
        port = port or free_port()
        return self.start("p2p-supernode", port, "--port", str(port), *self._group(), *options)

    def start_node(self, name: str, files: Mapping[str, bytes], *options: str) -> Daemon:
        """A node on loopback, in the group of this test, that shares these files."""
        shared = self.shared(name)
        for file, content in files.items():
            (shared / file).parent.mkdir(parents=True, exist_ok=True)
            (shared / file).write_bytes(content)
        port = free_port()
        listening = ("--port", str(port), "--name", name, "--resources", str(shared))
        return self.start("p2p-node", port, *listening, *self._group(), *options)

    def shared(self, name: str) -> Path:
        """The folder that the node of that name shares."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def small_disk(self, folder: Path, size: int) -> Path:
        """A file system of that size in bytes, on a new folder, until the test ends."""
        folder.mkdir()
        self.mount("-t", "tmpfs", "-o", f"size={size},mode=755", "p2ptwisted", str(folder))
        self.addCleanup(subprocess.run, ["umount", str(folder)], check=True)
        return folder

    def mount(self, *arguments: str) -> None:
        mounted = subprocess.run(["mount", *arguments], capture_output=True, text=True)
        if mounted.returncode:
            raise SkipTest(f"nothing can be mounted here: {mounted.stderr.strip()}")

    def _group(self) -> Sequence[str]:
        return ("--multicast-group", self.group, "--multicast-interface", "127.0.0.1")

    def wait_until_held(
        self, supernode: Daemon, node_name: str, *ids: str, within: float = START_WITHIN
    ) -> None:
        """Return when this very supernode knows that node, with all of these resources."""
        # A search that names a node stays in the supernode's own registry.
        narrowed = f"/api/supernode/search?node_name={node_name}&hash_ids={','.join(ids)}"
        eventually(
            within,
            f"{supernode.url} knows all that {node_name} has",
            lambda: len(supernode.get(narrowed).data) == len(set(ids)),
        )
