"""Searches in a network that loses datagrams."""

import json
import shutil
from collections.abc import Iterator
from typing import Any
from unittest import SkipTest

from .cases import SystemTestCase
from .daemons import Daemon, id_of
from .hosts import Host, Switch

GROUP = "239.255.10.2:4321"

#: Datagrams in a hundred that are lost, of those that come and of those that go.
LOST = 10

#: Searches that have an answer, and how many of them must find it.
SEARCHES, FOUND_AT_LEAST = 1_000, 995


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

    def share(self, host: Host, supernode: Daemon) -> list[str]:
        """A node there with so many files; their ids."""
        contents = [str(number).encode() for number in range(SEARCHES)]
        for content in contents:
            (self.shared("node") / content.decode()).write_bytes(content)
        listening = ("--port", "8000", "--name", "node", "--resources", str(self.shared("node")))
        self.start(
            "p2p-node",
            8000,
            *(*listening, "--supernode", supernode.url),
            *("--multicast-group", GROUP, "--multicast-interface", "eth0"),
            machine=host,
        )
        ids = [id_of(content) for content in contents]
        for first in range(0, SEARCHES, 100):
            self.wait_until_held(supernode, "node", *ids[first : first + 100])
        return ids

    def answers(self, host: Host, *urls: str) -> Iterator[Any]:
        """The answers to all of these searches, one after the other."""
        text, at = host.curl(*urls).decode(), 0
        while at < len(text):
            answer, at = json.JSONDecoder().raw_decode(text, at)
            yield answer["data"]

    def test_searches(self) -> None:
        """With one datagram in ten lost each way nearly all searches find what is there."""
        switch = Switch(self)
        near, far = switch.host("10.9.8.1"), switch.host("10.9.8.2")
        first, second = self.supernode_at(near), self.supernode_at(far)
        ids = self.share(near, first)
        self.lose(far)
        url = f"{second.url}/api/supernode/search"
        found = list(self.answers(far, *(f"{url}/{id}" for id in ids)))
        self.assertEqual(len(found), SEARCHES)
        located = [one["file"]["locations"] for one in found if one]
        self.assertGreaterEqual(len(located), FOUND_AT_LEAST)
        self.assertEqual({tuple(one) for one in located}, {("10.9.8.1:8000",)})
        for nothing in self.answers(far, f"{url}/unknown-[0-9]"):
            self.assertEqual(nothing, {})
