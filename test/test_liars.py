"""Locations that are made up, and holders that lie and draw it out, against one honest holder."""

import time

from p2ptwisted.pieces import MIB

from .bad_holders import Inflated, Trickling, TricklingLie
from .daemons import id_of
from .fetch_cases import content_of
from .test_cli import CommandCase

#: Seconds that a command may take beside them: far less than until one that trickles is given up.
SOON = 15.0

#: Ports of one address that are registered: more than a fetch asks at a look-up.
PORTS = 200


class LiarTests(CommandCase):
    """What `p2p get` brings, and how soon, where others say that they have it too."""

    def setUp(self) -> None:
        super().setUp()
        self.content = content_of(4)
        self.wanted = id_of(self.content)

    def get(self, *options: str) -> None:
        """It comes soon, is right, and nothing else is left."""
        began = time.monotonic()
        ran = self.p2p("get", self.wanted, "-o", "got/", *options)
        self.assertEqual(ran.status, 0, ran)
        self.assertLess(time.monotonic() - began, SOON)
        (path,) = ran.lines
        self.assertEqual(id_of((self.here / path).read_bytes()), self.wanted)
        self.assertEqual(len(list((self.here / "got").iterdir())), 1)

    def test_crowded(self) -> None:
        """Hundreds of ports of one address, registered for the id, hide no honest holder."""
        self.start_holder("good", {"big.bin": self.content})
        resource = {"id": self.wanted, "name": "big.bin", "size": len(self.content)}
        for port in range(1, PORTS + 1):
            registration = {"location": f"127.0.0.9:{port}", "resources": [resource]}
            answer = self.supernode.post("/api/supernode/register", registration)
            self.assertEqual(answer.status, 204)
        self.get()

    def test_made_up(self) -> None:
        """Three at addresses of their own, that agree on a lie and trickle."""
        for number in range(3):
            host = f"127.0.0.{number + 2}"
            TricklingLie(self, self.supernode, f"bad{number}", self.content, host=host)
        self.start_holder("good", {"big.bin": self.content})
        self.get()

    def test_ports(self) -> None:
        """The same on ports of one address, and beside them some that say what is right."""
        for number in range(5):
            TricklingLie(self, self.supernode, f"bad{number}", self.content, host="127.0.0.2")
        for number in range(2):
            Trickling(self, self.supernode, f"slow{number}", self.content, host="127.0.0.3")
        self.start_holder("good", {"big.bin": self.content})
        self.get()

    def test_size(self) -> None:
        """Two that say, and show, that it is larger than the disk leaves room for others."""
        disk = self.here / "got"
        self.small_disk(disk, Inflated.SIZE + 2 * MIB)
        for number in range(2):
            host = f"127.0.0.{number + 2}"
            Inflated(self, self.supernode, f"bad{number}", self.content, host=host)
        self.start_holder("good", {"big.bin": self.content})
        self.get()
