"""
Runs a command's work in the reactor, and ends it well: whatever happens comes out as an exit
status and at most one line. The one module of `cli/` that takes the global reactor.
"""

import os
import signal
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import globalLogBeginner

from p2ptwisted.cli.end_signals import END_SIGNALS, Ended
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.output import print_json, print_message
from p2ptwisted.cli.session import ICommandReactor, Session, Settings
from p2ptwisted.client.api import make_client
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import InvalidInput, StartError, Unavailable, UnknownResource
from p2ptwisted.support.awake_clock import keep_awake_time

#: Environment variable: set to anything, a bug in the command is shown with its traceback.
DEBUG = "P2P_DEBUG"

_STATUSES: tuple[tuple[type[Exception], ExitStatus], ...] = (
    (InvalidInput, ExitStatus.USAGE),
    (StartError, ExitStatus.USAGE),
    (UnknownResource, ExitStatus.NOT_FOUND),
    (Unavailable, ExitStatus.FAILED),
    (Refused, ExitStatus.FAILED),
)

Work = Callable[[ICommandReactor, Session], Awaitable[ExitStatus]]


def status_of(error: BaseException) -> ExitStatus:
    """The exit status for an error, whose line is printed."""
    if isinstance(error, CommandError):
        print_message(str(error))
        return error.status
    if isinstance(error, BrokenPipeError):
        return ExitStatus.FAILED  # Whoever read our output has enough.
    if isinstance(error, OSError):
        print_message(f"{error.filename or 'the system'}: {error.strerror or error}")
        return ExitStatus.FAILED
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            print_message(str(error))
            return status
    if os.environ.get(DEBUG):
        with suppress(OSError):
            traceback.print_exception(error)
    print_message(f"a bug in p2p ({type(error).__name__}: {error}); set {DEBUG}=1 to see where")
    return ExitStatus.FAILED


def _failed(settings: Settings, error: Exception) -> ExitStatus:
    """The same, and an empty document for a program that reads one."""
    status = status_of(error)
    if settings.as_json:
        # Where it was this that couldn't be written, a line has said so.
        with suppress(CommandError, OSError):
            print_json([])
    return status


def run(settings: Settings, work: Work, interrupted: str = "interrupted") -> ExitStatus:
    """
    Do the work in the reactor, stop everything that it started, and return its exit status.

    A signal that ends programs cancels the work, and a second one leaves it no time to end. Then
    Ended is raised with the line `interrupted`.
    """
    from twisted.internet import reactor as the_reactor

    reactor = cast(ICommandReactor, the_reactor)
    awake = keep_awake_time(reactor)
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    status = ExitStatus.FAILED
    working: Deferred[None] | None = None

    async def carry_out() -> None:
        nonlocal status
        try:
            config = settings.config
            client = make_client(
                reactor, config.group_key, config.authority, awake=awake, from_loopback=True
            )
        except InvalidInput as error:
            status = _failed(settings, error)
            return
        try:
            status = await work(reactor, Session(reactor, client, settings))
        except CancelledError:
            # After a signal no message is printed: Ended is raised instead.
            status = status_of(CommandError("broken off"))
        except Exception as error:
            status = _failed(settings, error)
        finally:
            await client.close()

    def begin() -> None:
        nonlocal working
        # The reactor has put a handler of its own for SIGTERM in the place of ours by now.
        END_SIGNALS.install()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        if END_SIGNALS.status is not None:
            stop()
            return
        working = Deferred.fromCoroutine(carry_out())
        working.addBoth(lambda _: stop())

    def stop() -> None:
        with suppress(ReactorNotRunning):
            reactor.stop()

    def end() -> None:
        nonlocal working
        ending, working = working, None
        if ending is None:
            stop()
        else:
            ending.cancel()

    try:
        # The one way out of a signal handler; it is no other thread.
        with END_SIGNALS.told(lambda: reactor.callFromThread(end)):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            reactor.callWhenRunning(begin)
            reactor.run()
    except Ended:
        raise Ended(interrupted) from None
    return status
