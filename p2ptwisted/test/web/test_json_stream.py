"""Tests of `p2ptwisted.web.json_stream`, over a connection in memory."""

import json

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import ResourceInfo
from p2ptwisted.test.node_fakes import Connection, exchange, producers_on, work
from p2ptwisted.web.json_stream import JsonStream
from p2ptwisted.web.server.site import LimitedSite

SLICE = JsonStream.SLICE


class LongListTests(SynchronousTestCase):
    """Lists of any length."""

    def setUp(self) -> None:
        self.clock = Clock()
        producers_on(self, self.clock)

    def test_any_length(self) -> None:
        """A list of any length is one JSON envelope, in its order, whether in slices or not."""
        for length in (0, 1, SLICE - 1, SLICE, SLICE + 1, 2 * SLICE, 5 * SLICE + 7):
            answer = exchange(JsonStream(list(range(length)), "number"), self.clock, "GET", "/")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["content-type"], "application/json")
            self.assertEqual(
                json.loads(answer.body), {"data": list(range(length)), "entity": "number"}
            )

    def test_same_form(self) -> None:
        """In slices or not, the bytes are of one form: a client can't tell."""
        short, long = (
            exchange(JsonStream([{"a": 1}] * length, "x"), self.clock, "GET", "/").body
            for length in (3, SLICE + 3)
        )
        self.assertEqual(short, b'{"data":[{"a":1},{"a":1},{"a":1}],"entity":"x"}')
        self.assertEqual(long.replace(b'{"a":1},' * SLICE, b""), short)

    def test_structs(self) -> None:
        """Structs are encoded as such, in slices too; what is unset is left out."""
        items = [ResourceInfo("ä", "name")] * (SLICE + 1)
        answer = exchange(JsonStream(items, "resource"), self.clock, "GET", "/")
        data = json.loads(answer.body)["data"]
        self.assertEqual(data, [{"id": "ä", "name": "name"}] * (SLICE + 1))

    def test_shown(self) -> None:
        """What is shown of an item can be made when its turn comes."""
        for length in (3, SLICE + 3):
            made: list[int] = []

            def shown(item: int, made: list[int] = made) -> str:
                made.append(item)
                return f"#{item}"

            answer = exchange(JsonStream(list(range(length)), "x", shown), self.clock, "GET", "/")
            self.assertEqual(json.loads(answer.body)["data"], [f"#{n}" for n in range(length)])
            self.assertEqual(made, list(range(length)))

    def test_head(self) -> None:
        """HEAD has no body, however long the list."""
        for length in (3, SLICE + 3):
            answer = exchange(JsonStream(list(range(length)), "x"), self.clock, "HEAD", "/")
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertEqual(answer.headers["content-type"], "application/json")

    def test_in_between(self) -> None:
        """While a long list is under way, another client is answered."""
        site = LimitedSite(JsonStream(list(range(10 * SLICE)), "x"), 1_000, self.clock)
        one, other = Connection(site, self.clock), Connection(site, self.clock)
        one.ask("GET", "/")
        work(self.clock, 3)
        begun = len(one.received())
        other.ask("HEAD", "/")
        self.assertEqual(other.take("HEAD").status, 200)
        self.assertEqual(len(one.received()), begun)
        work(self.clock, 20)
        self.assertEqual(len(json.loads(one.take().body)["data"]), 10 * SLICE)

    def test_client_gone(self) -> None:
        """When the client goes away, no more of the list is made."""
        made: list[int] = []

        def shown(item: int) -> int:
            made.append(item)
            return item

        site = LimitedSite(JsonStream(list(range(10 * SLICE)), "x", shown), 1_000, self.clock)
        connection = Connection(site, self.clock)
        connection.ask("GET", "/")
        work(self.clock, 3)
        connection.vanish()
        count = len(made)
        work(self.clock, 20)
        self.assertEqual(len(made), count)
        self.assertLess(count, 10 * SLICE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow_client(self) -> None:
        """For a client that can't take more just now, no more is made until it can."""
        site = LimitedSite(JsonStream(list(range(10 * SLICE)), "x"), 1_000, self.clock)
        connection = Connection(site, self.clock)
        connection.ask("GET", "/")
        work(self.clock, 3)
        connection.congest()
        before = len(connection.received())
        work(self.clock, 20)
        self.assertEqual(len(connection.received()), before)
        connection.flow()
        work(self.clock, 20)
        self.assertEqual(len(json.loads(connection.take().body)["data"]), 10 * SLICE)
