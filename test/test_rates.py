"""What one address may ask for in a while, and that it costs no other address anything."""

import json
from collections.abc import Callable
from http.client import HTTPConnection

from p2ptwisted.node.local_node import FORWARD_BURST, FORWARD_RATE
from p2ptwisted.supernode.local_supernode import (
    HOLDERS_BURST,
    HOLDERS_RATE,
    MISS_BURST,
    MISS_RATE,
    REGISTER_BURST,
    REGISTER_RATE,
)

from .answers import Answer
from .cases import SystemTestCase
from .daemons import Daemon, at, id_of

#: One who asks for too much, and another.
GREEDY, OTHER = "127.0.3.1", "127.0.3.2"

#: Ids asked for at a time.
MANY = 100

#: Seconds that the requests up to the first refusal may take; at their rate, so many more are
#: allowed.
AT_MOST = 30

CONTENT = b"content"


class Caller:
    """A client at an address of its own."""

    def __init__(self, daemon: Daemon, address: str) -> None:
        self._connection = HTTPConnection(
            daemon.machine.address, daemon.port, timeout=10, source_address=(address, 0)
        )

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        self.send(method, path, body)
        return self.answer()

    def send(self, method: str, path: str, body: object = None) -> None:
        data = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/{path}", data)

    def answer(self) -> Answer:
        response = self._connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def close(self) -> None:
        self._connection.close()


class RatesTests(SystemTestCase):
    """A supernode, a node there with one file, and callers at addresses of their own."""

    def setUp(self) -> None:
        super().setUp()
        # So short that what nobody has is soon known not to be found.
        self.supernode = self.start_supernode("--search-timeout", "0.05")
        self.node = self.start_node("node", {"file": CONTENT}, *at(self.supernode))
        self.wait_until_held(self.supernode, "node", id_of(CONTENT))

    def caller(self, daemon: Daemon, address: str) -> Caller:
        caller = Caller(daemon, address)
        self.addCleanup(caller.close)
        return caller

    def exhaust(self, ask: Callable[[int], Answer], at_least: int, at_most: int) -> None:
        """Ask until it is too much, which it must be after so many."""
        answered = 0
        while (answer := ask(answered)).status < 300:
            answered += 1
            self.assertLess(answered, at_most)
        self.assertGreaterEqual(answered, at_least)
        self.assertEqual(answer.status, 429)
        self.assertEqual(answer.headers["Retry-After"], "1")
        self.assertEqual(answer.json["name"], "Too Many Requests")
        self.assertIn(GREEDY, answer.json["description"])

    def assert_hits(self, caller: Caller, path: str, count: int) -> None:
        """What is there is found, as often as it is asked for."""
        for _ in range(count):
            self.assertEqual(caller.ask("GET", path).status, 200)

    def test_registering(self) -> None:
        """Registrations: the one beyond gets 429 and when to try again; others get in."""
        greedy, other = (self.caller(self.supernode, address) for address in (GREEDY, OTHER))
        list_ = {"location": ":9", "resources": []}
        self.exhaust(
            lambda _: greedy.ask("POST", "supernode/register", list_),
            REGISTER_BURST,
            REGISTER_BURST + AT_MOST * REGISTER_RATE,
        )
        self.assertEqual(other.ask("POST", "supernode/register", list_).status, 204)
        alive = [one["location"] for one in self.supernode.get("/api/supernode/alive").data]
        self.assertCountEqual(alive, [self.node.location, f"{GREEDY}:9", f"{OTHER}:9"])

    def test_searching(self) -> None:
        """Searches for unknown ids, many at a time as well; what is there is found all the same."""
        greedy, other = (self.caller(self.supernode, address) for address in (GREEDY, OTHER))

        def ask(number: int) -> Answer:
            ids = ",".join(f"nobodys-{number}-{one}" for one in range(MANY))
            return greedy.ask("GET", f"supernode/search?hash_ids={ids}")

        self.exhaust(ask, MISS_BURST // MANY, (MISS_BURST + AT_MOST * MISS_RATE) // MANY)
        hit = f"supernode/search/{id_of(CONTENT)}"
        self.assert_hits(greedy, hit, MISS_BURST + MANY)
        miss = other.ask("GET", "supernode/search/nobodys")
        self.assertEqual((miss.status, miss.data), (200, {}))

    def test_holders(self) -> None:
        """Searches for all holders, which ask the other supernodes, even for what is there."""
        greedy, other = (self.caller(self.supernode, address) for address in (GREEDY, OTHER))
        path = f"supernode/holders/{id_of(CONTENT)}"
        everywhere, here = path, f"{path}?here=1"
        # Each waits for other supernodes.
        callers = [self.caller(self.supernode, GREEDY) for _ in range(MANY)]

        def ask(_: int) -> Answer:
            for caller in callers:
                caller.send("GET", everywhere)
            return max((caller.answer() for caller in callers), key=lambda one: one.status)

        self.exhaust(ask, HOLDERS_BURST // MANY, (HOLDERS_BURST + AT_MOST * HOLDERS_RATE) // MANY)
        self.assertEqual(other.ask("GET", everywhere).data["locations"], [self.node.location])
        self.assert_hits(greedy, here, 10)

    def test_through_a_node(self) -> None:
        """Nor does a node ask its supernode more than that for one stranger, and serves others."""
        greedy, other = (self.caller(self.node, address) for address in (GREEDY, OTHER))
        there = self.start_node("there", {"far": b"far"}, *at(self.supernode))
        self.wait_until_held(self.supernode, "there", id_of(b"far"))

        def ask(number: int) -> Answer:
            ids = ",".join(f"nobodys-{number}-{one}" for one in range(MANY))
            return greedy.ask("GET", f"node/resources/find?hash_ids={ids}")

        far = f"node/resources/find?hash_ids={id_of(b'far')}"
        self.assert_hits(greedy, far, FORWARD_BURST + MANY)
        self.exhaust(ask, FORWARD_BURST // MANY, (FORWARD_BURST + AT_MOST * FORWARD_RATE) // MANY)
        self.assert_hits(greedy, f"node/resources/{id_of(CONTENT)}", 10)
        (found,) = other.ask("GET", far).data
        self.assertEqual(found["info"]["locations"], [there.location])
        self.assertEqual(other.ask("GET", "node/resources/nobodys").status, 404)
