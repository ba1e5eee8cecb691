"""Tests of `p2ptwisted.client`, all of it: Twisted's HTTP client, on connections in memory."""

import json
from collections.abc import Coroutine
from typing import Any, cast

from msgspec import UNSET
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError, TCPTimedOutError, TimeoutError
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface.verify import verifyObject

from p2ptwisted.client import answers, supernode_client
from p2ptwisted.client.answers import ANSWER_MAX
from p2ptwisted.client.call_errors import DESCRIPTION_MAX
from p2ptwisted.client.supernode_client import (
    FOUND_LOCATIONS_MAX,
    LOCATIONS_CHECKED_MAX,
    LOCATIONS_MAX,
    NODES_MAX,
    REGISTER_TIMEOUT,
    REGISTER_TIMEOUT_EACH,
)
from p2ptwisted.client.transport import (
    CALL_TIMEOUT,
    CONNECT_TIMEOUT,
    POOL_IDLE_TIMEOUT,
    SMALL_ANSWER_MAX,
    IClientReactor,
    NumericEndpoints,
    Refused,
)
from p2ptwisted.errors import Nonsense, OlderProgram
from p2ptwisted.model import (
    FOUND_MAX,
    NAME_MAX,
    NAMES_MAX,
    SUPERNODE_ID,
    GoneNode,
    HeartbeatAnswer,
    HeldFile,
    Holders,
    Holding,
    NodeInfo,
    Registration,
    ResourceInfo,
)
from p2ptwisted.support.escaping import SHOWN_MAX
from p2ptwisted.support.locations import Location, parse_location
from p2ptwisted.support.round_robin import share_of
from p2ptwisted.test.client.client_case import BAD_LOCATIONS, ID, NODE, SUPERNODE, ClientCase
from p2ptwisted.test.node_fakes import Peer, work

#: An id that comes after the other one.
LAST = "f" * 64


class CallTests(ClientCase):
    """What is asked, and what is made of a good answer."""

    def test_is_well(self) -> None:
        """A node is well that answers its health check."""
        well = self.call(self.client.is_well(NODE))
        self.assertEqual(self.reactor.tcpClients[-1][:2], ("10.0.0.3", 8000))
        peer = self.accept()
        self.assertEqual(peer.asked().line, "GET /api/node/health HTTP/1.1")
        peer.answer("200 OK", b"whatever it says")
        self.assertIs(self.successResultOf(well), True)

    def test_has_supernode(self) -> None:
        """A node has a supernode that names one; one that says null, or nothing of it, has none."""
        told = ['{"supernode": "10.0.0.9:5000"}', '{"supernode": null}', "{}", "5"]
        has = []
        for data in told:
            asked = self.call(self.client.has_supernode(NODE))
            peer = self.accept()
            self.assertEqual(peer.asked().line, "GET /api/node/health HTTP/1.1")
            peer.answer("200 OK", f'{{"data": {data}}}'.encode(), "Connection: close")
            has.append(self.successResultOf(asked))
        self.assertEqual(has, [True, False, False, False])

    def test_is_not_well(self) -> None:
        """A node that answers with an error is not."""
        for status in ("500 Internal Server Error", "404 Not Found"):
            well = self.call(self.client.is_well(NODE))
            peer = self.accept()
            peer.answer(status, b"", "Connection: close")
            self.assertIs(self.successResultOf(well), False)

    def test_holds(self) -> None:
        """A node holds a resource when it says so itself, with just that id."""
        for status, body, expected in [
            ("200 OK", {"data": {"id": ID, "name": "x"}, "entity": "resource"}, True),
            ("200 OK", {"data": {"id": "b" * 64, "name": "x"}}, False),
            ("200 OK", {"data": {}}, False),
            ("200 OK", {}, False),
            ("302 Found", {"data": {"id": ID, "info": {}}}, False),
            ("404 Not Found", {"code": 404}, False),
        ]:
            holds = self.call(self.client.holds(NODE, ID))
            peer = self.accept()
            self.assertEqual(peer.asked().line, f"GET /api/node/resources/{ID} HTTP/1.1")
            peer.answer(status, json.dumps(body).encode(), "Connection: close")
            self.assertIs(self.successResultOf(holds), expected, msg=f"{status} {body}")

    def test_register(self) -> None:
        """A registration is posted as JSON; a size that is not known is left out."""
        registration = Registration(
            NODE, [ResourceInfo(ID, "x", 5), ResourceInfo("b" * 64, "ä")], "node1"
        )
        done = self.call(self.client.register(SUPERNODE, registration))
        peer = self.accept()
        asked = peer.asked()
        self.assertEqual(asked.line, "POST /api/supernode/register HTTP/1.1")
        self.assertEqual(asked.headers["content-type"], "application/json")
        self.assertEqual(asked.headers["content-length"], str(len(asked.body)))
        self.assertEqual(
            json.loads(asked.body),
            {
                "location": NODE,
                "name": "node1",
                "resources": [
                    {"id": ID, "name": "x", "size": 5},
                    {"id": "b" * 64, "name": "ä"},
                ],
            },
        )
        self.assertNoResult(done)
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.successResultOf(done)

    def test_presence(self) -> None:
        """A heartbeat is a POST and a goodbye a DELETE, with the location; 404 is "not known"."""
        for method, call, results in [
            ("POST", self.client.heartbeat, (HeartbeatAnswer(True), HeartbeatAnswer(False))),
            ("DELETE", self.client.goodbye, (True, False)),
        ]:
            for status, expected in zip(("204 No Content", "404 Not Found"), results, strict=True):
                done: Deferred[object] = self.call(call(SUPERNODE, NODE))
                peer = self.accept()
                asked = peer.asked()
                self.assertEqual(asked.line, f"{method} /api/supernode/alive HTTP/1.1")
                self.assertEqual(asked.headers["content-type"], "application/json")
                self.assertEqual(json.loads(asked.body), {"location": NODE})
                peer.answer(status, b"", "Connection: close")
                self.assertEqual(self.successResultOf(done), expected)

    def test_unreachable(self) -> None:
        """A supernode that can't reach the node says so in the answer's head."""
        done = self.call(self.client.heartbeat(SUPERNODE, NODE))
        peer = self.accept()
        peer.asked()
        peer.send(b"HTTP/1.1 204 No Content\r\nNode-Unreachable: 10.9.9.9:1\r\n\r\n")
        self.assertEqual(self.successResultOf(done), HeartbeatAnswer(True, NODE))

    def test_search(self) -> None:
        """A search asks for all ids at once, and gives who holds them."""
        found = self.call(self.client.search(SUPERNODE, [ID, "Token"]))
        peer = self.accept()
        self.assertEqual(
            peer.asked().line, f"GET /api/supernode/search?hash_ids={ID},Token HTTP/1.1"
        )
        full = {"name": "x", "location": NODE, "locations": [NODE, "10.0.0.4:1"], "size": 5}
        bare = {"location": NODE, "locations": [NODE], "unknown": "ignored"}
        body = {"data": [{"id": ID, "file": full}, {"id": "Token", "file": bare}], "entity": "x"}
        peer.answer("200 OK", json.dumps(body).encode())
        self.assertEqual(
            self.successResultOf(found),
            [
                Holding(ID, HeldFile(NODE, [NODE, "10.0.0.4:1"], "x", 5)),
                Holding("Token", HeldFile(NODE, [NODE])),
            ],
        )

    def test_in_pieces(self) -> None:
        """An answer may come in as many pieces as it likes."""
        found = self.call(self.client.search(SUPERNODE, [ID]))
        peer = self.accept()
        for byte in b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"data":[]}':
            peer.send(bytes([byte]))
        self.assertEqual(self.successResultOf(found), [])

    def test_chunked(self) -> None:
        """An answer may be chunked."""
        found = self.call(self.client.search(SUPERNODE, [ID]))
        peer = self.accept()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b'5\r\n{"dat\r\n6\r\na":[]}\r\n0\r\n\r\n')
        self.assertEqual(self.successResultOf(found), [])

    def test_without_length(self) -> None:
        """An answer may be without a length, and end where the connection does."""
        found = self.call(self.client.search(SUPERNODE, [ID]))
        peer = self.accept()
        peer.send(b'HTTP/1.0 200 OK\r\n\r\n{"data":[]}')
        self.assertNoResult(found)
        peer.close()
        self.assertEqual(self.successResultOf(found), [])


