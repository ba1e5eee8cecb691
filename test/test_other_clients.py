"""Clients of other makers, used as docs/other-clients.md says; a node dies, or one lies."""

import itertools
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import partial
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.pieces import MIB

from .bad_holders import Impostor
from .daemons import Daemon, Machine, at, eventually, free_port, id_of
from .fetch_cases import FetchTestCase, content_of, make_old
from .recipes import Running, recipes

#: The Debian package of each program that the page's commands run.
PROGRAMS = {
    "aria2c": "aria2",
    "axel": "axel",
    "curl": "curl",
    "jq": "jq",
    "ss": "iproute2",
    "transmission-cli": "transmission-cli",
    "wget2": "wget2",
}

#: Debian's, which has Debian's libtorrent.
PYTHON = "/usr/bin/python3"

#: Seconds that any of them may take.
WITHIN = 60.0


#: Bytes of it that a node has sent in the middle.
MIDDLE = 100_000

FILE = "data.bin"

#: The headings of what ends well though a node dies: it knows several, and goes on with others.
ARIA2_URL = "aria2 with the URL"
SEVERAL = ("aria2 with the Metalink file", ARIA2_URL)
TORRENTS = ("qBittorrent, Deluge and others with libtorrent", "aria2 with the torrent")
TRANSMISSION = "Transmission"

#: Of what fails then, and comes through when it is run again.
ONE = ("wget2 with the Metalink file", "wget2 with the URL", "curl", "All files of a node")
AXEL = "axel"

EXCEPT_TRANSMISSION = (*SEVERAL, *TORRENTS, *ONE, AXEL)


class Place(Machine):
    """An address of this machine's, for aria2 takes two ports of one address for one mirror."""

    def __init__(self, address: str) -> None:
        self.address = address


def sent(node: Daemon) -> int:
    """The bytes that a node has sent over the connections that it has now."""
    command = ["ss", "-Htin", "src", node.location]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return sum(map(int, re.findall(r"bytes_sent:(\d+)", ran.stdout)))


class OtherClientsCase(FetchTestCase):
    """Nodes on addresses of their own, which have the same file."""

    #: Bytes a second that each sends.
    rate = 4 * MIB

    def setUp(self) -> None:
        super().setUp()
        missing = [one for one, package in PROGRAMS.items() if shutil.which(one) is None]
        if missing:
            packages = " ".join(sorted({PROGRAMS[one] for one in missing}))
            raise SkipTest(f"there is no {', '.join(missing)}: apt-get install {packages}")
        if subprocess.run([PYTHON, "-c", "import libtorrent"], capture_output=True).returncode:
            raise SkipTest(f"{PYTHON} has no libtorrent: apt-get install python3-libtorrent")
        self.content = content_of(3)
        self.wanted = id_of(self.content)
        self.nodes = [self.start_at(f"127.0.0.{number}") for number in (1, 2)]

    def start_at(self, host: str, port: int | None = None) -> Daemon:
        """A node at that address, which its supernode knows to have the file."""
        port = port or free_port()
        path = self.shared(host) / FILE
        path.write_bytes(self.content)
        make_old(path)
        listening = ("--port", f"tcp:{port}:interface={host}", "--location", f"{host}:{port}")
        sharing = ("--name", host, "--resources", str(path.parent), "--max-upload", str(self.rate))
        where = (*self._group(), *at(self.supernode))
        node = self.start("p2p-node", port, *listening, *sharing, *where, machine=Place(host))
        self.wait_until_held(self.supernode, host, self.wanted)
        return node

    def begin(self, recipe: str, node: str, folder: str | None = None) -> Running:
        """Begin what the page says under that heading, at the node of that URL."""
        variables = {
            "NODE": node,
            "ID": self.wanted,
            "FILE": FILE,
            "URL": f"{node}/api/node/resources/{self.wanted}",
        }
        running = Running(recipes()[recipe], self.folder / (folder or recipe), variables)
        self.addCleanup(running.kill)
        return running

    def is_right(self, running: Running) -> bool:
        """Whether the file is there and is the right one."""
        path = running.folder / FILE
        return path.exists() and path.read_bytes() == self.content

    def assertRight(self, running: Running) -> None:
        """It ends with success, and the file is right."""
        ran = running.wait(WITHIN)
        self.assertEqual((ran.status, self.is_right(running)), (0, True), ran.output)

    def assertFails(self, running: Running) -> None:
        """It doesn't end with success."""
        ran = running.wait(WITHIN)
        self.assertNotEqual(ran.status, 0, ran.output)


