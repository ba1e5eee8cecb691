"""
The bodies of requests: kept in memory, with a limit for each and for all together.

What becomes of a body that is refused is the channel's matter.
"""

from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol

from p2ptwisted.support.twisted_internals.http_server import ExposedRequest


class BodyBudget:
    """
    Counts the bytes of bodies that are kept, in all and by their clients' addresses. Pure.

    Bytes that have come are counted, not those that a Content-Length announces:
    an address takes up no room by announcing a large body.
    """

    def __init__(self, most: int) -> None:
        """`most`: bytes in all; one address may have half of them."""
        self._most = most
        self._total = 0
        self._by_address: dict[str, int] = {}

    def take(self, address: str, count: int) -> bool:
        """Count `count` more bytes where there is room for them; returns whether there is."""
        of_address = self._by_address.get(address, 0) + count
        if self._total + count > self._most or of_address > self._most // 2:
            return False
        self._total += count
        self._by_address[address] = of_address
        return True

    def give_back(self, address: str, count: int) -> None:
        """Count `count` fewer bytes of an address that were taken before."""
        self._total -= count
        self._by_address[address] -= count
        if not self._by_address[address]:
            del self._by_address[address]


class BodySite(Protocol):
    """What a request needs of its channel's site."""

    #: Bytes that a request's body may have.
    body_max: int
    bodies: BodyBudget


class BodyChannel(Protocol):
    """What a request needs of the channel that it comes through."""

    #: Whether the channel has answered with an error and reads no more requests.
    refused: bool

    @property
    def site(self) -> BodySite: ...

    def getPeer(self) -> Any:
        """Return the client's address."""

    def refuse(self, status: HTTPStatus, description: str) -> None:
        """Answer with an error, and read no more requests."""

    def refuse_body(self) -> None:
        """Refuse a body that is larger than the site's limit."""

    def discard(self, count: int) -> None:
        """Count bytes that have come of what is refused."""


class LimitedRequest(ExposedRequest):
    """A request whose body may not grow beyond its site's limit."""

    channel: BodyChannel  # type: ignore[assignment]  # an HTTPChannel that has these too
    #: Bytes of the body that have come.
    received = 0
    #: Those that are counted in the budget, and the address that they are counted for.
    _kept = 0
    _bodies: BodyBudget
    _address: str

    def gotLength(self, length: int | None) -> None:
        # Twisted puts long ones into temporary files, of which nothing bounds the number.
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        # Counted here, not by Content-Length, for a chunked body has none.
        channel = self.channel
        self.received += len(data)
        if self.received > channel.site.body_max:
            channel.refuse_body()
        elif not channel.refused and not self._keep(len(data)):
            channel.refuse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "there are too many bodies under way just now: try again in a moment",
            )
        if channel.refused:
            channel.discard(len(data))
        else:
            super().handleContentChunk(data)

    def _keep(self, count: int) -> bool:
        """Count `count` more bytes in the budget; returns whether there is room for them."""
        if not self._kept:
            self._bodies, self._address = self.channel.site.bodies, self.channel.getPeer().host
        if not self._bodies.take(self._address, count):
            return False
        self._kept += count
        return True

    def free_body(self) -> int:
        """Give up the body; returns how many bytes were kept of it, 0 the second time."""
        kept, self._kept = self._kept, 0
        if kept:
            self._bodies.give_back(self._address, kept)
            self.content = BytesIO()
        return kept
