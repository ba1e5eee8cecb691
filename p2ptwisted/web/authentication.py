"""Who may call at all: in a closed group, whoever signs with the group's key."""

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from p2ptwisted.errors import NotSigned
from p2ptwisted.security.group_key import GroupKey
from p2ptwisted.security.http_signatures import HEADERS, HEADERS_MAX, HttpSignatures, SignedCall


class Authenticator:
    """Lets the calls of a closed group's members in."""

    def __init__(
        self,
        clock: IReactorTime,
        signatures: HttpSignatures,
        private: bool,
        location: Callable[[str], str],
    ) -> None:
        """
        `private`: reading takes a signature too, not only writing.

        `location` is what this daemon tells a host of where it is.
        """
        self._clock = clock
        self._signatures = signatures
        self._private = private
        self._location = location

    def check(self, request: Request, is_order: bool) -> None:
        """
        Raises NotSigned where the call is not a member's, and Unavailable.

        `is_order`: it changes something.
        """
        if not is_order and not self._private:
            return
        if not request.requestHeaders.hasHeader(b"signature"):
            # Before anything is done with a body that can be large.
            raise NotSigned("this group is closed, and your call is not signed")
        if sum(map(len, _proof(request))) > HEADERS_MAX:
            # Nor is a long one read only to be refused.
            raise NotSigned(
                "this group is closed, and the headers that sign your call have more than "
                f"{HEADERS_MAX} bytes"
            )
        self._check_addressee(request)
        assert request.content is not None
        body = request.content.read()
        request.content.seek(0)
        # What changes something may come only once; reading again does no harm.
        self._signatures.check(_call(request), body, self._clock.seconds(), once=is_order)

    def _check_addressee(self, request: Request) -> None:
        """A call that was signed for one member is no order to another who overhears it."""
        host = (request.getHeader(b"host") or b"").decode("latin-1")
        meant = {host} if ":" in host else {f"{host}:80", f"{host}:443"}
        here = request.getHost()
        own = (f"{here.host}:{here.port}", self._location(str(request.getClientAddress().host)))
        if meant.isdisjoint(own):
            raise NotSigned(f"your call is signed for {host[:80]!r}, and this is {own[0]}")


def make_authenticator(
    clock: IReactorTime, key: GroupKey | None, private: bool, location: Callable[[str], str]
) -> Authenticator | None:
    """
    Return the authenticator of a closed group's member, or None for an open group.

    `key` is the closed group's key; `private` and `location` are as for Authenticator.
    """
    if key is None:
        return None
    return Authenticator(clock, HttpSignatures(key.http), private, location)


def _proof(request: Request) -> list[bytes]:
    """The headers that prove a call."""
    return [one for name in HEADERS for one in request.requestHeaders.getRawHeaders(name, ())]


def _call(request: Request) -> SignedCall:
    """The request as its caller signed it."""
    host = request.getHeader(b"host") or b""
    url = b"http://%b%b" % (host, request.uri)
    # Of the others only those that the signature names: there may be hundreds.
    proof = b" ".join(_proof(request)).lower()
    headers = {
        name.decode("latin-1"): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
        if name.lower() in HEADERS or b'"%b"' % name.lower() in proof
    }
    return SignedCall(request.method.decode("latin-1"), url.decode("latin-1"), headers)
