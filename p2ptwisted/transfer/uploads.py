"""What a node sends to others: how much at once, how fast, and which pieces first."""

from collections import OrderedDict

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IUpload
from p2ptwisted.throttle import Throttle
from p2ptwisted.transfer.spread import Spread

#: Resources whose spread is remembered: those asked for most recently.
SPREADS_MAX = 64


class Uploads:
    """All that is being sent."""

    def __init__(self, clock: IReactorTime, most: int, throttle: Throttle) -> None:
        """`most`: answers with content under way at once."""
        self._clock = clock
        self._most = most
        self._throttle = throttle
        self._active = 0
        self._spreads: OrderedDict[str, Spread] = OrderedDict()

    def begin(self) -> "Upload":
        """An answer with content. Raises Unavailable where there are too many already."""
        if self._active >= self._most:
            raise Unavailable(f"{self._most} uploads are under way here: ask another holder")
        self._active += 1
        return Upload(self)

    def begin_pieces(self, id: str, pieces: int, client: str) -> tuple["Upload", int]:
        """
        The same for the run of these pieces that the client is to get now.

        Raises UnknownResource where there are no pieces to choose from.
        """
        if not pieces:
            raise UnknownResource(f"none of the pieces of {id} that you want is here")
        upload = self.begin()
        spread = self._spreads.setdefault(id, Spread())
        self._spreads.move_to_end(id)
        if len(self._spreads) > SPREADS_MAX:
            self._spreads.popitem(last=False)
        chosen = spread.choose(pieces, client)
        upload.spread = spread
        spread.began()
        return upload, chosen

    def sent(self, count: int) -> float:
        """So many bytes go out; the seconds to wait before more."""
        return self._throttle.take(count, self._clock.seconds())

    def ended(self) -> None:
        self._active -= 1


@implementer(IUpload)
class Upload:
    """One answer with content."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self.spread: Spread | None = None

    def sent(self, count: int) -> float:
        """So many bytes go out; the seconds to wait before more."""
        return self._uploads.sent(count)

    def end(self) -> None:
        """It is through, or its client has gone."""
        self._uploads.ended()
        if self.spread is not None:
            self.spread.ended()
