"""The client's calls about a node's fetches: orders, and what has become of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from p2ptwisted.client.answers import ANSWER_MAX, decode_answer
from p2ptwisted.client.transport import HttpTransport, Refused
from p2ptwisted.errors import OlderProgram, Unavailable
from p2ptwisted.model import DownloadOrder, DownloadStatus, Order

#: What a node answers where the ids that are asked about don't fit its `--header-size`.
_TOO_LONG = (400, 414, 431)


class TakenOrders(NamedTuple):
    """What a node says to several orders."""

    #: The states of those that it has taken: the first ones, where it has no room for all.
    statuses: list[DownloadStatus]
    #: Whether it takes several at once; nodes of earlier versions take the first.
    several: bool


class OrderClient(HttpTransport):
    """
    Gives orders to nodes, by location.

    All methods raise Refused and Unavailable, and OlderProgram where orders mean nothing there.
    """

    async def order(self, location: str, id: str, name: str | None = None) -> DownloadStatus:
        """
        Order the node there to fetch a resource, under that name; returns how far it is.

        Nodes of earlier versions choose the name themselves.
        """
        answer = await self._order(location, DownloadOrder(id, name))
        return decode_answer(answer, DownloadStatus)

    async def order_all(self, location: str, orders: Sequence[Order]) -> TakenOrders:
        """Order the node there to fetch several resources, `ORDERS_MAX` at the most."""
        first, *others = orders
        answer = await self._order(location, DownloadOrder(first.id, first.name, others))
        either: Any = list[DownloadStatus] | DownloadStatus
        answered: list[DownloadStatus] | DownloadStatus = decode_answer(answer, either)
        if isinstance(answered, DownloadStatus):
            return TakenOrders([answered], False)
        return TakenOrders(answered, True)

    async def _order(self, location: str, order: DownloadOrder) -> bytes:
        url = f"http://{location}/api/node/fetch"
        try:
            return await self._call("POST", url, msgspec.json.encode(order), limit=ANSWER_MAX)
        except Refused as refused:
            if refused.status == 404 and await self.is_older(location):
                raise OlderProgram("a node of the older program, which fetches nothing") from None
            raise

    async def fetch_status(self, location: str, id: str) -> DownloadStatus:
        """Return the state of one fetch of the node there."""
        url = f"http://{location}/api/node/fetch/{id}"
        return decode_answer(await self._call("GET", url, limit=ANSWER_MAX), DownloadStatus)

    async def fetches(
        self, location: str, ids: Sequence[str] | None = None
    ) -> list[DownloadStatus]:
        """
        Return all fetches that the node there remembers, or those of these ids.

        A node may say more than was asked; those of earlier versions say all.
        """
        url = f"http://{location}/api/node/fetch"
        if ids is not None:
            try:
                return await self._fetches(f"{url}?hash_ids={','.join(ids)}")
            except Refused as refused:
                if refused.status not in _TOO_LONG:
                    raise
        return await self._fetches(url)

    async def _fetches(self, url: str) -> list[DownloadStatus]:
        return decode_answer(await self._call("GET", url, limit=ANSWER_MAX), list[DownloadStatus])

    async def is_older(self, location: str) -> bool:
        """
        Whether the node there is the older program's: its health check has an empty answer.

        Never raises.
        """
        try:
            return not await self._call("GET", f"http://{location}/api/node/health")
        except (Refused, Unavailable):
            return False