class OlderProgramTests(ClientCase):
    """What is made of the answers of the program that this grew from."""

    #: Its errors: as JSON, or as the pages of its web framework.
    ERRORS = (
        b'{"name": "Not Found", "description": "The requested URL was not found.", "code": 404}',
        b"<!doctype html>\n<title>404 Not Found</title>",
    )

    def answered(self, asked: str, status: str, body: bytes | object) -> None:
        """The next call, which is this one, is answered so."""
        peer = self.accept()
        self.assertEqual(peer.asked().line, f"{asked} HTTP/1.1")
        if not isinstance(body, bytes):
            body = json.dumps({"data": body, "entity": "node_resource_location"}).encode()
        peer.answer(status, body, "Connection: close")

    def test_search(self) -> None:
        """A file with one `location`, without a name where it came by multicast; or nothing."""
        found = self.call(self.client.search(SUPERNODE, ["x", "y", "z"]))
        files: list[object] = [
            {"id": "x", "file": {"name": "x.bin", "location": NODE}},
            {"id": "y", "file": {"location": NODE}},
            {"id": "z", "file": {}},
        ]
        self.answered("GET /api/supernode/search?hash_ids=x,y,z", "200 OK", files)
        self.assertEqual(
            self.successResultOf(found),
            [Holding("x", HeldFile(NODE, [NODE], "x.bin")), Holding("y", HeldFile(NODE, [NODE]))],
        )

    def test_holders(self) -> None:
        """It has no such route, and is searched: what has no name is not of its own nodes."""
        local, elsewhere = {"name": "x.bin", "location": NODE}, {"location": NODE}
        for error in self.ERRORS:
            for data, here, expected in (
                ({"id": ID, "file": local}, False, Holders(ID, [NODE], [], "x.bin")),
                ({"id": ID, "file": local}, True, Holders(ID, [NODE], [], "x.bin")),
                ({"id": ID, "file": elsewhere}, False, Holders(ID, [NODE], [])),
                ({"id": ID, "file": elsewhere}, True, Holders(ID, [], [])),
                ({"id": ID, "file": {}}, False, Holders(ID, [], [])),
                ({}, False, Holders(ID, [], [])),
            ):
                holders = self.call(self.client.holders(SUPERNODE, ID, here))
                query = "?here=1" if here else ""
                self.answered(f"GET /api/supernode/holders/{ID}{query}", "404 Not Found", error)
                self.answered(f"GET /api/supernode/search/{ID}", "200 OK", data)
                self.assertEqual(self.successResultOf(holders), expected)

    def test_bad_location(self) -> None:
        """What it tells is believed no further than what others tell."""
        for location in BAD_LOCATIONS:
            holders = self.call(self.client.holders(SUPERNODE, ID))
            self.answered(f"GET /api/supernode/holders/{ID}", "404 Not Found", self.ERRORS[0])
            data = {"id": ID, "file": {"location": location}}
            self.answered(f"GET /api/supernode/search/{ID}", "200 OK", data)
            self.assertEqual(self.successResultOf(holders), Holders(ID, [], []))

    def test_not_a_supernode(self) -> None:
        """Who has neither route is no supernode."""
        holders = self.call(self.client.holders(SUPERNODE, ID))
        for what in ("holders", "search"):
            self.answered(f"GET /api/supernode/{what}/{ID}", "404 Not Found", self.ERRORS[0])
        self.assertEqual(self.failureResultOf(holders, Refused).value.status, 404)

    def test_is_there(self) -> None:
        """Whether it is there its group need not be asked, which can take it without end."""
        holders = self.call(self.client.holders(SUPERNODE, SUPERNODE_ID, here=True))
        path = f"/api/supernode/holders/{SUPERNODE_ID}?here=1"
        self.answered(f"GET {path}", "404 Not Found", self.ERRORS[0])
        self.assertEqual(self.successResultOf(holders), Holders(SUPERNODE_ID, [], []))

    def test_other_supernodes(self) -> None:
        """It tells one other at the most, and ours itself first."""
        for file, expected in (
            ({"location": "10.0.0.2:5000"}, ["10.0.0.2:5000"]),
            ({"location": SUPERNODE, "locations": [SUPERNODE, "10.0.0.2:5000"]}, ["10.0.0.2:5000"]),
            ({"location": SUPERNODE, "locations": [SUPERNODE]}, []),
        ):
            others = self.call(self.client.other_supernodes(SUPERNODE))
            data = [{"id": SUPERNODE_ID, "file": file}]
            self.answered("GET /api/supernode/search?hash_ids=supernode", "200 OK", data)
            self.assertEqual(self.successResultOf(others), expected)

    def test_finds_names(self) -> None:
        """That it has no holders tells that it knows no names."""
        path = f"/api/supernode/holders/{SUPERNODE_ID}?here=1"
        for status, expected in (("404 Not Found", False), ("200 OK", True), ("503 Oh", True)):
            finds = self.call(self.client.finds_names(SUPERNODE))
            self.answered(f"GET {path}", status, self.ERRORS[0])
            self.assertIs(self.successResultOf(finds), expected)

    def test_node(self) -> None:
        """Its node is well, and gives nothing, fetches nothing, and tells nothing of itself."""
        calls: list[tuple[Coroutine[Any, Any, object], str, str]] = [
            (self.client.pieces(NODE, ID), f"GET /api/node/resources/{ID}/pieces", "no content"),
            (self.client.order(NODE, ID), "POST /api/node/fetch", "fetches nothing"),
        ]
        for (call, asked, told), error in zip(calls, self.ERRORS, strict=True):
            called = self.call(call)
            self.answered(asked, "404 Not Found", error)
            self.answered("GET /api/node/health", "200 OK", b"")
            failure = self.failureResultOf(called, OlderProgram)
            self.assertIn("the older program", str(failure.value))
            self.assertIn(told, str(failure.value))
        health = self.call(self.client.health(NODE))
        self.answered("GET /api/node/health", "200 OK", b"")
        self.failureResultOf(health, OlderProgram)

    def test_order_refused(self) -> None:
        """A node that says 404 and how it is, is another program's."""
        order = self.call(self.client.order(NODE, ID))
        self.answered("POST /api/node/fetch", "404 Not Found", self.ERRORS[1])
        self.answered("GET /api/node/health", "404 Not Found", self.ERRORS[1])
        self.assertEqual(self.failureResultOf(order, Refused).value.status, 404)


