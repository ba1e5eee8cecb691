"""The two twistd commands."""

from twisted.application.service import ServiceMaker

p2p_supernode = ServiceMaker(
    "p2p-supernode",
    "p2ptwisted.supernode.tap",
    "Knows which node holds which file, and asks the other supernodes for the rest.",
    "p2p-supernode",
)

p2p_node = ServiceMaker(
    "p2p-node",
    "p2ptwisted.node.tap",
    "Shares a folder, and finds what others share.",
    "p2p-node",
)
