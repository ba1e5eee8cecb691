"""`twistd p2p-node`."""

from typing import cast

from twisted.application.service import IService
from twisted.internet import reactor

from p2ptwisted.config import NodeConfig
from p2ptwisted.daemon import IDaemonReactor, RoleOptions, prepare, under_twistd
from p2ptwisted.interfaces import IFolderWatch
from p2ptwisted.node.service import INodeReactor, make_node


class Options(RoleOptions):
    """The options of a node."""

    role = "p2p-node"
    config_type = NodeConfig
    optParameters = [
        ["port", "p", None, "where to listen: a number or a Twisted endpoint string [8000]"],
        *RoleOptions.common,
        ["resources", "r", None, "the folder to share [resources]"],
        ["max-upload", None, None, "maximum rate sent to others: 12.5MB, 100Mbit [unlimited]"],
        ["max-download", None, None, "maximum rate fetched from others, likewise [unlimited]"],
        ["uploads", None, None, "maximum number of simultaneous answers with content [64]"],
        ["name", None, None, "this node's name [the host's name]"],
    ]

    def opt_supernode(self, url: str) -> None:
        """http://host:port; repeatable, in order of preference [found by multicast]"""
        self.append("supernode", url)


def makeService(options: Options) -> IService:
    """The service that twistd runs."""
    awake = prepare(cast(IDaemonReactor, reactor))
    service = make_node(cast(INodeReactor, reactor), options.config, _watch(), awake)
    return under_twistd(options, service, cast(IDaemonReactor, reactor))


def _watch() -> IFolderWatch | None:
    """inotify, where there is one."""
    try:
        from p2ptwisted.node.inotify_watch import InotifyWatch
    except ImportError:
        return None
    return InotifyWatch(reactor)
