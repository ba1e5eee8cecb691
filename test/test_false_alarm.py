"""A supernode throws nobody out for what is not the nodes' fault."""

import json
import time
from http.server import BaseHTTPRequestHandler

from .cases import SystemTestCase
from .daemons import START_WITHIN, Daemon, at, eventually, free_port, id_of
from .serving import QuietServer, serve
from .test_dead_supernode import Load

#: Seconds for which the supernode is stopped; its nodes would be gone after 10.
STOPPED = 20.0

#: The same in the middle of a check: beyond its 2 s, and not for long.
STOPPED_IN_CHECK = 2.4

NODES = 5

#: Nodes that are slow to answer; fewer than those whose failing together is doubted.
SLOW_NODES = 3

#: Seconds that these take for an answer.
SLOW = 0.5

#: Seconds, in turns, for which a starved supernode stands still and runs, and in all.
STARVED, FED, STARVED_FOR = 2.4, 0.08, 30.0

#: Nodes of a starved supernode.
MANY = 200

#: Seconds in which just two sweeps fail, of one second's interval and 2 s for a check.
TWO_SWEEPS = 6.5

#: Seconds in which a third and a fourth have failed, too.
FOUR_SWEEPS = 13.0


class SlowNodes:
    """Nodes that are well, and take their time to say so."""

    def __init__(self, case: SystemTestCase, supernode: Daemon) -> None:
        """They are registered by now, and go when the test ends."""
        #: How often they were asked.
        self.asked = 0
        nodes = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                nodes.asked += 1
                time.sleep(SLOW)
                body = json.dumps({"data": {}}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        port = free_port()
        serve(case, QuietServer(("0.0.0.0", port), Handler))
        for number in range(1, SLOW_NODES + 1):
            location = f"127.0.3.{number}:{port}"
            answer = supernode.post(
                "/api/supernode/register", {"location": location, "resources": []}
            )
            case.assertEqual(answer.status, 204)

    def wait_until_asked(self) -> None:
        """Return as soon as all of them are being asked."""
        asked = self.asked
        eventually(START_WITHIN, "they are asked", lambda: self.asked >= asked + SLOW_NODES)


class FalseAlarmTests(SystemTestCase):
    """SIGSTOP, and what comes after it."""

    def test_stopped(self) -> None:
        """After 20 s of standing still it lists all nodes, at once and two sweeps later."""
        supernode = self.start_supernode("--sweep-interval", "1")
        for number in range(NODES):
            name = f"node{number}"
            self.start_node(name, {"file": name.encode()}, *at(supernode))
            self.wait_until_held(supernode, name, id_of(name.encode()))
        supernode.freeze()
        time.sleep(STOPPED)
        supernode.thaw()
        until = time.monotonic() + 4
        while time.monotonic() < until:
            self.assertEqual(len(supernode.get("/api/supernode/alive").data), NODES)
        self.assertNotIn("is gone", supernode.log.read_text())
        ids = [id_of(f"node{number}".encode()) for number in range(NODES)]
        found = f"/api/supernode/search?hash_ids={','.join(ids)}"
        eventually(5, "all is found", lambda: len(supernode.get(found).data) == NODES)

    def test_stopped_in_checks(self) -> None:
        """Answers that came while it stood still, and were read too late, came in time."""
        supernode = self.start_supernode("--sweep-interval", "1")
        nodes = SlowNodes(self, supernode)
        for _ in range(3):
            nodes.wait_until_asked()
            supernode.freeze()
            time.sleep(STOPPED_IN_CHECK)
            supernode.thaw()
        nodes.wait_until_asked()
        self.assertEqual(len(supernode.get("/api/supernode/alive").data), SLOW_NODES)
        self.assertNotIn("is gone", supernode.log.read_text())

    def test_starved(self) -> None:
        """With a thirtieth of a processor for 30 s it keeps all of its 200 nodes."""
        supernode = self.start_supernode()
        load = Load(MANY, 1, 1, 1, free_port(), supernode)
        self.addCleanup(load.kill)
        eventually(START_WITHIN, "all are there", lambda: load.is_at(supernode))
        until = time.monotonic() + STARVED_FOR
        while time.monotonic() < until:
            supernode.freeze()
            time.sleep(STARVED)
            supernode.thaw()
            time.sleep(FED)
        self.assertEqual(len(supernode.get("/api/supernode/alive").data), MANY)
        log = supernode.log.read_text()
        self.assertNotIn("is gone", log)
        self.assertNotIn("has another supernode", log)


class TogetherTests(SystemTestCase):
    """Most nodes of one supernode do not answer."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode("--sweep-interval", "1")
        self.nodes = []
        for number in range(NODES):
            name = f"node{number}"
            self.nodes.append(self.start_node(name, {"file": b"it"}, *at(self.supernode)))
            self.wait_until_held(self.supernode, name, id_of(b"it"))

    def alive(self) -> int:
        return len(self.supernode.get("/api/supernode/alive").data)

    def test_two_sweeps(self) -> None:
        """Where most fail together one sweep more is waited for; a lone node is gone after two."""
        for node in self.nodes[1:]:
            node.freeze()
            self.addCleanup(node.thaw)
        until = time.monotonic() + TWO_SWEEPS
        while time.monotonic() < until:
            self.assertEqual(self.alive(), NODES)
            time.sleep(0.1)
        for node in self.nodes[1:]:
            node.thaw()
        time.sleep(2)
        self.assertEqual(self.alive(), NODES)
        self.nodes[1].freeze()
        eventually(TWO_SWEEPS + 1, "the lone one is gone", lambda: self.alive() == NODES - 1)

    def test_really_gone(self) -> None:
        """Those that go on failing together are gone, all of them."""
        for node in self.nodes[1:]:
            node.kill()
        eventually(FOUR_SWEEPS, "they are gone", lambda: self.alive() == 1)
