"""The bodies of requests: in memory, and bounded, each and all together."""

from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING

from twisted.web.server import Request

if TYPE_CHECKING:
    from p2ptwisted.web.server.channel import LimitedChannel


class BodyBudget:
    """
    How many bytes of bodies are kept, in all and by their clients' addresses. Pure.

    What has come is counted, not what is told: an address takes up nothing
    by telling of much.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._total = 0
        self._by_address: dict[str, int] = {}

    def take(self, address: str, count: int) -> bool:
        """Whether there is room for so many more, which then are counted."""
        of_address = self._by_address.get(address, 0) + count
        if self._total + count > self._most or of_address > self._most // 2:
            return False
        self._total += count
        self._by_address[address] = of_address
        return True

    def give_back(self, address: str, count: int) -> None:
        self._total -= count
        self._by_address[address] -= count
        if not self._by_address[address]:
            del self._by_address[address]


class LimitedRequest(Request):
    """A request whose body may not grow beyond its site's limit."""

    channel: "LimitedChannel"
    #: Bytes of the body that have come.
    received = 0
    #: Those that are counted, and of which address.
    _kept = 0
    _bodies: BodyBudget
    _address: str

    def _handleStar(self) -> None:
        # Twisted would answer by itself, whatever the headers are: `*` is a target like others.
        self.render(self.channel.site.getResourceFor(self))

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
            channel.throw_away(len(data))
        else:
            super().handleContentChunk(data)

    def _keep(self, count: int) -> bool:
        """Whether there is room for so many bytes more."""
        if not self._kept:
            self._bodies, self._address = self.channel.site.bodies, self.channel.getPeer().host
        if not self._bodies.take(self._address, count):
            return False
        self._kept += count
        return True

    def forget(self) -> int:
        """The body is not needed any more; how many bytes were kept, 0 the second time."""
        kept, self._kept = self._kept, 0
        if kept:
            self._bodies.give_back(self._address, kept)
            self.content = BytesIO()
        return kept
