"""
The links of hosts on the virtual clock, and the flows of bytes that share them.

A flow moves in chunks. A host sends those of its flows in turn; they queue in front of
the receiver's link, from each flow no more than a window of them. Where every link
serves its flows in turn and every flow has a window, rates come close to max-min
fairness (Hahne, "Round-robin scheduling for max-min fairness in data networks", 1991):
no capacity that a flow could use is left over, and none is used twice. It costs one or
two events for each chunk, however many flows share a link.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from simulation.clock import Time

#: Bytes of a chunk: what a sender hands to its network card at once (TCP segmentation offload).
#: Larger chunks cost less, and are less fair.
CHUNK = 64 * 1024

#: Chunks of a flow between sender and receiver.
WINDOW = 4

#: Seconds from one host of a LAN to another.
DELAY = 0.0002


@dataclass(frozen=True)
class Wire:
    """What all links have in common."""

    time: Time
    chunk: float = CHUNK
    delay: float = DELAY


class Link:
    """A host's link, which can break and stall. Rates are in bytes a second, each way."""

    def __init__(self, wire: Wire, up_rate: float, down_rate: float) -> None:
        self.wire = wire
        self.up_rate = up_rate
        self.down_rate = down_rate
        #: Bytes of content and of all else that have left here, and that have come.
        self.content_sent = self.content_received = 0.0
        self.control_sent = self.control_received = 0.0
        #: The flows from here and to here.
        self.sending: dict[Flow, None] = {}
        self.receiving: dict[Flow, None] = {}
        self.is_stalled = False
        #: When all that is on its way here will have come.
        self.free_at = 0.0
        self._time = wire.time
        #: The flows that have something to send and room in their windows, in turn.
        self._ready: deque[Flow] = deque()
        self._is_busy = False
        #: Bytes besides content that are sent with the next chunk.
        self._debt = 0.0
        #: What has come while it stalled: chunks, by their flows, and messages.
        self._held: list[Flow] = []
        self._held_messages: list[Callable[[], object]] = []

    # -- flows, whose chunks are sent in turn

    def ready(self, flow: "Flow") -> None:
        """Send a chunk of that flow when it is its turn."""
        self._ready.append(flow)
        if not self._is_busy:
            self._is_busy = True
            self.send_next()

    def send_next(self) -> None:
        """Send the next chunk, now that nothing else is leaving."""
        ready = self._ready
        while ready and not self.is_stalled:
            flow = ready.popleft()
            if flow.unsent > 0:
                break
        else:
            self._is_busy = False
            return
        now, time, chunk = self._time.now, self._time, min(flow.unsent, self.wire.chunk)
        flow.unsent -= chunk
        flow.window -= 1
        if flow.unsent and flow.window:
            ready.append(flow)
        self.content_sent += chunk
        receiver = flow.receiver
        sent_at = now + (chunk + self._debt) / self.up_rate
        self._debt = 0.0
        # Its first bytes come at once, unless others queue there.
        free_at = max(receiver.free_at, now) + chunk / receiver.down_rate
        receiver.free_at = free_at
        if free_at <= sent_at:
            time.call_at(sent_at, flow.sent_and_came)
        else:
            time.call_at(sent_at, self.send_next)
            time.call_at(free_at, flow.chunk_came)

    def hold(self, flow: "Flow") -> None:
        """Keep a chunk that has come until it stalls no more."""
        self._held.append(flow)

    # -- messages, which don't wait for others' chunks

    def message(
        self, receiver: "Link", size: float, arrived: Callable[[], object], trips: int = 1
    ) -> None:
        """
        Send bytes that are not content; `arrived` is called when they have come.

        They take their share of both links at once; what they take, chunks don't get. It
        is `trips` times on its way.
        """
        self.charge(receiver, size)
        seconds = size * max(
            (len(self.sending) + 1) / self.up_rate,
            (len(receiver.receiving) + 1) / receiver.down_rate,
        )

        def come() -> None:
            if receiver.is_stalled:
                receiver._held_messages.append(arrived)
            else:
                arrived()

        self._time.call_at(self._time.now + trips * self.wire.delay + seconds, come)

    def charge(self, receiver: "Link", size: float) -> None:
        """Count bytes that are not content, and that go with content."""
        self.control_sent += size
        receiver.control_received += size
        self._debt += size
        receiver.free_at = max(receiver.free_at, self._time.now) + size / receiver.down_rate

    # -- faults

    def break_off(self) -> None:
        """Break all connections."""
        for flow in [*self.sending, *self.receiving]:
            flow.break_off()

    def stall(self) -> None:
        """Neither send nor take anything from now on."""
        self.is_stalled = True

    def resume(self) -> None:
        """Go on after it stalled."""
        if not self.is_stalled:
            return
        self.is_stalled = False
        held, self._held = self._held, []
        messages, self._held_messages = self._held_messages, []
        free_at = self._time.now
        for flow in held:
            free_at += self.wire.chunk / self.down_rate
            self._time.call_at(free_at, flow.chunk_came)
        self.free_at = max(self.free_at, free_at)
        for arrived in messages:
            self._time.call_at(self._time.now, arrived)
        if not self._is_busy:
            self._is_busy = True
            self.send_next()


class Flow:
    """Content on its way from one host to another; a subclass says what becomes of it."""

    __slots__ = ("come", "is_over", "receiver", "sender", "size", "unsent", "window")

    def __init__(self, sender: Link, receiver: Link, size: float) -> None:
        """`size` is in bytes, and more than none."""
        self.sender = sender
        self.receiver = receiver
        self.size = size
        #: Bytes that have not left yet, and that have come.
        self.unsent = size
        self.come = 0.0
        #: Chunks that may leave before another has come.
        self.window = WINDOW
        #: Whether all has come, or it broke off or was canceled.
        self.is_over = False

    def start(self) -> None:
        """Begin to send."""
        self.sender.sending[self] = None
        self.receiver.receiving[self] = None
        self.sender.ready(self)

    def progressed(self, count: float) -> None:
        """Take note that so many bytes more have come; `is_over` if they are the last."""

    def broke_off(self) -> None:
        """Take note that the connection has broken; the receiver learns of it at once."""

    def ended(self) -> None:
        """Take note that no more will come, whatever the reason."""

    def break_off(self) -> None:
        """Break the connection."""
        if not self.is_over:
            self.cancel()
            self.broke_off()

    def cancel(self) -> None:
        """Send no more; what is on its way is lost."""
        if not self.is_over:
            self._end()
            self.unsent = 0.0

    def _end(self) -> None:
        self.is_over = True
        del self.sender.sending[self], self.receiver.receiving[self]
        self.ended()

    # -- called when a chunk's time has come

    def sent_and_came(self) -> None:
        """A chunk has left and come at once."""
        self.chunk_came()
        self.sender.send_next()

    def chunk_came(self) -> None:
        """A chunk has come, and made room for another."""
        if self.is_over:
            return
        receiver = self.receiver
        if receiver.is_stalled:
            receiver.hold(self)
            return
        count = min(self.size - self.come, receiver.wire.chunk)
        self.come += count
        receiver.content_received += count
        if self.come >= self.size:
            self._end()
        else:
            self.window += 1
            if self.window == 1 and self.unsent:
                self.sender.ready(self)
        self.progressed(count)
