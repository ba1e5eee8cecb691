"""What is undocumented of the reactor, its transports and of Deferreds."""

from collections.abc import Callable, Iterable, Iterator

from twisted.internet.defer import DebugInfo
from twisted.internet.interfaces import IReactorTime, ITransport, IUDPTransport
from twisted.python.failure import Failure


def set_reactor_clock(reactor: IReactorTime, seconds: Callable[[], float]) -> None:
    """
    Have the reactor's timers go by `seconds`; to be called before any is set.

    Missing in Twisted: a reactor that goes by the monotonic clock. `seconds` is
    a public method, but that callLater goes by an instance's own isn't promised.
    """
    reactor.seconds = seconds  # type: ignore[method-assign]


def set_read_limit(transport: IUDPTransport, size: int) -> None:
    """
    Set how many bytes of datagrams a UDP transport reads in one turn of the reactor.

    Missing in Twisted: `maxThroughput` is in no interface.
    """
    transport.maxThroughput = size  # type: ignore[attr-defined]


def set_read_size(transport: ITransport, size: int) -> None:
    """
    Set how many bytes a TCP transport reads at a time, at the most.

    Missing in Twisted: `bufferSize` is in no interface.
    """
    transport.bufferSize = size  # type: ignore[attr-defined]


def has_unsent(transport: ITransport) -> bool:
    """
    Whether the kernel has yet to take some of what was written to a TCP transport.

    Missing in Twisted: `dataBuffer` is in no interface, and a transport without
    it has nothing to send. It is empty while all that was written fits the kernel.
    """
    return bool(getattr(transport, "dataBuffer", b""))


def has_buffered(transport: ITransport) -> bool:
    """
    Whether a TCP transport has something to send, also of what was written in this turn.

    Missing in Twisted: `_tempDataLen` is private, and `dataBuffer` doesn't have it yet.
    """
    return has_unsent(transport) or bool(getattr(transport, "_tempDataLen", 0))


def take_unhandled(objects: Iterable[object]) -> Iterator[Failure]:
    """
    Yield the failures of Deferreds that nobody has handled, each once, so that none is logged.

    `objects` is what the garbage collector has. Missing in Twisted: a way to find
    a Deferred's unhandled failure before the Deferred is collected.
    """
    for one in objects:
        if type(one) is DebugInfo and one.failResult is not None:
            failure, one.failResult = one.failResult, None
            yield failure