class TimeTests(ClientCase):
    """Nothing is waited for without an end, and what is given up is closed."""

    def test_connection(self) -> None:
        """A host that does not answer at all is given up in time."""
        well = self.call(self.client.is_well(NODE))
        self.assertEqual(self.reactor.tcpClients[-1][3], CONNECT_TIMEOUT)
        self.reactor.advance(CALL_TIMEOUT - 0.1)
        self.assertNoResult(well)
        self.reactor.advance(0.1)
        self.assertIs(self.successResultOf(well), None)
        self.assertTrue(self.reactor.connectors[-1].stoppedConnecting)

    def test_connection_told(self) -> None:
        """What is said of it is that no answer came in time."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        self.reactor.advance(CALL_TIMEOUT)
        self.assertIn("no answer in time", self.unavailable(beat))

    def test_headers(self) -> None:
        """A peer that accepts and then says nothing is given up, its connection closed."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        peer = self.accept()
        self.reactor.advance(CALL_TIMEOUT)
        self.assertIn("no answer in time", self.unavailable(beat))
        self.assertFalse(peer.is_open)

    def test_body(self) -> None:
        """A peer whose answer never ends is given up, its connection closed."""
        for call in (
            lambda: self.client.search(SUPERNODE, [ID]),
            lambda: self.client.heartbeat(SUPERNODE, NODE),
        ):
            called: Deferred[Any] = self.call(call())
            peer = self.accept()
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(3):
                peer.send(b"1\r\n \r\n")
                self.reactor.advance(CALL_TIMEOUT / 4)
            self.assertNoResult(called)
            self.reactor.advance(CALL_TIMEOUT / 4)
            self.assertIn("no answer in time", self.unavailable(called))
            self.assertFalse(peer.is_open)

    def test_half_a_body(self) -> None:
        """The same where only the rest of an answer with a length is missing."""
        well = self.call(self.client.is_well(NODE))
        peer = self.accept()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal")
        self.reactor.advance(CALL_TIMEOUT)
        self.assertIs(self.successResultOf(well), None)
        self.assertFalse(peer.is_open)

    def test_registration(self) -> None:
        """A registration has more time, the more the larger it is, and an end too."""
        resources = [ResourceInfo(f"{number:064}", "x") for number in range(4_000)]
        done = self.call(self.client.register(SUPERNODE, Registration(NODE, resources)))
        peer = self.accept()
        self.reactor.advance(REGISTER_TIMEOUT)
        self.assertNoResult(done)
        self.reactor.advance(len(resources) * REGISTER_TIMEOUT_EACH)
        self.assertIn("no answer in time", self.unavailable(done))
        self.assertFalse(peer.is_open)

    def test_connecting_times_out(self) -> None:
        """The system's own giving up of a connection is not our caller's: it is Unavailable."""
        for error in (TimeoutError(), TCPTimedOutError()):
            done = self.call(self.client.register(SUPERNODE, Registration(NODE, [])))
            self.reactor.advance(CONNECT_TIMEOUT)
            self.fail_to_connect(error)
            self.assertIn(SUPERNODE, self.unavailable(done))

    def test_connection_times_out(self) -> None:
        """The same where the system gives up a connection that it had."""
        for begun in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal"):
            done = self.call(self.client.register(SUPERNODE, Registration(NODE, [])))
            peer = self.accept()
            if begun:
                peer.send(begun)
            peer.transport.lose(TCPTimedOutError())
            self.assertIn(SUPERNODE, self.unavailable(done))

    def test_sending(self) -> None:
        """A peer that does not take a large registration is given up, its connection closed."""
        done = self.call(self.client.register(SUPERNODE, self.large()))
        peer = self.accept()
        self.reactor.advance(2 * REGISTER_TIMEOUT)
        self.assertIn("no answer in time", self.unavailable(done))
        self.assertFalse(peer.is_open)

    def large(self) -> Registration:
        """A registration that takes more slices to be sent than are done here."""
        return Registration(
            NODE, [ResourceInfo(f"{number:064}", "x" * 200) for number in range(5_000)]
        )

    def test_cancelled(self) -> None:
        """A caller that gives up gets a CancelledError, and the connection is closed."""

        def sending(peer: Peer) -> None:
            """It is still sending: nothing need be done."""

        def answering(peer: Peer) -> None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal")

        for registration, reach in [
            (Registration(NODE, []), sending),
            (self.large(), sending),
            (Registration(NODE, []), answering),
        ]:
            done = self.call(self.client.register(SUPERNODE, registration))
            peer = self.accept()
            reach(peer)
            done.cancel()
            self.failureResultOf(done, CancelledError)
            self.assertFalse(peer.is_open)

    def test_cancelled_while_connecting(self) -> None:
        """The same where there is no connection yet."""
        done = self.call(self.client.register(SUPERNODE, Registration(NODE, [])))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertTrue(self.reactor.connectors[-1].stoppedConnecting)


