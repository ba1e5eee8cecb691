"""
`p2p get -o -`, or to a pipe or a terminal: what is a stream and no file. Everything is fetched
and verified first, so that nothing wrong goes out.
"""

import errno
import os
import select
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

from p2ptwisted.cli.end_signals import END_SIGNALS
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.get import get_into
from p2ptwisted.cli.runner import run
from p2ptwisted.cli.session import Settings

#: Bytes written at a time.
BLOCK = 1024 * 1024

#: Where the system shows the descriptors of this process, and links that are followed to there.
_DESCRIPTORS, _LINKS_MAX = "/proc/self/fd", 40

#: Without waiting for a reader, and without a terminal becoming our controlling terminal.
_FLAGS = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_stream(output: str) -> int | None:
    """
    A new descriptor of the stream that `-o` names; None where it names a file or a folder.

    Streams are `-`, descriptors such as /dev/stdout, pipes, terminals and other devices that
    take one character after the other. Raises CommandError where it can't be opened.
    """
    number = 1 if output == "-" else _descriptor(output)
    try:
        if number is not None:
            # Opened by its path, a file would be written from its beginning again.
            return os.dup(number)
        return _open(output) if _is_stream(os.stat(output)) else None
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(output).st_mode):
            raise CommandError(f"{output} has no reader: start one first") from None
        raise CommandError(f"{output} can't be written to: {error.strerror}") from None


def _is_stream(status: os.stat_result) -> bool:
    return stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)


def _open(path: str) -> int | None:
    stream = os.open(path, _FLAGS)
    if not _is_stream(os.fstat(stream)):
        os.close(stream)
        return None
    os.set_blocking(stream, True)
    return stream


def _descriptor(path: str) -> int | None:
    """The number of our descriptor that a path such as /dev/stdout leads to, or None."""
    descriptors = os.path.realpath(_DESCRIPTORS)
    for _ in range(_LINKS_MAX):
        folder, name = os.path.split(path)
        if os.path.realpath(folder) == descriptors:
            return int(name) if name.isdecimal() and os.path.lexists(path) else None
        if not os.path.islink(path):
            break
        path = os.path.join(folder, os.readlink(path))
    return None


# A signal waits until the folder is gone, but for what can block: to write.
@END_SIGNALS.held()
def get_to_stream(
    settings: Settings, wanted: tuple[str, ...], output: str, stream: int, max_download: int | None
) -> ExitStatus:
    """
    Write one resource after the other; nothing where one of them can't be fetched.

    `stream` is the descriptor of what `output` names.
    """
    try:
        temporary = TemporaryDirectory(prefix="p2p-get-")
    except OSError as error:
        raise CommandError(
            f"no temporary folder can be made ({error.strerror}): "
            "set TMPDIR to a folder in which one can"
        ) from None
    with temporary as name:
        folder = Path(name)
        status = run(
            settings,
            lambda reactor, session: get_into(reactor, session, wanted, folder, max_download),
        )
        if status is ExitStatus.OK:
            # The reactor has ended: a reader that is slow, or Ctrl-C, harms nobody.
            with END_SIGNALS.breaking():
                for number in range(len(wanted)):
                    with open(folder / str(number), "rb", buffering=0) as file:
                        while data := file.read(BLOCK):
                            _write(stream, output, data)
    return status


def _write(stream: int, output: str, data: bytes) -> None:
    """Write all of it. Raises CommandError; BrokenPipeError where the reader has gone."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(stream, left) :]
        except BlockingIOError:
            # Another program that has it too, has made it non-blocking.
            select.select([], [stream], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            shown = "standard output" if output == "-" else output
            raise CommandError(f"{shown} can't be written to: {error.strerror}") from None
