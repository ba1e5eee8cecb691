"""A node's uploads: how many at once, how fast, and which pieces first."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from p2ptwisted.errors import Busy, Unavailable
from p2ptwisted.interfaces import IUpload
from p2ptwisted.support.expiring import BoundedDict
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.support.wording import counted_are
from p2ptwisted.transfer.piece_selector import PieceSelector

#: Resources for which it is remembered how often each piece was sent: those asked for last.
RESOURCES_MAX = 64

#: Answers with pieces of one resource that are sent at once; the others wait for their turn, so
#: that a piece is soon complete somewhere, and can be passed on.
SENDING_AT_ONCE = 8


#: Manifests of one resource that are sent at once to nodes that can ask others; small ones, of up
#: to so many bytes, don't count. Each node that has one passes it on, while one holder for all has
#: nothing else to send for seconds. (Simulated, 1 GiB to 1,000 nodes with 1 Gbit/s: links are 0.8
#: full after 0.5 s; before, with manifests of half the size, 0.4 full after 1.4 s.)
MANIFESTS_SENT_AT_ONCE, SMALL_MANIFEST = 4, 32 * 1024


class _Queue:
    """The answers with pieces of one resource."""

    def __init__(self) -> None:
        self.selector = PieceSelector()
        #: How many are sent to each client.
        self._sending: Counter[str] = Counter()
        self._waiting: dict[Deferred[None], str] = {}

    async def turn(self, client: str) -> None:
        """Wait until fewer than SENDING_AT_ONCE are being sent, and count as one of them."""
        if not self._may_begin(client):
            turn: Deferred[None] = Deferred()
            self._waiting[turn] = client
            try:
                await turn
            finally:
                self._waiting.pop(turn, None)
        self._sending[client] += 1

    def _may_begin(self, client: str) -> bool:
        # Of one client no more than half count: if it reads slowly it holds up only itself.
        counted = sum(min(count, (SENDING_AT_ONCE + 1) // 2) for count in self._sending.values())
        return max(counted, self._sending[client]) < SENDING_AT_ONCE

    def end(self, client: str) -> None:
        """Let the next ones begin."""
        self._sending[client] -= 1
        if not self._sending[client]:
            del self._sending[client]
        for turn, waiting in list(self._waiting.items()):
            if not turn.called and self._may_begin(waiting):
                turn.callback(None)


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
        self._queues: BoundedDict[str, _Queue] = BoundedDict(RESOURCES_MAX)
        #: How many large manifests of each resource are being sent.
        self._manifests: Counter[str] = Counter()

    def begin(self, client: str) -> "Upload":
        """
        Begin an answer with content to the client with that address.

        Raises Unavailable if too many are under way, or too many to this client.
        """
        if self._active.total() >= self._most:
            raise Unavailable(
                f"{counted_are(self._most, 'upload')} under way here: ask another holder"
            )
        if self._active[client] >= self._most_per_client:
            noun, nouns = f"upload to {client}", f"uploads to {client}"
            raise Unavailable(
                f"{counted_are(self._most_per_client, noun, nouns)} under way here, half of all: "
                "ask another holder, or wait for one of them"
            )
        self._active[client] += 1
        return Upload(self, client)

    async def begin_pieces(self, id: str, client: str) -> "Upload":
        """
        Begin an answer with pieces of a resource, when it is its turn.

        Raises Unavailable as `begin` does.
        """
        upload = self.begin(client)
        queue = upload.queue = self._queues[id] = self._queues.get(id) or _Queue()
        try:
            await queue.turn(client)
        except BaseException:
            upload.queue = None
            upload.end()
            raise
        return upload

    @contextmanager
    def manifest(self, id: str, size: int, others: Sequence[str]) -> Iterator[None]:
        """
        Count a manifest of `size` bytes as being sent, to a node that can ask the `others` for it.

        Raises Busy if there are some, and enough are being sent.
        """
        if size <= SMALL_MANIFEST:
            yield
            return
        if others and self._manifests[id] >= MANIFESTS_SENT_AT_ONCE:
            raise Busy("the manifest is being sent to others, who can pass it on", others)
        self._manifests[id] += 1
        try:
            yield
        finally:
            self._manifests[id] -= 1
            if not self._manifests[id]:
                del self._manifests[id]

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
        self.queue: _Queue | None = None
        self._has_chosen = False

    def choose(self, pieces: int, most: int | None) -> int:
        """
        The pieces of these to send now, of which `most` are wanted; as PieceSelector's `choose`.

        Only for an answer with pieces.
        """
        assert self.queue is not None
        chosen = self.queue.selector.choose(pieces, self._client, most)
        self.queue.selector.began()
        self._has_chosen = True
        return chosen

    def sent(self, count: int) -> float:
        """Count bytes that go out; the seconds to wait before more."""
        return self._uploads.sent(count)

    def end(self) -> None:
        """End it: it is sent, or its client has gone."""
        self._uploads.ended(self._client)
        if self.queue is not None:
            if self._has_chosen:
                self.queue.selector.ended()
            self.queue.end(self._client)
