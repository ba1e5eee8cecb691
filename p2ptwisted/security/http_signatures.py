"""
Signatures of HTTP calls between the members of a closed group: RFC 9421 with
HMAC-SHA-256 over the method, the target, the body's digest, the time and a
nonce. Nothing here does IO.
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

#: Seconds by which a signature's time may differ from ours, either way.
WINDOW = 30.0

#: Seconds for which a nonce is remembered, of a call that may be good for as long as its
#: clock is ahead of ours and as long again; and some more, for clocks that are being set.
REMEMBERED = 2 * WINDOW + 5.0

#: Nonces remembered, so about 1,500 calls a second.
NONCES_MAX = 100_000

NONCE_BYTES = 16

#: The headers that prove a call, and bytes of them all together, beyond which nobody looks at
#: them: a member's have 300, and reading 15,000 took up to 40 ms.
HEADERS = (b"signature", b"signature-input", b"content-digest")
HEADERS_MAX = 1024

#: What every signature covers, and the digest of the body with it.
COVERED = ("@method", "@authority", "@path", "@query")

_KEY_ID = "group"


@dataclass
class SignedCall:
    """A request as it is signed: an absolute URL, and headers that signing adds to."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


class _PlainComponents(HTTPSignatureComponentResolver):
    """
    The parts of a request that a signature can cover: just as they came.

    Not as what they mean, for which each would have to be read before anything
    is known of who has sent it.
    """

    field_component_parameters = frozenset()
    derived_component_resolvers: ClassVar[dict[str, Any]] = {
        name: resolver
        for name, resolver in HTTPSignatureComponentResolver.derived_component_resolvers.items()
        if name != "@query-param"
    }


class _Verifier(HTTPMessageVerifier):
    max_clock_skew = timedelta(seconds=WINDOW)


class HttpSignatures:
    """Signs calls and checks those that come, with the key of a group."""

    def __init__(self, key: bytes) -> None:
        resolver = MappingKeyResolver(public_keys={_KEY_ID: key}, private_keys={_KEY_ID: key})
        self._signer = HTTPMessageSigner(signature_algorithm=HMAC_SHA256, key_resolver=resolver)
        self._verifier = _Verifier(
            signature_algorithm=HMAC_SHA256,
            key_resolver=resolver,
            component_resolver_class=_PlainComponents,
        )
        #: The nonces of calls that must not come twice; none goes before its time.
        self._nonces: ExpiringDict[str, None] = ExpiringDict(NONCES_MAX, REMEMBERED)

    def sign(self, method: str, url: str, body: bytes | None) -> dict[str, str]:
        """The headers that prove a call."""
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
        Raises NotSigned, saying why, where a call is not proved.

        `once`: it must not come a second time; `now` is monotonic, in seconds.
        Raises Unavailable where too many such calls are remembered.
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
            self._note(result.nonce, now)

    def _note(self, nonce: str | None, now: float) -> None:
        self._nonces.expire(now)
        if nonce is None or nonce in self._nonces:
            raise NotSigned("this very call has come before: sign each anew, with a nonce")
        if len(self._nonces) >= NONCES_MAX:
            raise Unavailable("too many signed calls: try again in a minute")
        self._nonces.set(nonce, None, now)
