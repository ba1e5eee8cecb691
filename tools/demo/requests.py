"""One GET at a time, as curl makes it."""

import json
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from .terminal import Broken

#: Seconds that one request may take.
ANSWER_WITHIN = 10.0


@dataclass
class Answer:
    """What came back, and after how many seconds."""

    status: int
    reason: str
    location: str | None
    body: bytes
    seconds: float

    def __str__(self) -> str:
        return f"{self.status} {self.reason}, after {self.seconds * 1000:.0f} ms"


def get(url: str) -> Answer:
    """Ask for one URL; a redirect is an answer like any other."""
    # Not urllib, which would go through a proxy that the environment names.
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=ANSWER_WITHIN)
    try:
        began = time.monotonic()
        connection.request("GET", parts.path)
        response = connection.getresponse()
        body = response.read()
        seconds = time.monotonic() - began
        return Answer(
            response.status, response.reason, response.getheader("location"), body, seconds
        )
    finally:
        connection.close()


def get_data(url: str) -> Any:
    """The data of a successful answer."""
    answer = get(url)
    if answer.status != 200:
        raise Broken(f"{url}: {answer.status} {answer.body.decode(errors='replace')}")
    return json.loads(answer.body)["data"]
