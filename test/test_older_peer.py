"""Peers that know the three datagrams only, and ours: they find each other's resources."""

import time
from concurrent.futures import ThreadPoolExecutor

from .cases import SystemTestCase
from .daemons import at, id_of
from .older_peer import OlderNode, OlderPeer

OURS, THEIRS, NOBODYS, UNRELATED = map(id_of, (b"ours", b"theirs", b"nobody's", b"unrelated"))

#: Seconds: a search that ends because of an answer ends long before this.
SEARCH_TIMEOUT = 2


class OlderPeerTests(SystemTestCase):
    """A supernode of ours with an older peer in its group."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode("--search-timeout", str(SEARCH_TIMEOUT))

    def search(self, id: str) -> object:
        found = self.supernode.get(f"/api/supernode/search/{id}").data
        return found and found["file"]["locations"]

    def test_finds_ours(self) -> None:
        """It is answered in the group, in three fields, by one location."""
        nodes = [self.start_node(name, {"a": b"ours"}, *at(self.supernode)) for name in ("n", "m")]
        self.wait_until_held(self.supernode, "n", OURS)
        self.wait_until_held(self.supernode, "m", OURS)
        peer = OlderPeer(self, self.group)
        peer.say(f"20;{OURS}")
        message = peer.hear("21")
        self.assertEqual(len(message), 3)
        self.assertNotIn("#", message[0])
        self.assertIn(message[2], [node.location for node in nodes])

    def test_does_not_find_what_is_not_there(self) -> None:
        """It is told so, in the group, with the id."""
        peer = OlderPeer(self, self.group)
        peer.say(f"20;{NOBODYS}")
        self.assertEqual(peer.hear("22")[2], NOBODYS)

    def test_ours_finds_its(self) -> None:
        """An only search believes the location in an untagged reply, without asking it."""
        peer = self.acquainted(OlderPeer(self, self.group, lambda id: "21;127.0.0.1:9"))
        self.assertEqual(self.search(THEIRS), ["127.0.0.1:9"])
        peer.hear("20", THEIRS)

    def test_its_miss_ends_a_search(self) -> None:
        """When it says `22`, and there is nobody else, the search is over."""
        self.acquainted(OlderPeer(self, self.group, lambda id: f"22;{id}"))
        began = time.monotonic()
        self.assertEqual(self.search(THEIRS), {})
        self.assertLess(time.monotonic() - began, SEARCH_TIMEOUT / 2)

    def test_its_silence_ends_too(self) -> None:
        """When it says nothing at all, the search ends at its timeout."""
        self.acquainted(OlderPeer(self, self.group))
        self.assertEqual(self.search(THEIRS), {})

    def test_one_of_several(self) -> None:
        """A reply while several searches are outstanding goes to the one that its location has."""
        node = OlderNode(self, [THEIRS])
        self.assertEqual(self.search_both(node), ([node.location], {}))
        self.assertIn(THEIRS, node.asked)

    def test_several_of_several(self) -> None:
        """Where its location has all that is being searched for, it ends all of these searches."""
        node = OlderNode(self, [THEIRS, NOBODYS])
        self.assertEqual(self.search_both(node), ([node.location], [node.location]))

    def test_lie_among_several(self) -> None:
        """A location that says it has none of it is believed by no search."""
        node = OlderNode(self, [])
        self.assertEqual(self.search_both(node), ({}, {}))
        self.assertEqual(set(node.asked), {THEIRS, NOBODYS})

    def search_both(self, node: OlderNode) -> tuple[object, object]:
        """
        Search for THEIRS and NOBODYS at once.

        The peer answers with the node's location when it has heard both
        requests, and that just once: no other reply ends either search.
        """

        def answer(id: str) -> str | None:
            if id != THEIRS:
                return None
            peer.hear("20", NOBODYS)
            return f"21;{node.location}"

        peer = self.acquainted(OlderPeer(self, self.group, answer))
        with ThreadPoolExecutor() as both:
            theirs, nobodys = both.map(self.search, [THEIRS, NOBODYS])
        return theirs, nobodys

    def acquainted(self, peer: OlderPeer) -> OlderPeer:
        """The peer, known to the supernode, which waits but a moment where it knows nobody."""
        peer.say(f"20;{UNRELATED}")
        peer.hear("22", UNRELATED)
        peer.forget()
        return peer
