"""Wall clocks that are set forward and back while daemons run."""

import glob
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from unittest import SkipTest

from .cases import SystemTestCase
from .daemons import Daemon, Machine, at, eventually, free_port, id_of

#: The library that tells a process another time; from Debian's package `faketime`.
LIBRARY = "/usr/lib/*/faketime/libfaketime.so.1"

#: Seconds by which the clocks are set.
HOUR = 3600

#: Seconds for which all is watched after a step: a heartbeat, and some sweeps.
WATCHED = 6.0

#: Seconds after which a node that was killed is gone.
GONE_WITHIN = 15.0

NAMES = ("one", "two", "three")


class Stepped(Machine):
    """This machine, as daemons see it whose wall clock the test sets; no other clock is touched."""

    def __init__(self, file: Path) -> None:
        libraries = glob.glob(LIBRARY)
        if not libraries:
            raise SkipTest("there is no libfaketime: install faketime")
        self._file = file
        self.step(0)
        self.prefix = (
            "env",
            f"LD_PRELOAD={libraries[0]}",
            f"FAKETIME_TIMESTAMP_FILE={file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        )

    def step(self, seconds: int) -> None:
        """Set the clocks to what this machine's says and so much more."""
        self._file.write_text(f"{seconds:+d}")


class ClockStepTests(SystemTestCase):
    """Two supernodes and three nodes, with one wall clock."""

    def start_all(self, *options: str) -> None:
        self.machine = Stepped(self.folder / "clock")
        self.options = (*self._group(), *options)
        self.supernode, self.other = (
            self.start_here("p2p-supernode", "--sweep-interval", "1") for _ in range(2)
        )
        self.nodes = [self.start_sharing(name) for name in NAMES]
        for name in NAMES:
            self.wait_until_held(self.supernode, name, id_of(name.encode()))

    def start_here(self, role: str, *options: str) -> Daemon:
        port = free_port()
        listening = ("--port", str(port), *self.options, *options)
        return self.start(role, port, *listening, machine=self.machine)

    def start_sharing(self, name: str) -> Daemon:
        (self.shared(name) / "file").write_bytes(name.encode())
        sharing = ("--name", name, "--resources", str(self.shared(name)))
        return self.start_here("p2p-node", *sharing, *at(self.supernode))

    def ahead(self, daemon: Daemon) -> float:
        """Seconds by which the daemon's clock is ahead of the test's."""
        date = parsedate_to_datetime(daemon.get("/").headers["date"])
        return date.timestamp() - time.time()

    def go_through(self) -> None:
        """Forward and back; nothing comes of it, and what happens then is noticed as ever."""
        everyone = {node.location for node in self.nodes}
        ids = [id_of(name.encode()) for name in NAMES]
        for seconds in (HOUR, -HOUR):
            self.machine.step(seconds)
            for daemon in (self.supernode, self.other, *self.nodes):
                self.assertLess(abs(self.ahead(daemon) - seconds), 60)
            until = time.monotonic() + WATCHED
            while time.monotonic() < until:
                alive = self.supernode.get("/api/supernode/alive").data
                self.assertEqual({node["location"] for node in alive}, everyone)
                for supernode in (self.supernode, self.other):
                    found = supernode.get(f"/api/supernode/search?hash_ids={','.join(ids)}").data
                    self.assertEqual([one["id"] for one in found], ids)
                time.sleep(0.2)
            new = f"after a step of {seconds}".encode()
            (self.shared("one") / f"{seconds}").write_bytes(new)
            self.wait_until_held(self.supernode, "one", id_of(new), within=WATCHED)
        for daemon in (self.supernode, *self.nodes):
            self.assertNotIn("is gone", daemon.log.read_text())
        self.nodes[0].kill()
        eventually(
            GONE_WITHIN,
            "the killed node is gone",
            lambda: len(self.supernode.get("/api/supernode/alive").data) == len(NAMES) - 1,
        )

    def test_open_group(self) -> None:
        """An hour forward, two back: nobody is dropped, and whoever dies is gone in time."""
        self.start_all()
        self.go_through()

    def test_closed_group(self) -> None:
        """The same where what members say carries the time, and all clocks are set together."""
        key = self.folder / "key"
        key.write_text("ab" * 32)
        key.chmod(0o600)
        self.start_all("--group-key-file", str(key))
        self.go_through()
