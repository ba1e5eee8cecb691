"""`p2p get -o -`: all of it is fetched and verified first, so that nothing wrong goes out."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from p2ptwisted.cli.exit_status import ExitStatus, Problem
from p2ptwisted.cli.get import get_into
from p2ptwisted.cli.runner import run
from p2ptwisted.cli.session import Settings

#: Bytes written at a time.
BLOCK = 1024 * 1024


def get_to_standard_output(
    settings: Settings, wanted: tuple[str, ...], max_download: int | None
) -> ExitStatus:
    """One resource after the other; nothing where one of them can't be got."""
    try:
        temporary = TemporaryDirectory(prefix="p2p-get-")
    except OSError as error:
        raise Problem(
            f"no temporary folder can be made ({error.strerror}): set TMPDIR to where one can"
        ) from None
    with temporary as name:
        folder = Path(name)
        status = run(
            settings,
            lambda reactor, group: get_into(reactor, group, wanted, folder, max_download),
        )
        if status is ExitStatus.OK:
            # The reactor has ended: a reader that is slow, or Ctrl-C, harms nobody.
            for number in range(len(wanted)):
                with open(folder / str(number), "rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer, BLOCK)
            sys.stdout.buffer.flush()
    return status