class PageTests(SynchronousTestCase):
    """What the page says."""

    def test_recipes(self) -> None:
        """All commands on the page are run by the tests below."""
        self.assertEqual(set(recipes()), {*EXCEPT_TRANSMISSION, TRANSMISSION})


class DyingNodeTests(OtherClientsCase):
    """Three nodes, of which the one that the client was given is killed in the middle."""

    rate = MIB

    def setUp(self) -> None:
        super().setUp()
        self.nodes.append(self.start_at("127.0.0.3"))

    def die_during(self, *names: str) -> Mapping[str, Running]:
        """Kill the node when all of these, begun in this order, are in the middle; they go on."""
        running = {}
        for name in names:
            one = running[name] = self.begin(name, self.nodes[0].url)
            eventually(WITHIN, f"{name} has begun", partial(one.has_begun, FILE))
        self.assertEqual([name for name, one in running.items() if not one.is_running], [])
        self.nodes[0].kill()
        return running

    def test_http(self) -> None:
        """Those that know others go on; the rest fail, and go on at another one when run again."""
        # The last one is the quickest.
        running = self.die_during(*ONE, *SEVERAL, AXEL)
        for name in SEVERAL:
            self.assertRight(running[name])
        for name in (*ONE, AXEL):
            self.assertFails(running[name])
        # axel breaks off while any of the nodes that it is given is gone.
        self.nodes[0] = self.start_at(self.nodes[0].machine.address, self.nodes[0].port)
        nodes = itertools.cycle(self.nodes[1:])
        for again in [self.begin(name, next(nodes).url) for name in (*ONE, AXEL)]:
            self.assertRight(again)

    def test_torrents(self) -> None:
        """BitTorrent clients go on with the other nodes."""

        def has_begun(running: Running) -> bool:
            # Most keep in memory what comes, and aria2 may take nothing from this one.
            return running.has_begun(FILE) or sent(self.nodes[0]) > MIDDLE

        for name in (*TORRENTS, TRANSMISSION):
            running = self.begin(name, self.nodes[0].url)
            eventually(WITHIN, f"{name} has begun", partial(has_begun, running))
            self.nodes[0].kill()
            self.assertTrue(running.is_running, running.output)
            self.assertRight(running)
            self.nodes[0] = self.start_at(self.nodes[0].machine.address)


class InterruptedTests(OtherClientsCase):
    """Two nodes, and somebody who types Ctrl-C."""

    rate = 2 * MIB

    def test_again(self) -> None:
        """The same command, typed once more, gets the file."""
        for name in EXCEPT_TRANSMISSION:
            running = self.begin(name, self.nodes[0].url)
            eventually(WITHIN, f"{name} has begun", partial(running.has_begun, FILE))
            running.interrupt()
        for running in [self.begin(name, self.nodes[0].url) for name in EXCEPT_TRANSMISSION]:
            self.assertRight(running)


class LyingNodeTests(OtherClientsCase):
    """Two nodes, and one that says that it has the same, and has something else."""

    def setUp(self) -> None:
        super().setUp()
        self.liar = Impostor(self, self.supernode, "liar", self.content, FILE, host="127.0.0.4")

    def test_among_others(self) -> None:
        """Given an honest node: right bytes, but for those that check all of it, or nothing."""
        running = {name: self.begin(name, self.nodes[0].url) for name in EXCEPT_TRANSMISSION}
        for name, one in running.items():
            if name in (ARIA2_URL, AXEL):
                # Whether they ask the liar is chance.
                ran = one.wait(WITHIN)
                self.assertEqual(ran.status == 0, self.is_right(one), ran.output)
            else:
                self.assertRight(one)
        self.assertIn("libtorrent", self.liar.clients)

    def test_alone(self) -> None:
        """Given the liar itself, whose files fit to what it has: a failure, for all of them."""
        url = f"http://{self.liar.location}"
        for running in [self.begin(name, url) for name in recipes()]:
            self.assertFails(running)
            self.assertFalse(self.is_right(running))

    def test_transmission(self) -> None:
        """Transmission asks the liar again and again: it has no complete file, and doesn't end."""
        running = self.begin(TRANSMISSION, self.nodes[0].url)
        eventually(WITHIN, "it has wrong bytes", lambda: "failed its checksum" in running.output)
        self.assertTrue(running.is_running)
        self.assertFalse((running.folder / FILE).exists())
