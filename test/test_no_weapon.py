"""Nobody has a daemon call a third party, nor fills its memory: redirects, answers without end."""

import contextlib
import socket

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.client.node_client import MANIFEST_MAX
from p2ptwisted.pieces import MIB

from .bad_holders import BadHolder, Endless, EndlessPieces, Redirecting
from .cases import SystemTestCase
from .daemons import at, eventually, id_of
from .fetch_cases import FetchTestCase, content_of
from .test_fetch_faults import BOUNDED, peak_memory

ALIVE, REGISTER = "/api/supernode/alive", "/api/supernode/register"

#: Bytes that a daemon may grow by meanwhile; without bounds it was 31 MB, with the machine busy.
GROWTH_MAX = 12 * MIB

#: Bytes of an endless answer that the kernel's buffers on both sides may take.
TAKEN_MAX = 16 * MIB

#: Where no node can be; what is called there goes to many, to nobody, or to this machine alone.
NOWHERE = [
    "169.254.169.254:80",
    "255.255.255.255:80",
    "240.0.0.1:80",
    "0.1.2.3:80",
    "224.0.0.1:80",
    "239.255.43.21:4321",
]


class Listener:
    """A third party, which nobody has a reason to call."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        case.addCleanup(self._socket.close)
        self.location = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def was_called(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._socket.accept()[0].close()
            return True
        return False


class SweepTests(SystemTestCase):
    """What a supernode is told when it looks whether its nodes are well."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode("--sweep-interval", "1")
        good = self.start_node("good", {"a": b"a"}, *at(self.supernode))
        self.wait_until_held(self.supernode, "good", id_of(b"a"))
        self.good = good.location

    def wait_until_gone(self, *bad: BadHolder) -> None:
        """The sweep notices that these are not well; the good node stays throughout."""

        def look() -> bool:
            alive = [node["location"] for node in self.supernode.get(ALIVE).data]
            self.assertIn(self.good, alive)
            return not {one.location for one in bad} & set(alive)

        eventually(20, "all of the bad are gone", look)

    def test_redirect(self) -> None:
        """A redirect is not followed: it is a check that was missed."""
        listener = Listener(self)
        self.wait_until_gone(
            Redirecting(self, self.supernode, "bad", b"b", "GET /health", listener.location)
        )
        self.assertFalse(listener.was_called())

    def test_without_end(self) -> None:
        """Answers without end are read no further than their bounds."""
        before = peak_memory(self.supernode)
        bad = [
            Endless(self, self.supernode, "headers", b"c", "/health", in_headers=True),
            Endless(self, self.supernode, "body", b"d", "/health"),
        ]
        self.wait_until_gone(*bad)
        for one in bad:
            self.assertGreater(one.taken, 0)
            self.assertLess(one.taken, TAKEN_MAX)
        self.assertLess(peak_memory(self.supernode) - before, GROWTH_MAX)

    def test_nowhere(self) -> None:
        """Who may name others names no address that is not one host's."""
        before = self.supernode.get(ALIVE).data
        for location in NOWHERE:
            for path in (REGISTER, ALIVE):
                registration = {"name": "bad", "location": location, "resources": []}
                answer = self.supernode.post(path, registration)
                self.assertIn(answer.status, (400, 403), location)
        self.assertEqual(self.supernode.get(ALIVE).data, before)


class FetchTests(FetchTestCase):
    """What a holder says to who fetches, beside one that is good but slow."""

    def setUp(self) -> None:
        super().setUp()
        self.content = content_of(6)
        self.wanted = id_of(self.content)

    def troubles_with(self, bad: BadHolder) -> str:
        """What is wrong with this one, after all has come from the good one."""
        good = self.start_holder("good", {"big.bin": self.content}, *BOUNDED)
        fetcher = self.start_fetcher()
        before = peak_memory(fetcher)
        self.order(fetcher, self.wanted)
        status = self.wait_for_end(fetcher, self.wanted)
        self.assertDone(status, self.shared("fetcher") / status["name"], self.content)
        self.assertGreater(status["holders"].get(good.location, 0), 0)
        # What tells of the pieces is moved as it grows, and may be read twice in the time.
        self.assertLess(peak_memory(fetcher) - before, GROWTH_MAX + 4 * MANIFEST_MAX)
        troubles: str = status["troubles"].get(bad.location, "")
        return troubles

    def redirected(self, what: str) -> None:
        listener = Listener(self)
        bad = Redirecting(self, self.supernode, "bad", self.content, what, listener.location)
        self.assertIn("302", self.troubles_with(bad))
        self.assertFalse(listener.was_called())

    def test_redirect(self) -> None:
        """Who is asked what the pieces are sends nobody elsewhere."""
        self.redirected("GET /pieces")

    def test_redirected_pieces(self) -> None:
        """Nor does who is asked for the pieces themselves."""
        self.redirected("POST /pieces")

    def test_large_manifest(self) -> None:
        """Pieces that take more than 8 MiB to tell are not believed."""
        header = "Content-Length: 999999999999"
        bad = Endless(self, self.supernode, "bad", self.content, "/pieces", header=header)
        self.assertIn(f"more than {MANIFEST_MAX} bytes", self.troubles_with(bad))

    def test_no_length(self) -> None:
        """Nor are those that end only with their connection, which may be never."""
        bad = Endless(self, self.supernode, "bad", self.content, "/pieces")
        self.assertIn("doesn't say how long it is", self.troubles_with(bad))
        self.assertLess(bad.taken, TAKEN_MAX)

    def test_endless_piece(self) -> None:
        """Of a piece no more is taken than belongs to it."""
        bad = EndlessPieces(self, self.supernode, "bad", self.content)
        self.assertIn("it sent more than was asked for", self.troubles_with(bad))
