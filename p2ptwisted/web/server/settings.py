"""How much of a server one client, and all together, may take: the options behind it."""

import resource
from dataclasses import dataclass, replace

#: Bytes a second that a request's body must come with, on average over `body_time`.
BODY_RATE = 16 * 1024

#: Bytes of all bodies under way at a site; one address may have half of them.
BODIES_MAX = 64 * 1024 * 1024

#: Bytes of headers that may be allowed at the most: 10,000 clients can have as many each.
HEADER_MOST = 256 * 1024

#: Seconds; the members' own connections are unused for up to `calls.IDLE`, and one that
#: is closed just as a request comes loses it.
IDLE_LEAST = 35.0

#: The part of the process's file descriptors that connections may take; the others are
#: for files, the database, and the calls that the daemon makes itself.
DESCRIPTORS = 0.75


@dataclass(frozen=True)
class ServerSettings:
    """What `--connections` and so on say; times are in seconds, sizes in bytes."""

    #: At once, in all and from one address.
    connections: int = 10_000
    connections_per_address: int = 1_000
    #: Of a request's first line and headers.
    header_size: int = 16 * 1024
    #: Of a request's body; None: what its routes need.
    body_size: int | None = None
    #: From a request's first byte (or from connecting) to the end of its headers.
    header_time: float = 10.0
    #: In any such time a body that is not yet complete must have grown with BODY_RATE.
    body_time: float = 10.0
    #: Without a request.
    idle_time: float = 60.0
    #: In which a client takes nothing at all of what is sent to it.
    stall_time: float = 30.0


def affordable(limits: ServerSettings) -> ServerSettings:
    """With so many connections as there are file descriptors for; an address's part is the same."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(1, min(limits.connections, int(descriptors * DESCRIPTORS)))
    of_address = limits.connections_per_address * most // limits.connections
    return replace(limits, connections=most, connections_per_address=max(1, of_address))
