"""The command `twistd p2p-supernode`: its options, and the service that it runs."""

from typing import cast

from twisted.application.service import IService
from twisted.internet import reactor

from p2ptwisted.config import SupernodeConfig
from p2ptwisted.daemon import IDaemonReactor, RoleOptions, prepare, under_twistd
from p2ptwisted.supernode.service import ISupernodeReactor, make_supernode


class Options(RoleOptions):
    """The command-line options of a supernode."""

    role = "p2p-supernode"
    config_type = SupernodeConfig
    optParameters = [
        ["port", "p", None, "where to listen: a number or a Twisted endpoint string [5000]"],
        *RoleOptions.common,
        ["sweep-interval", None, None, "time between two health checks of the nodes [5]"],
        [
            "search-timeout",
            None,
            None,
            "time that a search among the other supernodes may take: 0.5, 500ms [0.5]",
        ],
    ]

    def opt_peer(self, url: str) -> None:
        """http://host:port of a supernode to ask by HTTP too; repeatable [only by multicast]"""
        self.append("peer", url)


def makeService(options: Options) -> IService:
    """Returns the service that twistd runs."""
    awake = prepare(cast(IDaemonReactor, reactor))
    service = make_supernode(cast(ISupernodeReactor, reactor), options.config, awake)
    return under_twistd(options, service, cast(IDaemonReactor, reactor))
