"""
The HTTP client of both APIs, and how it is made.

Its calls are in `node_client` and `supernode_client`; what is common to all
calls, whatever they are about, is in `transport`.
"""

from collections.abc import Callable

from p2ptwisted.client.node_client import NodeClient
from p2ptwisted.client.supernode_client import SupernodeClient
from p2ptwisted.client.transport import (
    IClientReactor,
    NumericEndpoints,
    make_agent,
    make_connections,
)
from p2ptwisted.security.group_key import GroupKey
from p2ptwisted.security.http_signatures import HttpSignatures
from p2ptwisted.security.tls import TrustedAuthority
from p2ptwisted.support.awake_clock import AwakeClock


class Client(NodeClient, SupernodeClient):
    """Calls supernodes (by `host:port`) and nodes (by location), on one pool of connections."""


def make_client(
    reactor: IClientReactor,
    key: GroupKey | None = None,
    authority: TrustedAuthority | None = None,
    own_location: Callable[[str], str | None] = lambda host: None,
    awake: AwakeClock | None = None,
    from_loopback: bool = False,
) -> Client:
    """
    Return a Client on real connections, with a connection pool of its own.

    With a `key` it signs its calls, as a member of that closed group; with an
    `authority` it speaks TLS, and only with hosts that have a certificate of it.
    `own_location` is NodeClient's. `awake` is the clock that the reactor goes by, if it
    stands still when the process does. `from_loopback` is as for NumericEndpoints.
    """
    endpoints = NumericEndpoints(reactor, authority, from_loopback)
    agent, pool = make_agent(reactor, endpoints)
    signatures = None if key is None else HttpSignatures(key.http)
    connections = make_connections(reactor, endpoints)
    client = Client(reactor, agent, pool, signatures, connections, own_location)
    if awake is not None:
        client.stood_still_since = awake.stood_still_since
    return client
