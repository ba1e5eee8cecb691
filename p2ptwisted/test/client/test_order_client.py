"""Tests of `p2ptwisted.client.order_client`: orders to nodes of this version and earlier ones."""

import json
from typing import Any

from twisted.internet.defer import Deferred

from p2ptwisted.client.order_client import TakenOrders
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Nonsense
from p2ptwisted.model import DownloadStatus, Order
from p2ptwisted.test.client.client_case import ID, NODE, ClientCase

OTHER = "b" * 64


class OrderClientTests(ClientCase):
    """A client, and a node that answers as the test says."""

    def answered(self, line: str, status: str, data: object) -> Any:
        """The next call is this, and has that answer; returns what its body was."""
        peer = self.accept()
        asked = peer.asked()
        self.assertEqual(asked.line, f"{line} HTTP/1.1")
        peer.answer(status, json.dumps({"data": data}).encode(), "Connection: close")
        return json.loads(asked.body) if asked.body else None

    def order_all(self) -> "Deferred[TakenOrders]":
        return self.call(self.client.order_all(NODE, [Order(ID, "a"), Order(OTHER)]))

    def test_several(self) -> None:
        """Several orders are one call, the first in the place where a single one stands."""
        asked = self.order_all()
        states = [{"id": ID, "state": "running"}, {"id": OTHER, "state": "waiting"}]
        body = self.answered("POST /api/node/fetch", "202 Accepted", states)
        self.assertEqual(body, {"id": ID, "name": "a", "others": [{"id": OTHER}]})
        expected = [DownloadStatus(ID, "running"), DownloadStatus(OTHER, "waiting")]
        self.assertEqual(self.successResultOf(asked), TakenOrders(expected, True))

    def test_no_room(self) -> None:
        """A node that has no room for any says so with an empty list."""
        asked = self.order_all()
        self.answered("POST /api/node/fetch", "202 Accepted", [])
        self.assertEqual(self.successResultOf(asked), TakenOrders([], True))

    def test_earlier_version(self) -> None:
        """A node that answers with one state has taken the first order."""
        asked = self.order_all()
        self.answered("POST /api/node/fetch", "202 Accepted", {"id": ID, "state": "running"})
        taken = TakenOrders([DownloadStatus(ID, "running")], False)
        self.assertEqual(self.successResultOf(asked), taken)

    def test_nonsense(self) -> None:
        """What is neither can't be understood."""
        for data in ("running", [{"id": ID}], 5):
            asked = self.order_all()
            self.answered("POST /api/node/fetch", "202 Accepted", data)
            self.failureResultOf(asked, Nonsense)

    def test_states(self) -> None:
        """The states of several are one question; one that is too long for a node is for all."""
        states = [{"id": ID, "state": "running"}]
        for refused in (None, "400 Bad Request", "414 URI Too Long"):
            asked = self.call(self.client.fetches(NODE, [ID, OTHER]))
            line = f"GET /api/node/fetch?hash_ids={ID},{OTHER}"
            if refused is not None:
                self.answered(line, refused, None)
                line = "GET /api/node/fetch"
            self.answered(line, "200 OK", states)
            self.assertEqual(self.successResultOf(asked), [DownloadStatus(ID, "running")])

    def test_states_refused(self) -> None:
        """Another refusal is one."""
        asked = self.call(self.client.fetches(NODE, [ID]))
        self.answered(f"GET /api/node/fetch?hash_ids={ID}", "503 Busy", None)
        self.assertEqual(self.failureResultOf(asked, Refused).value.status, 503)
