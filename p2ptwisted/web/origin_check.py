"""
Cross-origin requests: what a browser sends for a page of somebody else's.

The browser may well run on a member's own machine or beside it, and it sends
what any page has it send.
"""

import re
import socket

from twisted.web.server import Request

from p2ptwisted.errors import NotAllowed
from p2ptwisted.web.orders import READING

#: How the User-Agent of every browser begins, which no page can change; and PowerShell's.
_BROWSER = re.compile(rb"Mozilla/(?!.*PowerShell/)")

#: Hosts that lead only to this daemon. A name leads to wherever its owner says, to this
#: daemon too (DNS rebinding).
_ADDRESS = re.compile(rb"[0-9.]+|\[[0-9a-f:.]+\]|localhost")

#: Names that nobody outside can own: those without a dot, and under the domains reserved
#: for private networks (RFC 6762, RFC 8375, and `internal` by ICANN).
_NAME = re.compile(rb"[^.]+|.+\.(?:local|home\.arpa|internal)")

#: Sec-Fetch-Site of a request for a page from here, and of one for the browser's user.
_OWN_SITE = (b"same-origin", b"none")


def is_from_browser(request: Request) -> bool:
    """Whether a browser sends a request: other programs send only what their users want."""
    headers = request.requestHeaders
    if headers.hasHeader(b"origin") or headers.hasHeader(b"sec-fetch-site"):
        return True
    return _BROWSER.match(request.getHeader(b"user-agent") or b"") is not None


def check_origin(request: Request, is_order: bool) -> None:
    """Raise NotAllowed where a page of another site may have had a browser send this."""
    origin = request.getHeader(b"origin")
    site = request.getHeader(b"sec-fetch-site")
    authority = (request.getHeader(b"host") or b"").lower()
    host = re.sub(rb":[0-9]*\Z", b"", authority)
    if not is_order and request.method in READING:
        # Over TLS a browser goes by no other name than one of the certificate's.
        if not request.isSecure() and not _is_ours(host):
            raise NotAllowed(
                f"a browser that calls {host.decode()[:80]} may have been led here by a page of "
                "another site: call this daemon by its address"
            )
        return
    # The form of an old browser's comes without either. So does what somebody types into a
    # browser, and the address of an image: that is a GET, and the one order by GET is a sweep,
    # which whoever may read may have.
    named = origin is not None or site is not None or request.method in READING
    own = origin is None or origin.lower() in (b"http://" + authority, b"https://" + authority)
    if not (named and own and site in (None, *_OWN_SITE) and _ADDRESS.fullmatch(host)):
        raise NotAllowed(
            "a browser may have sent this for a page of another site: only this daemon's own "
            "pages, opened by its address, and programs other than browsers may"
        )


def _is_ours(host: bytes) -> bool:
    """Whether this host can't be the host of a stranger's page."""
    if _ADDRESS.fullmatch(host) or _NAME.fullmatch(host):
        return True
    return host == socket.gethostname().lower().encode()