class SizeTests(ClientCase):
    """No answer can fill the memory."""

    def test_health(self) -> None:
        """A health check of more than 64 KiB fails, and is read no further."""
        for length, expected in [(SMALL_ANSWER_MAX, True), (SMALL_ANSWER_MAX + 1, False)]:
            well = self.call(self.client.is_well(NODE))
            peer = self.accept()
            peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n")
            peer.send(bytes(length))
            if expected:
                self.assertNoResult(well)
                self.assertTrue(peer.is_open)
                self.reactor.advance(CALL_TIMEOUT)
            self.assertIs(self.successResultOf(well), None)
            self.assertFalse(peer.is_open)

    def test_just_as_much(self) -> None:
        """An answer of exactly the limit is taken."""
        well = self.call(self.client.is_well(NODE))
        self.accept().answer("200 OK", bytes(SMALL_ANSWER_MAX))
        self.assertIs(self.successResultOf(well), True)

    def test_search(self) -> None:
        """A search's answer may be larger than that, up to a limit of its own."""
        found = self.call(self.client.search(SUPERNODE, [ID]))
        self.accept().answer("200 OK", b'{"data":[]' + b" " * (SMALL_ANSWER_MAX * 2) + b"}")
        self.assertEqual(self.successResultOf(found), [])
        self.reactor.advance(POOL_IDLE_TIMEOUT)
        found = self.call(self.client.search(SUPERNODE, [ID]))
        peer = self.accept()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + bytes(0x100000) + b"\r\n"
        for _ in range(ANSWER_MAX // 0x100000):
            peer.send(piece)
        self.assertNoResult(found)
        peer.send(piece)
        self.assertIn(str(ANSWER_MAX), self.unavailable(found))
        self.assertFalse(peer.is_open)

    def test_error(self) -> None:
        """An error's body is bounded like any other."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        peer = self.accept()
        peer.answer("400 Bad Request", bytes(SMALL_ANSWER_MAX + 1))
        self.unavailable(beat)
        self.assertFalse(peer.is_open)


class BadAnswerTests(ClientCase):
    """Answers that are errors, or none of ours."""

    def refused(self, deferred: Deferred[Any]) -> Refused:
        refused = self.failureResultOf(deferred, Refused).value
        assert isinstance(refused, Refused)
        return refused

    def test_description(self) -> None:
        """An error says what the other side said of it."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        self.accept().answer("403 Forbidden", b'{"code": 403, "description": "not yours"}')
        refused = self.refused(beat)
        self.assertEqual((refused.status, str(refused)), (403, "not yours"))

    def test_no_description(self) -> None:
        """An error without a description says what was asked and the status."""
        for body in (
            b"",
            b"<html>",
            b"[]",
            b"{}",
            b'{"description": 5}',
            b'{"description": "\xff"}',
        ):
            beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
            self.accept().answer("502 Bad Gateway", body, "Connection: close")
            refused = self.refused(beat)
            self.assertEqual(refused.status, 502)
            self.assertEqual(
                str(refused), f"POST http://{SUPERNODE}/api/supernode/alive: status 502", msg=body
            )

    def test_redirect(self) -> None:
        """A redirect is not followed: it is an error like others."""
        for status in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect"):
            for call, answer in [
                (lambda: self.client.is_well(NODE), False),
                (lambda: self.client.holds(NODE, ID), False),
                (lambda: self.client.heartbeat(SUPERNODE, NODE), None),
                (lambda: self.client.search(SUPERNODE, [ID]), None),
            ]:
                called: Deferred[Any] = self.call(call())
                connections = len(self.reactor.tcpClients)
                self.accept().answer(
                    status, b"", "Location: http://10.6.6.6:22/", "Connection: close"
                )
                if answer is None:
                    self.assertEqual(self.refused(called).status, int(status[:3]))
                else:
                    self.assertIs(self.successResultOf(called), answer)
                self.assertEqual(len(self.reactor.tcpClients), connections)

    def test_not_ours(self) -> None:
        """An answer that is not JSON, or JSON of another form, is Unavailable and says so."""
        held = b'{"location": "a:1", "locations": ["a:1"]}'
        for body in (
            b"",
            b"<html>",
            b"[]",
            b"{}",
            b'{"data": {}}',
            b'{"data": null}',
            b'{"data": [5]}',
            b'{"data": [{"id": "a"}]}',
            b'{"data": [{"file": %s}]}' % held,
            b'{"data": [{"id": 5, "file": %s}]}' % held,
            b'{"data": [{"id": "a", "file": {"location": 5}}]}',
            b'{"data": [{"id": "\xff", "file": %s}]}' % held,
            b'{"data": "\xff"}',
            b'{"data": []',
            b'{"data": []} and more',
            b"[" * 50_000,
            b'{"data": ' + b"[" * 50_000,
        ):
            found = self.call(self.client.search(SUPERNODE, [ID]))
            self.accept().answer("200 OK", body, "Connection: close")
            failure = self.failureResultOf(found)
            self.assertIs(failure.type, Nonsense, msg=f"{body[:60]!r} {failure.value!r}")
            self.assertIn("can't be understood", str(failure.value))

    def test_no_answer_is_no_no(self) -> None:
        """Who doesn't answer, or has too much to do, doesn't say that he hasn't got it."""
        for status in ("500 Oh", "502 Bad Gateway", "503 Busy", "429 Too Many Requests"):
            holds = self.call(self.client.confirms(NODE, ID))
            self.accept().answer(status, b"", "Connection: close")
            self.unavailable(holds)
        holds = self.call(self.client.confirms(NODE, ID))
        self.fail_to_connect(ConnectionRefusedError())
        self.unavailable(holds)
        holds = self.call(self.client.confirms(NODE, ID))
        self.accept()
        self.reactor.advance(CALL_TIMEOUT)
        self.unavailable(holds)
        holds = self.call(self.client.holds(NODE, ID))
        self.fail_to_connect(ConnectionRefusedError())
        self.assertIs(self.successResultOf(holds), False)

    def test_anything_else_is_a_no(self) -> None:
        """Whatever else a node answers, it doesn't hold the resource."""
        for body in (
            b"",
            b"<html>",
            b"[]",
            b'{"data": 5}',
            b'{"data": {"id": 5}}',
            b'{"data": {"id": "\xff"}}',
            b"[" * 50_000,
            b'{"data": ' + b"[" * 50_000,
        ):
            holds = self.call(self.client.confirms(NODE, ID))
            self.accept().answer("200 OK", body, "Connection: close")
            self.assertIs(self.successResultOf(holds), False, msg=f"{body[:60]!r}")

    def test_not_http(self) -> None:
        """A peer that speaks something else is Unavailable."""
        for data in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\xff\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"):
            beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
            peer = self.accept()
            peer.send(data)
            if peer.is_open:
                peer.close()
            self.assertIn(SUPERNODE, self.unavailable(beat))

    def test_refused_connection(self) -> None:
        """Where nobody listens, it is Unavailable and says whom was asked."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        self.fail_to_connect(ConnectionRefusedError())
        said = self.unavailable(beat)
        self.assertIn(SUPERNODE, said)
        self.assertIn("refused", said)

    def test_broken_connection(self) -> None:
        """A connection that breaks, before the answer or in it, is Unavailable."""
        for begun in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal"):
            beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
            peer = self.accept()
            if begun:
                peer.send(begun)
            peer.break_off()
            self.unavailable(beat)


class ConnectionTests(ClientCase):
    """Connections, kept and closed."""

    def test_provider(self) -> None:
        """The endpoint factory is what Twisted's Agent asks for."""
        verifyObject(IAgentEndpointFactory, NumericEndpoints(cast(IClientReactor, self.reactor)))

    def beat(self) -> Peer:
        """A heartbeat on a new connection."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        peer = self.accept()
        peer.asked()
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertTrue(self.successResultOf(beat).known)
        return peer

    def test_kept(self) -> None:
        """A connection is kept and used again."""
        peer = self.beat()
        again = self.call(self.client.heartbeat(SUPERNODE, NODE))
        work(self.reactor, 5)
        self.assertEqual(len(self.reactor.tcpClients), 1)
        self.assertEqual(peer.asked().line, "POST /api/supernode/alive HTTP/1.1")
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertTrue(self.successResultOf(again).known)

    def test_dropped_when_idle(self) -> None:
        """An unused connection is closed after POOL_IDLE_TIMEOUT, before the server does it."""
        peer = self.beat()
        self.reactor.advance(POOL_IDLE_TIMEOUT - 1)
        self.assertTrue(peer.is_open)
        self.reactor.advance(1)
        self.assertFalse(peer.is_open)

    def test_closed_by_the_server(self) -> None:
        """When the server has closed a kept connection, the next call makes a new one."""
        self.beat().close()
        self.beat()
        self.assertEqual(len(self.reactor.tcpClients), 2)

    def test_close(self) -> None:
        """Closing the client closes all that is kept, and leaves no delayed calls."""
        peer = self.beat()
        self.close()
        self.assertFalse(peer.is_open)

    def test_numeric(self) -> None:
        """The connection goes to the very address, without a name resolver."""
        self.patch(self.reactor, "nameResolver", None)
        well = self.call(self.client.is_well("127.0.0.1:8000"))
        self.assertEqual(self.reactor.tcpClients[-1][:2], ("127.0.0.1", 8000))
        self.accept().answer("200 OK")
        self.assertIs(self.successResultOf(well), True)


class ListTests(ClientCase):
    """What a supernode lists, and what makes no sense."""

    def test_holders(self) -> None:
        """A supernode tells who has a resource or a part of it."""
        asked = self.call(self.client.holders(SUPERNODE, ID))
        peer = self.accept()
        self.assertEqual(peer.asked().line, f"GET /api/supernode/holders/{ID} HTTP/1.1")
        data = {"id": ID, "locations": [NODE], "partial": ["10.0.0.4:1"], "size": 5}
        peer.answer("200 OK", json.dumps({"data": data}).encode())
        holders = self.successResultOf(asked)
        self.assertEqual(holders, Holders(ID, [NODE], ["10.0.0.4:1"], None, 5))

    def test_bad_holders(self) -> None:
        """What is no location of one host is left out, for it would be called."""
        asked = self.call(self.client.holders(SUPERNODE, ID))
        peer = self.accept()
        peer.asked()
        data = {"id": ID, "locations": [*BAD_LOCATIONS, NODE], "partial": BAD_LOCATIONS}
        peer.answer("200 OK", json.dumps({"data": data}).encode())
        self.assertEqual(self.successResultOf(asked), Holders(ID, [NODE], [], None, None))

    def test_crowded(self) -> None:
        """Of what a supernode tells, one address has no more than its share."""
        ports = [f"10.0.0.9:{port}" for port in range(1, 1_501)]
        asked = self.call(self.client.holders(SUPERNODE, ID))
        peer = self.accept()
        peer.asked()
        data = {"id": ID, "locations": [*ports, NODE], "partial": [*ports, NODE]}
        peer.answer("200 OK", json.dumps({"data": data}).encode())
        holders = self.successResultOf(asked)
        for told in (holders.locations, holders.partial):
            self.assertEqual(told[:2], [ports[0], NODE])
            self.assertEqual(len(told), share_of(LOCATIONS_MAX) + 1)

    def test_endless_holders(self) -> None:
        """Of far too many locations most are not even checked, for each check takes time."""
        parsed: list[str] = []

        def parse(location: str) -> Location:
            parsed.append(location)
            return parse_location(location)

        for module in (answers, supernode_client):
            self.patch(module, "parse_location", parse)
        ports = [f"10.0.0.9:{port}" for port in range(1, 20_001)]
        found = [{"id": ID, "file": {"location": NODE, "locations": ports}}] * 3
        nodes = [{"name": "x", "location": port} for port in ports]
        for call, data, most in (
            (
                self.client.holders(SUPERNODE, ID),
                {"id": ID, "locations": ports, "partial": []},
                LOCATIONS_CHECKED_MAX,
            ),
            (self.client.search(SUPERNODE, [ID]), found, FOUND_LOCATIONS_MAX),
            (self.client.search(SUPERNODE, [ID]), [found[0]] * 9, FOUND_LOCATIONS_MAX),
            (self.client.nodes(SUPERNODE), nodes, NODES_MAX),
        ):
            parsed.clear()
            asked = self.call(call)
            body = json.dumps({"data": data}).encode()
            self.accept().answer("200 OK", body, "Connection: close")
            self.assertTrue(self.successResultOf(asked))
            # The supernode's own location is parsed too, for each list of its answer.
            self.assertLessEqual(sum(location != SUPERNODE for location in parsed), most)

    def test_absurd_numbers_and_names(self) -> None:
        """An answer with a size that no file has, or with an endless name, can't be understood."""
        huge, long = 10**400, "x" * (NAME_MAX + 1)
        file = {"location": NODE, "locations": [NODE]}
        calls = (
            (self.client.holders, (SUPERNODE, ID), {"id": ID, "locations": [], "partial": []}),
            (self.client.fetch_status, (NODE, ID), {"id": ID, "state": "running"}),
            (self.client.search, (SUPERNODE, [ID]), file),
        )
        for bad in ({"size": huge}, {"size": -1}, {"name": long}, {"here": huge}):
            for method, arguments, good in calls:
                if "here" in bad and "state" not in good:
                    continue
                data: object = {**good, **bad}
                if good is file:
                    data = [{"id": ID, "file": data}]
                asked = self.call(method(*arguments))
                body = json.dumps({"data": data}).encode()
                self.accept().answer("200 OK", body, "Connection: close")
                self.unavailable(asked)

    def test_gone(self) -> None:
        """Those that have gone are known by supernodes of this version; of others nobody has."""
        told = {"name": "a", "location": NODE, "seconds": 40.0, "how": "lost"}
        for status, data, expected in (
            ("200 OK", [told, {**told, "location": "x"}], [GoneNode("a", NODE, 40.0, "lost")]),
            ("404 Not Found", None, []),
        ):
            asked = self.call(self.client.gone(SUPERNODE))
            peer = self.accept()
            self.assertEqual(peer.asked().line, "GET /api/supernode/gone HTTP/1.1")
            peer.answer(status, json.dumps({"data": data}).encode(), "Connection: close")
            self.assertEqual(self.successResultOf(asked), expected)

    def test_bad_holdings(self) -> None:
        """So it is of what searches find; what nobody has then is not found."""
        data = [
            {"id": "x", "file": {"location": BAD_LOCATIONS[0], "locations": BAD_LOCATIONS}},
            {"id": ID, "file": {"location": "x", "locations": [*BAD_LOCATIONS, NODE], "size": 5}},
        ]
        for search in (
            self.client.search(SUPERNODE, ["x", ID]),
            self.client.search_names(SUPERNODE, "x"),
            self.client.search_node(SUPERNODE, "node", ID),
        ):
            asked = self.call(search)
            peer = self.accept()
            peer.answer("200 OK", json.dumps({"data": data}).encode(), "Connection: close")
            self.assertEqual(
                self.successResultOf(asked), [Holding(ID, HeldFile(NODE, [NODE], size=5))]
            )

    def test_parts(self) -> None:
        """A part of what is found comes in order, with the next one's beginning or a warning."""
        file = {"location": NODE, "locations": [NODE]}
        found = [{"id": id, "file": file} for id in (LAST, ID)]
        for more, expected in (
            ({"more": True, "next": LAST}, (LAST, False)),
            ({"more": False, "next": None}, (None, False)),
            ({}, (None, False)),
        ):
            asked = self.call(self.client.search_part(SUPERNODE, "a b", "x"))
            peer = self.accept()
            self.assertIn("/search?file_name=a%20b&after=x", str(peer.asked()))
            body = json.dumps({"data": found, **more}).encode()
            peer.answer("200 OK", body, "Connection: close")
            part = self.successResultOf(asked)
            self.assertEqual([one.id for one in part.holdings], [ID, LAST])
            self.assertEqual((part.next, part.is_cut), expected)
        asked = self.call(self.client.search_part(SUPERNODE, "a", ""))
        body = json.dumps({"data": found * (FOUND_MAX // 2)}).encode()
        self.accept().answer("200 OK", body, "Connection: close")
        self.assertTrue(self.successResultOf(asked).is_cut)

    def test_first_digits(self) -> None:
        """A supernode that can't find ids by their first digits finds none."""
        asked = self.call(self.client.search_prefix(SUPERNODE, ID[:8]))
        peer = self.accept()
        self.assertIn(f"/search?id_prefix={ID[:8]}", str(peer.asked()))
        peer.answer("400 Bad Request", b"{}", "Connection: close")
        self.assertEqual(self.successResultOf(asked), [])

    def test_parts_in_a_circle(self) -> None:
        """Parts that would never end are refused."""
        asked = self.call(self.client.search_part(SUPERNODE, "a", LAST))
        body = json.dumps({"data": [], "more": True, "next": ID}).encode()
        self.accept().answer("200 OK", body, "Connection: close")
        self.assertIn("don't follow each other", self.unavailable(asked))

    def test_other_names(self) -> None:
        """Of other names so many are taken as one resource has, and none that is empty."""
        names = ["", *map(str, range(2 * NAMES_MAX))]
        file = {"location": NODE, "locations": [NODE], "name": "a", "other_names": names}
        asked = self.call(self.client.search_names(SUPERNODE, "a"))
        body = json.dumps({"data": [{"id": ID, "file": file}]}).encode()
        self.accept().answer("200 OK", body, "Connection: close")
        (found,) = self.successResultOf(asked)
        self.assertEqual(found.file.names, ["a", *names[1 : NAMES_MAX - 1]])
        holders = self.call(self.client.holders(SUPERNODE, ID))
        data = {"id": ID, "locations": [NODE], "partial": [], "name": "a", "other_names": names}
        self.accept().answer("200 OK", json.dumps({"data": data}).encode(), "Connection: close")
        self.assertEqual(self.successResultOf(holders).names, found.file.names)
        nothing: list[dict[str, object]] = [{}, {"other_names": None}, {"other_names": []}]
        for none in nothing:
            asked = self.call(self.client.search_names(SUPERNODE, "a"))
            told = {"location": NODE, "locations": [NODE], "name": "a", **none}
            body = json.dumps({"data": [{"id": ID, "file": told}]}).encode()
            self.accept().answer("200 OK", body, "Connection: close")
            self.assertEqual(self.successResultOf(asked)[0].file.names, ["a"])

    def test_found_partial(self) -> None:
        """Who has a part, beside holders that a search found, is taken if it may be called."""
        file = {"location": NODE, "locations": [NODE], "name": "a"}
        part = "10.0.0.7:8000"
        for told, taken in (([part, *BAD_LOCATIONS], [part]), ([], UNSET)):
            asked = self.call(self.client.search_names(SUPERNODE, "a"))
            body = json.dumps({"data": [{"id": ID, "file": {**file, "partial": told}}]}).encode()
            self.accept().answer("200 OK", body, "Connection: close")
            (found,) = self.successResultOf(asked)
            self.assertEqual((found.file.locations, found.file.partial), ([NODE], taken))

    def test_bad_nodes(self) -> None:
        """So it is of nodes, and a node's supernode that can't be one is no answer."""
        asked = self.call(self.client.nodes(SUPERNODE))
        data: object = [{"name": "x", "location": one} for one in [*BAD_LOCATIONS, NODE]]
        self.accept().answer("200 OK", json.dumps({"data": data}).encode(), "Connection: close")
        self.assertEqual(self.successResultOf(asked), [NodeInfo("x", NODE)])
        for supernode in BAD_LOCATIONS:
            health = self.call(self.client.health(NODE))
            data = {"name": "x", "resources": 0, "scanning": False, "supernode": supernode}
            self.accept().answer("200 OK", json.dumps({"data": data}).encode(), "Connection: close")
            self.assertIn("no supernode", self.unavailable(health))

    def test_errors_shown(self) -> None:
        """What a stranger says of an error can't upset a terminal or a log."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        self.accept().answer("500 No", b'{"description": "\\u001b[2J\\nb"}', "Connection: close")
        refused = self.failureResultOf(beat, Refused)
        self.assertEqual(str(refused.value), r"\x1b[2J\nb")

    def test_errors_cut(self) -> None:
        """However much a stranger says of an error, little of it is told on, or of what it sent."""
        body = json.dumps({"description": "\U000e0001" * 5_000}).encode()
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        self.accept().answer("500 No", body, "Connection: close")
        refused = self.failureResultOf(beat, Refused)
        self.assertEqual(len(str(refused.value)), DESCRIPTION_MAX)
        nonsense = (
            b"HTTP/1.1 200 " + b"\xff" * 15_000 + b"\r\nX\r\n\r\n",
            b"\xff" * 15_000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: " + b"x" * 15_000 + b"\r\n\r\n",
        )
        for answer in nonsense:
            beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
            peer = self.accept()
            peer.send(answer)
            if peer.is_open:
                peer.close()
            said = self.unavailable(beat)
            self.assertLess(len(said), DESCRIPTION_MAX + SHOWN_MAX + 10)
            self.assertTrue(said.isprintable())

    def test_long_question(self) -> None:
        """Nor is all told of what was asked for."""
        found = self.call(self.client.search(SUPERNODE, ["a" * 64] * 200))
        self.accept().answer("500 No", b"", "Connection: close")
        said = str(self.failureResultOf(found, Refused).value)
        self.assertLess(len(said), SHOWN_MAX + 30)
        self.assertIn(SUPERNODE, said)
