"""Successful answers whose data is a list too long to be encoded at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import msgspec
from twisted.internet.interfaces import IPullProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from p2ptwisted.web.responses import success

_encoder = msgspec.json.Encoder()
_T = TypeVar("_T")


class JsonStream(Resource, Generic[_T]):
    """A successful answer whose data is a list, encoded in slices where it is long."""

    isLeaf = True

    #: Items encoded at a time; between slices other requests are answered.
    SLICE = 1_000

    def __init__(
        self,
        items: Sequence[_T],
        entity: str,
        shown: Callable[[_T], object] = lambda item: item,
    ) -> None:
        """`entity` says what the items are; `shown` returns what is encoded for an item."""
        super().__init__()
        self._items = items
        self._entity = entity
        self._shown = shown

    def render(self, request: Request) -> bytes | int:
        request.setHeader(b"content-type", b"application/json")
        if request.method == b"HEAD":
            return b""
        if len(self._items) <= self.SLICE:
            return success(request, list(map(self._shown, self._items)), self._entity)
        request.registerProducer(_Slices(request, self._encoded()), False)
        return NOT_DONE_YET

    def _encoded(self) -> Iterator[bytes]:
        opening = b'{"data":['
        for start in range(0, len(self._items), self.SLICE):
            items = list(map(self._shown, self._items[start : start + self.SLICE]))
            yield opening + _encoder.encode(items)[1:-1]
            opening = b","
        yield b'],"entity":' + _encoder.encode(self._entity) + b"}"


@implementer(IPullProducer)
class _Slices:
    """Writes the next slice whenever the connection can take it."""

    def __init__(self, request: Request, slices: Iterator[bytes]) -> None:
        self._request = request
        self._slices = slices

    def resumeProducing(self) -> None:
        for encoded in self._slices:
            self._request.write(encoded)
            return
        self._request.unregisterProducer()
        self._request.finish()

    def stopProducing(self) -> None:
        self._slices = iter(())
