"""
Who may call at all: in a closed group, every caller that signs with the group's key.

What a signature covers is in `security.http_signatures`.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from p2ptwisted.errors import NotSigned
from p2ptwisted.security.group_key import GroupKey
from p2ptwisted.security.http_signatures import (
    SIGNATURE_HEADERS,
    SIGNATURE_HEADERS_MAX,
    HttpSignatures,
    SignedCall,
)


class Authenticator:
    """Lets in the calls that a closed group's members have signed, and no others."""

    def __init__(
        self,
        clock: IReactorTime,
        signatures: HttpSignatures,
        private: bool,
        location: Callable[[str], str],
    ) -> None:
        """
        `private`: reading takes a signature too, not only changing something.

        `location` returns this daemon's own location as a host, given by its address, sees it.
        """
        self._clock = clock
        self._signatures = signatures
        self._private = private
        self._location = location

    def check(self, request: Request, is_order: bool) -> None:
        """
        Raise NotSigned where a call is not a member's.

        Raises Unavailable where so many signatures are remembered that there is
        no room for another. `is_order`: the call changes something.
        """
        if not is_order and not self._private:
            return
        if not request.requestHeaders.hasHeader(b"signature"):
            # Before anything is done with a body that can be large.
            raise NotSigned("this group is closed, and your call is not signed")
        if sum(map(len, _signature_headers(request))) > SIGNATURE_HEADERS_MAX:
            # Nor is a long one read only to be refused.
            raise NotSigned(
                "this group is closed, and the headers that sign your call have more than "
                f"{SIGNATURE_HEADERS_MAX} bytes"
            )
        self._check_addressee(request)
        assert request.content is not None
        body = request.content.read()
        request.content.seek(0)
        # What changes something may come only once; reading again does no harm.
        self._signatures.check(_signed_call(request), body, self._clock.seconds(), once=is_order)

    def _check_addressee(self, request: Request) -> None:
        """Raise NotSigned for a call to another member: who overhears it could send it here."""
        host = (request.getHeader(b"host") or b"").decode("latin-1")
        addressees = {host} if ":" in host else {f"{host}:80", f"{host}:443"}
        here = request.getHost()
        own = (f"{here.host}:{here.port}", self._location(str(request.getClientAddress().host)))
        if addressees.isdisjoint(own):
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


def _signature_headers(request: Request) -> list[bytes]:
    """Return the values of the headers that sign a call."""
    headers = request.requestHeaders
    return [value for name in SIGNATURE_HEADERS for value in headers.getRawHeaders(name, ())]


def _signed_call(request: Request) -> SignedCall:
    """Return the request as its caller signed it."""
    host = request.getHeader(b"host") or b""
    url = b"http://%b%b" % (host, request.uri)
    # Of the other headers only those that the signature names: there may be hundreds.
    signature = b" ".join(_signature_headers(request)).lower()
    headers = {
        name.decode("latin-1"): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
        if name.lower() in SIGNATURE_HEADERS or b'"%b"' % name.lower() in signature
    }
    return SignedCall(request.method.decode("latin-1"), url.decode("latin-1"), headers)
