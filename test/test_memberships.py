"""A switch that forgets who is in the group, and a group that falls silent."""

import json
import shutil
import time
from unittest import SkipTest

from .cases import SystemTestCase
from .daemons import Daemon, eventually, id_of, promised
from .hosts import Host, Switch

GROUP = "239.255.10.3"

#: Seconds for which the switch remembers a member that it hears nothing of.
REMEMBERED = 10.0

#: Seconds after which every supernode has joined again (sockets.REJOIN_INTERVAL), and some.
RENEWED_WITHIN = 65.0

#: Seconds after the last word of anybody in which that is told: a minute and a look each 10 s.
TOLD_WITHIN = 75.0

SILENT, HEARD = "No other supernode has been heard", "Other supernodes are heard"

CONTENT = b"content"


class MembershipTests(SystemTestCase):
    """Two supernodes at a switch that sends a group's datagrams to its members only."""

    def supernode_at(self, host: Host) -> Daemon:
        group = ("--multicast-group", f"{GROUP}:4321", "--multicast-interface", "eth0")
        return self.start("p2p-supernode", 5000, "--port", "5000", *group, machine=host)

    def deafen(self, host: Host) -> None:
        """The host no longer hears that the switch asks who is in which group."""
        if shutil.which("nft") is None:
            raise SkipTest("there is no nft: install nftables")
        host.run(
            "nft",
            "table inet deaf {\nchain input { type filter hook input priority 0; "
            "meta l4proto igmp drop; }\n}\n",
        )

    def found(self, host: Host, supernode: Daemon) -> bool:
        url = f"{supernode.url}/api/supernode/search/{id_of(CONTENT)}"
        return bool(json.loads(host.curl(url))["data"])

    def test_forgotten(self) -> None:
        """
        Members that the switch has forgotten are members again within 65 s, with no restart.

        Meanwhile another group falls silent, which is told in 75 s, and speaks again.
        """
        alone, dead = self.start_supernode(), self.start_supernode()
        listed = "/api/supernode/search/supernode"
        eventually(
            5, "both are there", lambda: len(alone.get(listed).data["file"]["locations"]) == 2
        )
        dead.kill()
        killed = time.monotonic()
        switch = Switch(self)
        near, far = switch.host("10.9.7.1"), switch.host("10.9.7.2")
        for host in (near, far):
            self.deafen(host)
        switch.snoop(REMEMBERED)
        first, second = self.supernode_at(near), self.supernode_at(far)
        (self.shared("node") / "file").write_bytes(CONTENT)
        listening = ("--port", "8000", "--name", "node", "--resources", str(self.shared("node")))
        group = ("--multicast-group", f"{GROUP}:4321", "--multicast-interface", "eth0")
        at_first = ("--supernode", first.url)
        self.start("p2p-node", 8000, *listening, *at_first, *group, machine=near)
        self.wait_until_held(first, "node", id_of(CONTENT))
        eventually(5, "found across", lambda: self.found(far, second))
        eventually(2 * REMEMBERED, "forgotten", lambda: not switch.members(GROUP))
        self.assertFalse(self.found(far, second))
        promised(RENEWED_WITHIN, "found again", lambda: self.found(far, second))
        self.assertTrue(switch.members(GROUP))
        self.assertNotIn(SILENT, second.log.read_text())

        left = killed + TOLD_WITHIN - time.monotonic()
        eventually(left, "the silence is told", lambda: SILENT in alone.log.read_text())
        print(f"the silence is told: {time.monotonic() - killed:.1f} s")
        self.start_supernode()
        eventually(25, "so is its end", lambda: HEARD in alone.log.read_text())
        self.assertEqual(alone.log.read_text().count(SILENT), 1)
