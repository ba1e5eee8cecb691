"""
Errors that are answered before there is a request: to a connection too many,
and to what a channel refuses. The body of every error is made here.
"""

from http import HTTPStatus
from typing import cast

import msgspec
from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol

#: Seconds after which a client may try again.
RETRY_AFTER = 1

_encoder = msgspec.json.Encoder()


class ServerFull(Protocol):
    """Answers a connection for which there is no room, and closes it."""

    def connectionMade(self) -> None:
        transport = cast(ITCPTransport, self.transport)
        if ISSLTransport.providedBy(transport):
            # Saying so would take a handshake, for which a silent client lets us wait for ever.
            transport.abortConnection()
            return
        transport.write(
            raw_answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "there are too many connections just now: try again in a moment",
            )
        )
        transport.loseConnection()


def error_body(status: HTTPStatus, description: str) -> bytes:
    """Return the JSON of an error."""
    return _encoder.encode(
        {"code": status.value, "name": status.phrase, "description": description}
    )


def raw_answer(status: HTTPStatus, description: str) -> bytes:
    """Return an error's status line, headers and body, for where there is no request to answer."""
    body = error_body(status, description)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append(f"Retry-After: {RETRY_AFTER}")
    return "\r\n".join([*lines, "", ""]).encode() + body
