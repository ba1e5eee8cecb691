"""A node's uploads: how many at once, how fast, and which pieces first."""

from collections import Counter

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IUpload
from p2ptwisted.support.expiring import BoundedDict
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.transfer.piece_selector import PieceSelector

#: Resources whose piece selector is remembered: those asked for most recently.
SELECTORS_MAX = 64


class Uploads:
    """All answers with content that are under way."""

    def __init__(self, clock: IReactorTime, most: int, throttle: RateLimit) -> None:
        """`most` is how many may be under way at once; one client gets half of them."""
        self._clock = clock
        self._most = most
        # Otherwise one that reads slowly could have them all, and for long.
        self._most_per_client = (most + 1) // 2
        self._throttle = throttle
        #: How many are under way to each client.
        self._active: Counter[str] = Counter()
        self._selectors: BoundedDict[str, PieceSelector] = BoundedDict(SELECTORS_MAX)

    def begin(self, client: str) -> "Upload":
        """
        Begin an answer with content to the client with that address.

        Raises Unavailable if too many are under way, or too many to this client.
        """
        if self._active.total() >= self._most:
            raise Unavailable(f"{self._most} uploads are under way here: ask another holder")
        if self._active[client] >= self._most_per_client:
            raise Unavailable(
                f"{self._most_per_client} uploads to {client} are under way here, half of all: "
                "ask another holder, or wait for one of them"
            )
        self._active[client] += 1
        return Upload(self, client)

    def begin_pieces(self, id: str, pieces: int, client: str) -> tuple["Upload", int]:
        """
        Begin an answer with some of these pieces; returns the consecutive ones to send.

        Raises UnknownResource if `pieces` is empty, and Unavailable as `begin` does.
        """
        if not pieces:
            raise UnknownResource(f"none of the pieces of {id} that you want is here")
        upload = self.begin(client)
        selector = self._selectors[id] = self._selectors.get(id) or PieceSelector()
        chosen = selector.choose(pieces, client)
        upload.selector = selector
        selector.began()
        return upload, chosen

    def sent(self, count: int) -> float:
        """Count bytes that go out; the seconds to wait before more."""
        return self._throttle.take(count, self._clock.seconds())

    def ended(self, client: str) -> None:
        """Count an answer to that client as ended."""
        self._active[client] -= 1
        if not self._active[client]:
            del self._active[client]


@implementer(IUpload)
class Upload:
    """An IUpload: one answer with content."""

    def __init__(self, uploads: Uploads, client: str) -> None:
        self._uploads = uploads
        self._client = client
        self.selector: PieceSelector | None = None

    def sent(self, count: int) -> float:
        """Count bytes that go out; the seconds to wait before more."""
        return self._uploads.sent(count)

    def end(self) -> None:
        """End it: it is sent, or its client has gone."""
        self._uploads.ended(self._client)
        if self.selector is not None:
            self.selector.ended()
