"""
Runs a command's work in the reactor, and ends it well: whatever happens comes out as an exit
status and at most one line. The one module of `cli/` that takes the global reactor.
"""

import os
import signal
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react
from twisted.logger import globalLogBeginner

from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.output import print_message
from p2ptwisted.cli.session import ICommandReactor, Session, Settings
from p2ptwisted.client.api import make_client
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import InvalidInput, StartError, Unavailable, UnknownResource

#: Environment variable: set to anything, a bug in the command is shown with its traceback.
DEBUG = "P2P_DEBUG"

_ENDS = {signal.SIGINT: ExitStatus.INTERRUPTED, signal.SIGTERM: ExitStatus.TERMINATED}

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
    print_message(
        f"a mistake of p2p's own ({type(error).__name__}: {error}); set {DEBUG}=1 to see where"
    )
    return ExitStatus.FAILED


def run(settings: Settings, work: Work, interrupted: str = "interrupted") -> ExitStatus:
    """
    Do the work in the reactor, stop everything that it started, and return its exit status.

    `interrupted` is the line for Ctrl-C, which cancels the work.
    """
    from twisted.internet import reactor as the_reactor

    reactor = cast(ICommandReactor, the_reactor)
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    # What is left where the work is given no time to end: Ctrl-C, twice.
    status = ExitStatus.INTERRUPTED
    signalled: list[int] = []

    async def carry_out() -> ExitStatus:
        try:
            config = settings.config
            client = make_client(reactor, config.group_key, config.authority)
        except InvalidInput as error:
            return status_of(error)
        try:
            return await work(reactor, Session(reactor, client, settings))
        except CancelledError as error:
            return status_of(CommandError("broken off")) if not signalled else _ended(error)
        except Exception as error:
            return _ended(error) if signalled else status_of(error)
        finally:
            await client.close()

    def _ended(error: BaseException) -> ExitStatus:
        print_message(interrupted)
        return _ENDS[signal.Signals(signalled[0])]

    def main(_: IReactorCore) -> Deferred[None]:
        working = Deferred.fromCoroutine(carry_out())

        def on_signal(number: int, frame: FrameType | None) -> None:
            signalled.append(number)
            end: Callable[[], Any] = working.cancel if len(signalled) == 1 else reactor.stop
            # The one way out of a signal handler; it is no other thread.
            reactor.callFromThread(end)

        for number in _ENDS:
            signal.signal(number, on_signal)

        def done(result: ExitStatus) -> None:
            nonlocal status
            status = result

        return working.addCallback(done)

    before = {number: signal.getsignal(number) for number in _ENDS}
    try:
        react(main, (), reactor)
    except SystemExit:
        pass  # It always does; `status` knows more.
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status
