"""Searches in a network that loses datagrams."""

import json
import shutil
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from unittest import SkipTest

from p2ptwisted.protocols.searches import REPEATS

from .cases import SystemTestCase
from .daemons import Daemon, id_of
from .hosts import Host, Switch
from .speaker import Answerer, Speaker

GROUP = "239.255.10.2:4321"

#: Datagrams in a hundred that are lost, of those that come and of those that go.
LOST = 10

#: Searches that have an answer, and how many of them must find it; so many are asked at once.
SEARCHES, FOUND_AT_LEAST, AT_ONCE = 1_000, 995, "10"

#: Ids that nobody has, in each of two questions: with every request counted, they were too many.
UNKNOWN = 200


class LossTests(SystemTestCase):
    """Two supernodes with a bad network between them."""

    def supernode_at(self, host: Host) -> Daemon:
        return self.start(
            "p2p-supernode",
            5000,
            *("--port", "5000", "--multicast-group", GROUP, "--multicast-interface", "eth0"),
            machine=host,
        )

    def lose(self, host: Host) -> None:
        """Drop some of the datagrams that come to this host and that leave it."""
        if shutil.which("nft") is None:
            raise SkipTest("there is no nft: install nftables")
        chains = "".join(
            f"chain {way} {{ type filter hook {way} priority 0; "
            f"meta l4proto udp numgen random mod 100 < {LOST} drop; }}\n"
            for way in ("input", "output")
        )
        host.run("nft", f"table inet loss {{\n{chains}}}\n")

    def share(self, host: Host, supernode: Daemon, name: str, numbers: range) -> list[str]:
        """A node there with a file for each of these numbers; their ids."""
        contents = [str(number).encode() for number in numbers]
        for content in contents:
            (self.shared(name) / content.decode()).write_bytes(content)
        listening = ("--port", "8000", "--name", name, "--resources", str(self.shared(name)))
        self.start(
            "p2p-node",
            8000,
            *(*listening, "--supernode", supernode.url),
            *("--multicast-group", GROUP, "--multicast-interface", "eth0"),
            machine=host,
        )
        ids = [id_of(content) for content in contents]
        for first in range(0, len(ids), 100):
            self.wait_until_held(supernode, name, *ids[first : first + 100])
        return ids

    def answers(self, host: Host, *urls: str) -> Iterator[Any]:
        """The answers to all of these searches, in any order."""
        text, at = host.curl("--parallel", "--parallel-max", AT_ONCE, *urls).decode(), 0
        while at < len(text):
            answer, at = json.JSONDecoder().raw_decode(text, at)
            yield answer["data"]

    def test_searches(self) -> None:
        """With one datagram in ten lost each way nearly all searches find what is there."""
        switch = Switch(self)
        near, beside, far = (switch.host(f"10.9.8.{number}") for number in (1, 2, 3))
        first, second = self.supernode_at(near), self.supernode_at(far)
        holder = dict.fromkeys(self.share(near, first, "odd", range(1, SEARCHES, 2)), near)
        holder |= dict.fromkeys(self.share(beside, first, "even", range(0, SEARCHES, 2)), beside)
        self.lose(far)
        url = f"{second.url}/api/supernode/search"
        answers = list(self.answers(far, *(f"{url}/{id}" for id in sorted(holder))))
        self.assertEqual(len(answers), SEARCHES)
        located = {one["id"]: one["file"]["locations"] for one in answers if one}
        self.assertGreaterEqual(len(located), FOUND_AT_LEAST)
        for id, locations in located.items():
            self.assertEqual(locations, [f"{holder[id].address}:8000"])
        for nothing in self.answers(far, f"{url}/unknown-[0-9]"):
            self.assertEqual(nothing, {})
        print(f"{len(located)} of {SEARCHES} found")


class RepeatsTests(SystemTestCase):
    """A group of which one member is silent."""

    def test_one_search(self) -> None:
        """A request is repeated as it was, and counts once however often that is."""
        heard: dict[str, list[str]] = defaultdict(list)

        def listen(datagram: bytes) -> Iterator[bytes]:
            name, _, id = datagram.decode().partition(";20;")
            heard[id].append(name)
            return iter(())

        supernode = self.start_supernode()
        Answerer(self, self.group, listen)
        # Somebody who is there, and will answer nothing.
        Speaker(self, self.group).say(f"{uuid.uuid4()};22;x".encode())
        for ask in range(2):
            ids = [f"unknown-{ask}-{number}" for number in range(UNKNOWN)]
            answer = supernode.get(f"/api/supernode/search?hash_ids={','.join(ids)}")
            self.assertEqual((answer.status, answer.data), (200, []))
            for id in ids:
                self.assertEqual(len(heard[id]), 1 + len(REPEATS))
                self.assertEqual(len(set(heard[id])), 1)
