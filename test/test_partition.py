"""Two halves of a network that are cut apart, and joined again."""

import time

from .cases import SystemTestCase
from .daemons import Daemon, at, id_of, promised
from .hosts import Host, Switch

#: Seconds that the network is cut, and in which each half, and then the whole, is well again.
CUT = 30.0
WELL_WITHIN = 15.0


#: Nodes of the right half that are at the left half's supernode: most of those that it
#: has, and enough to fail one sweep together that is then not believed.
STRAYED = [f"strayed{number}" for number in range(5)]

EVERYTHING = {"left", "right", *STRAYED}


class PartitionTests(SystemTestCase):
    """A supernode and a node in each half, and nodes that know only the other half's."""

    def setUp(self) -> None:
        super().setUp()
        left, right = Switch(self), Switch(self)
        self.cable = left.join(right)
        self.supernodes = [
            self.start("p2p-supernode", 5000, machine=left.host("10.77.0.10")),
            self.start("p2p-supernode", 5000, machine=right.host("10.77.0.20")),
        ]
        here, there = self.supernodes
        self.start_at(left.host("10.77.0.11"), "left", here)
        self.start_at(right.host("10.77.0.21"), "right", there)
        for number, name in enumerate(STRAYED, 22):
            self.start_at(right.host(f"10.77.0.{number}"), name, here)
        for supernode, name in ((here, "left"), (there, "right"), *((here, n) for n in STRAYED)):
            self.wait_until_held(supernode, name, id_of(name.encode()))

    def start_at(self, host: Host, name: str, supernode: Daemon) -> None:
        (self.shared(name) / name).write_text(name)
        options = ("--name", name, "--resources", str(self.shared(name)), *at(supernode))
        self.start("p2p-node", 8000, *options, machine=host)

    def found(self, supernode: Daemon) -> set[str]:
        """Which of all files that supernode finds; whatever it is asked, it answers."""
        names = {id_of(name.encode()): name for name in EVERYTHING}
        answer = supernode.get(f"/api/supernode/search?hash_ids={','.join(names)}")
        self.assertEqual(answer.status, 200)
        return {names[found["id"]] for found in answer.data}

    def test_partition(self) -> None:
        """Each half soon answers for what it has, and soon after the mend all is found from all."""
        here, there = self.supernodes
        halves = [{"left"}, EVERYTHING - {"left"}]
        self.assertEqual([self.found(one) for one in (here, there)], [EVERYTHING] * 2)
        self.cable.cut()
        cut = time.monotonic()
        for supernode, has in zip(self.supernodes, halves, strict=True):
            promised(
                cut + WELL_WITHIN - time.monotonic(),
                f"{supernode.url} answers for just its half",
                lambda supernode=supernode, has=has: self.found(supernode) == has,  # type: ignore[misc]
            )
        time.sleep(cut + CUT - time.monotonic())
        self.assertEqual([self.found(here), self.found(there)], halves)
        self.cable.mend()
        mended = time.monotonic()
        for supernode in self.supernodes:
            promised(
                mended + WELL_WITHIN - time.monotonic(),
                f"{supernode.url} finds all again",
                lambda supernode=supernode: self.found(supernode) == EVERYTHING,  # type: ignore[misc]
            )
