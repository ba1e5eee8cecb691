"""Answers to what never became a request."""

from http import HTTPStatus
from typing import cast

from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol

from p2ptwisted.web.envelope import RETRY_AFTER, error_body


class Full(Protocol):
    """What a client meets for whose connection there is no room."""

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


def raw_answer(status: HTTPStatus, description: str) -> bytes:
    """An error as it goes through the wire, where there is no request to answer."""
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
