"""Many searches at once: every answer is right, and none is late."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from threading import Barrier
from typing import NamedTuple

from .cases import SystemTestCase
from .daemons import Daemon, at, id_of

CLIENTS = 8
SEARCHES = 200

#: Seconds that a search may take.
LATEST = 1.0


class Outcome(NamedTuple):
    """What one search gave: the holders' locations, and the seconds it took at the most."""

    id: str
    locations: list[str]
    seconds: float


class ManySearchesTests(SystemTestCase):
    """200 concurrent searches from 8 clients, half of them for ids that nobody has."""

    def test_many_searches(self) -> None:
        """Those found here, those found at the other supernode, and those nobody has, mixed."""
        first, second = self.start_supernode(), self.start_supernode()
        files = {name: name.encode() for name in map(str, range(SEARCHES // 2))}
        here = dict(list(files.items())[::2])
        there = dict(list(files.items())[1::2])
        expected: dict[str, list[str]] = {}
        for name, some, supernode in (("here", here, first), ("there", there, second)):
            node = self.start_node(name, some, *at(supernode))
            ids = [id_of(content) for content in some.values()]
            self.wait_until_held(supernode, name, *ids)
            expected |= {id: [node.location] for id in ids}
        expected |= {id_of(b"nobody's %d" % number): [] for number in range(SEARCHES // 2)}

        wanted = sorted(expected)  # By id: found here, found there and missing, all mixed.
        together = Barrier(CLIENTS)
        with ThreadPoolExecutor(CLIENTS) as clients:
            running = [
                clients.submit(search_all, first, wanted[number::CLIENTS], together)
                for number in range(CLIENTS)
            ]
            outcomes = [outcome for client in running for outcome in client.result()]

        self.assertEqual(len(outcomes), SEARCHES)
        wrong = [outcome for outcome in outcomes if outcome.locations != expected[outcome.id]]
        self.assertEqual(wrong, [])
        late = [outcome for outcome in outcomes if outcome.seconds > LATEST]
        self.assertEqual(late, [])


def search_all(supernode: Daemon, ids: list[str], together: Barrier) -> list[Outcome]:
    """One client: all of its searches are under way before it reads the first answer."""
    connections = [HTTPConnection(supernode.machine.address, supernode.port) for _ in ids]
    for connection in connections:
        connection.connect()
    together.wait()
    began = time.monotonic()
    for connection, id in zip(connections, ids, strict=True):
        connection.request("GET", f"/api/supernode/search/{id}")
    outcomes = []
    for connection, id in zip(connections, ids, strict=True):
        found = json.loads(connection.getresponse().read())["data"]
        locations = found["file"]["locations"] if found else []
        outcomes.append(Outcome(id, locations, time.monotonic() - began))
        connection.close()
    return outcomes
