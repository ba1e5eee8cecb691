"""HTTP as the tests speak it: blocking, and a connection a request."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPSConnection, parse_headers
from io import BytesIO
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

#: Seconds without a byte after which a request has failed.
TIMEOUT = 10.0


class ErrorAnswer(Exception):
    """An answer is an error where data was wanted."""


@dataclass(frozen=True)
class Answer:
    """A status, headers and a body."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """What is in the envelope of a success. Raises ErrorAnswer."""
        if self.status >= 400:
            raise ErrorAnswer(f"status {self.status}: {self.body!r}")
        return self.json["data"]


def parse_answer(raw: bytes) -> Answer:
    """An answer as `curl --include` prints it."""
    status_line, _, rest = raw.partition(b"\r\n")
    stream = BytesIO(rest)
    headers = parse_headers(stream)
    return Answer(int(status_line.split()[1]), headers, stream.read())


def request(
    method: str,
    url: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    secured: SSLContext | None = None,
) -> Answer:
    """
    The answer to one request; a redirect is an answer. Raises OSError.

    A body that comes in pieces is sent chunked. `secured`: by TLS, whatever the URL says.
    """
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    host, port = parts.hostname or "", parts.port
    connection = (
        HTTPConnection(host, port, timeout=TIMEOUT)
        if secured is None
        else HTTPSConnection(host, port, timeout=TIMEOUT, context=secured)
    )
    try:
        # Who doesn't say what it is, is taken for a node of an earlier version.
        connection.request(method, target, body, {"User-Agent": "tests"} | dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()
