"""
Orders that a browser gives for a page of somebody else's. It may well run on a
member's own machine, which is trusted, and it sends what any page tells it to.
"""

import re

from twisted.web.server import Request

from p2ptwisted.addresses import is_loopback
from p2ptwisted.errors import NotAllowed
from p2ptwisted.web.orders import READING

#: Hosts that no stranger's page can have: a name leads to wherever its owner says, to this
#: very machine too.
_OWN_HOST = re.compile(rb"(?:[0-9.]+|localhost)(?::[0-9]+)?")


def check_page(request: Request) -> None:
    """Raises NotAllowed where another site's page may have sent what is more than reading."""
    origin = request.getHeader(b"origin")
    if origin is None or request.method in READING:
        return  # Browsers name it with all that isn't reading; other programs never do.
    host = (request.getHeader(b"host") or b"").lower()
    own = origin.lower() in (b"http://" + host, b"https://" + host)
    if not own or (
        is_loopback(str(request.getClientAddress().host)) and not _OWN_HOST.fullmatch(host)
    ):
        raise NotAllowed(
            "a browser sends this for a page of another site's: only a page of this daemon's own "
            "may, called by its address"
        )
