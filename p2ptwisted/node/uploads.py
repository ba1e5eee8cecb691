"""What a node sends to others: how much at once, how fast, and which pieces first."""

from collections import Counter

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IUpload
from p2ptwisted.support.expiring import BoundedDict
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.transfer.piece_selector import PieceSelector

#: Resources whose spread is remembered: those asked for most recently.
SPREADS_MAX = 64


class Uploads:
    """All that is being sent."""

    def __init__(self, clock: IReactorTime, most: int, throttle: RateLimit) -> None:
        """`most`: answers with content under way at once; one client gets half of them."""
        self._clock = clock
        self._most = most
        # Otherwise one that reads slowly could have them all, and for long.
        self._most_per_client = (most + 1) // 2
        self._throttle = throttle
        #: Those under way of each client.
        self._active: Counter[str] = Counter()
        self._spreads: BoundedDict[str, PieceSelector] = BoundedDict(SPREADS_MAX)

    def begin(self, client: str) -> "Upload":
        """
        An answer with content, for the client with that address.

        Raises Unavailable where there are too many already, or too many of its own.
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
        The same for the run of these pieces that the client is to get now.

        Raises UnknownResource where there are no pieces to choose from.
        """
        if not pieces:
            raise UnknownResource(f"none of the pieces of {id} that you want is here")
        upload = self.begin(client)
        spread = self._spreads[id] = self._spreads.get(id) or PieceSelector()
        chosen = spread.choose(pieces, client)
        upload.spread = spread
        spread.began()
        return upload, chosen

    def sent(self, count: int) -> float:
        """So many bytes go out; the seconds to wait before more."""
        return self._throttle.take(count, self._clock.seconds())

    def ended(self, client: str) -> None:
        self._active[client] -= 1
        if not self._active[client]:
            del self._active[client]


@implementer(IUpload)
class Upload:
    """One answer with content."""

    def __init__(self, uploads: Uploads, client: str) -> None:
        self._uploads = uploads
        self._client = client
        self.spread: PieceSelector | None = None

    def sent(self, count: int) -> float:
        """So many bytes go out; the seconds to wait before more."""
        return self._uploads.sent(count)

    def end(self) -> None:
        """It is through, or its client has gone."""
        self._uploads.ended(self._client)
        if self.spread is not None:
            self.spread.ended()
