"""A switch that forgets who is in the group."""

import json
import shutil
from unittest import SkipTest

from .cases import SystemTestCase
from .daemons import Daemon, eventually, id_of
from .hosts import Host, Switch

GROUP = "239.255.10.3"

#: Seconds for which the switch remembers a member that it hears nothing of.
REMEMBERED = 10.0

#: Seconds after which every supernode has joined anew (protocols.sockets.RENEW), and some.
RENEWED_WITHIN = 70.0

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
        """Members that the switch has forgotten are members again within 70 s, with no restart."""
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
        eventually(RENEWED_WITHIN, "found again", lambda: self.found(far, second))
        self.assertTrue(switch.members(GROUP))
