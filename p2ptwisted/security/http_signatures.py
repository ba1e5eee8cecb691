"""
Signing and verifying the HTTP calls between the members of a closed group.

RFC 9421 with HMAC-SHA-256 over the method, the target, the body's digest, the
time and a nonce. Nothing here does IO. Which calls must be signed is in
`web.authentication`; datagrams have `protocols.datagram_auth`.
"""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureComponentResolver,
    MappingKeyResolver,
)
from http_message_signatures.algorithms import HMAC_SHA256

from p2ptwisted.errors import NotSigned, Unavailable
from p2ptwisted.support.expiring import ExpiringDict

#: Seconds by which the time in a signature may differ from ours, either way.
CLOCK_SKEW_MAX = 30.0

#: Seconds for which a nonce is remembered. A call from a clock that is ahead of ours is valid
#: for twice the skew; the rest is for clocks that are being set.
NONCE_LIFETIME = 2 * CLOCK_SKEW_MAX + 5.0

#: Nonces remembered: enough for about 1,500 calls a second.
NONCES_MAX = 100_000

#: Bytes of randomness in a nonce.
NONCE_BYTES = 16

#: The headers that prove a call, and their total size in bytes, beyond which they are not
#: parsed: a member's have 300, and parsing 15,000 took up to 40 ms.
SIGNATURE_HEADERS = (b"signature", b"signature-input", b"content-digest")
SIGNATURE_HEADERS_MAX = 1024

#: What every signature covers, besides the digest of the body.
COVERED = ("@method", "@authority", "@path", "@query")

_KEY_ID = "group"


@dataclass
class SignedCall:
    """A request as the library signs and verifies it; signing adds to its headers."""

    method: str
    #: Absolute.
    url: str
    headers: dict[str, str] = field(default_factory=dict)


class _PlainComponents(HTTPSignatureComponentResolver):
    """
    Resolves the parts of a request that a signature can cover, as raw text only.

    Structured fields and query parameters would have to be parsed before it is
    known who sent the request.
    """

    field_component_parameters = frozenset()
    derived_component_resolvers: ClassVar[dict[str, Any]] = {
        name: resolver
        for name, resolver in HTTPSignatureComponentResolver.derived_component_resolvers.items()
        if name != "@query-param"
    }


class _Verifier(HTTPMessageVerifier):
    max_clock_skew = timedelta(seconds=CLOCK_SKEW_MAX)


class HttpSignatures:
    """Signs outgoing calls and checks incoming ones, with the key of a group."""

    def __init__(self, key: bytes) -> None:
        resolver = MappingKeyResolver(public_keys={_KEY_ID: key}, private_keys={_KEY_ID: key})
        self._signer = HTTPMessageSigner(signature_algorithm=HMAC_SHA256, key_resolver=resolver)
        self._verifier = _Verifier(
            signature_algorithm=HMAC_SHA256,
            key_resolver=resolver,
            component_resolver_class=_PlainComponents,
        )
        #: Nonces of calls that must not be repeated; none is dropped before it expires.
        self._nonces: ExpiringDict[str, None] = ExpiringDict(NONCES_MAX, NONCE_LIFETIME)

    def sign(self, method: str, url: str, body: bytes | None) -> dict[str, str]:
        """Return the headers that prove a call."""
        call = SignedCall(method, url)
        self._signer.sign(
            call,
            key_id=_KEY_ID,
            nonce=secrets.token_hex(NONCE_BYTES),
            covered_component_ids=COVERED,
            body=body or b"",
        )
        return call.headers

    def check(self, call: SignedCall, body: bytes, now: float, once: bool) -> None:
        """
        Raises NotSigned, saying why, unless the call is signed with the group's key.

        `once`: the same call must not be accepted twice. `now`: seconds on a
        monotonic clock. Raises Unavailable where too many nonces are remembered.
        """
        try:
            (result,) = self._verifier.verify(
                call, max_age=timedelta(0), require_components=COVERED, body=body
            )
        except HTTPMessageSignaturesException as error:
            raise NotSigned(
                f"this group is closed, and your call is not signed with its key: {error}"
            ) from None
        if once:
            self._remember_nonce(result.nonce, now)

    def _remember_nonce(self, nonce: str | None, now: float) -> None:
        self._nonces.expire(now)
        if nonce is None or nonce in self._nonces:
            raise NotSigned("this very call has come before: sign each anew, with a nonce")
        if len(self._nonces) >= NONCES_MAX:
            raise Unavailable("too many signed calls: try again in a minute")
        self._nonces.set(nonce, None, now)
