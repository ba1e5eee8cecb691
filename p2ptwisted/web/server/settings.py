"""
The limits of a server: how much one client, and all together, may take of it.

`config` reads them from the options; the modules beside this one enforce them.
"""

import resource
from dataclasses import dataclass, replace

#: Bytes a second that a request's body must have, on average over `body_time`.
BODY_RATE_MIN = 16 * 1024

#: Bytes of all bodies under way at a site; one address may have half of them.
BODIES_MAX = 64 * 1024 * 1024

#: The largest `header_size` in bytes: 10,000 clients can each have as many headers.
HEADER_SIZE_MAX = 256 * 1024

#: The smallest `idle_time` in seconds. Members keep connections unused for up to 30 s
#: (`client.transport`), and a request is lost whose connection is closed just as it comes.
IDLE_TIME_MIN = 35.0

#: The part of the process's file descriptors that connections may take; the others are
#: for files, the database, and the calls that the daemon makes itself.
DESCRIPTORS_SHARE = 0.75


@dataclass(frozen=True)
class ServerSettings:
    """The values of `--connections` and so on. Times are in seconds, sizes in bytes."""

    #: Connections at once, in all and from one address.
    connections: int = 10_000
    connections_per_address: int = 1_000
    #: A request's first line and headers.
    header_size: int = 16 * 1024
    #: A request's body; None: what the routes need.
    body_size: int | None = None
    #: From a request's first byte (or from connecting) to the end of its headers.
    header_time: float = 10.0
    #: A body that isn't complete must grow by BODY_RATE_MIN in every interval of this length.
    body_time: float = 10.0
    #: How long a connection may be without a request.
    idle_time: float = 60.0
    #: How long a client may take nothing at all of what is sent to it.
    stall_time: float = 30.0


def limited_by_descriptors(settings: ServerSettings) -> ServerSettings:
    """
    Return the settings with no more connections than there are file descriptors for.

    One address keeps its share of the connections.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(1, min(settings.connections, int(descriptors * DESCRIPTORS_SHARE)))
    of_address = settings.connections_per_address * most // settings.connections
    return replace(settings, connections=most, connections_per_address=max(1, of_address))
