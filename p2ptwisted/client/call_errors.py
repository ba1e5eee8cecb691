"""
How calls fail, in words for a person: what Twisted and OpenSSL raise, as one of a few troubles.

How a command explains them, with what to do, is in `cli.diagnosis`.
"""

import errno
import re
from collections.abc import Iterable

from OpenSSL import SSL
from twisted.internet.error import (
    ConnectError,
    ConnectionClosed,
    ConnectionRefusedError,
    NoRouteError,
    TCPTimedOutError,
    TimeoutError,
)
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)

from p2ptwisted.errors import Trouble, Unreached
from p2ptwisted.security.tls import NotProvedInTls
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.twisted_internals.http_client import ParseError

#: Characters shown of an error's description that comes from the other side: it goes into
#: logs and other answers. Our own descriptions have at most some 250.
DESCRIPTION_MAX = 500

#: Ids in a URL: the first digits of the first are shown.
_IDS = re.compile(r"([0-9a-f]{8})[0-9a-f]{56}(?:,[0-9a-f]{64})*")

#: What OpenSSL calls it when the other side doesn't begin as TLS does.
_NO_TLS = ("wrong version number", "packet length too long", "http request", "unexpected message")

#: What the system says of a host that it can't reach, besides what Twisted has a class for.
_NO_ROUTE = (errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH)

_KINDS: tuple[tuple[type[BaseException], Trouble], ...] = (
    (ConnectionRefusedError, Trouble.REFUSED),
    (NoRouteError, Trouble.NO_ROUTE),
    (TimeoutError, Trouble.SILENT),
    (TCPTimedOutError, Trouble.SILENT),
    (NotProvedInTls, Trouble.NOT_PROVED),
    (ParseError, Trouble.NOT_HTTP),
    (ConnectionClosed, Trouble.BROKEN),
    (ResponseDone, Trouble.BROKEN),
)


def call_name(method: str, url: str) -> str:
    """Return what a call is called in messages: with the first digits of the ids in it."""
    short = _IDS.sub(r"\1...", url)
    return shown(f"{method} {short}")


def unwrapped(error: BaseException) -> BaseException:
    """Return the exception that Twisted has wrapped."""
    wrappers = (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed)
    while isinstance(error, wrappers) and error.reasons:
        error = error.reasons[0].value
    return error


def unreached(call: str, error: BaseException) -> Unreached:
    """Return what a call failed with, by the exception that Twisted raised."""
    reason = unwrapped(error)
    for kind, trouble in _KINDS:
        if isinstance(reason, kind):
            detail = str(reason) if trouble is Trouble.NOT_PROVED else ""
            return Unreached(call, trouble, shown(detail, DESCRIPTION_MAX))
    if isinstance(reason, ConnectError) and reason.osError in _NO_ROUTE:
        return Unreached(call, Trouble.NO_ROUTE)
    if isinstance(reason, SSL.Error):
        words = ", ".join(_openssl_reasons(reason))
        trouble = Trouble.NO_TLS if any(one in words for one in _NO_TLS) else Trouble.OTHER
        return Unreached(call, trouble, "" if trouble is Trouble.NO_TLS else shown(f"TLS: {words}"))
    return Unreached(call, Trouble.OTHER, shown(str(reason), DESCRIPTION_MAX))


def _openssl_reasons(error: SSL.Error) -> Iterable[str]:
    """Return what OpenSSL says, without the names of its functions."""
    for entry in error.args[0] if error.args and isinstance(error.args[0], list) else ():
        yield str(entry[-1])
