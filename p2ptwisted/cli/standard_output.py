"""`p2p get -o -`: everything is fetched and verified first, so that nothing wrong goes out."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.get import get_into
from p2ptwisted.cli.runner import run
from p2ptwisted.cli.session import Settings

#: Bytes written at a time.
BLOCK = 1024 * 1024


def get_to_standard_output(
    settings: Settings, wanted: tuple[str, ...], max_download: int | None
) -> ExitStatus:
    """Write one resource after the other; nothing where one of them can't be fetched."""
    try:
        temporary = TemporaryDirectory(prefix="p2p-get-")
    except OSError as error:
        raise CommandError(
            f"no temporary folder can be made ({error.strerror}): set TMPDIR to where one can"
        ) from None
    with temporary as name:
        folder = Path(name)
        status = run(
            settings,
            lambda reactor, session: get_into(reactor, session, wanted, folder, max_download),
        )
        if status is ExitStatus.OK:
            # The reactor has ended: a reader that is slow, or Ctrl-C, harms nobody.
            for number in range(len(wanted)):
                with open(folder / str(number), "rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer, BLOCK)
            sys.stdout.buffer.flush()
    return status
