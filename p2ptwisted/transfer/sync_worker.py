"""What the child of `file_sync` runs. It knows nothing of Twisted, so that it starts fast."""

import errno
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Sync the file that is the standard input; the exit status is an `errno`. No `arguments`."""
    try:
        # The very file, whatever is at its path by now. An error is told once only to all who
        # have it open by this descriptor, and so not to its owner again.
        os.fsync(sys.stdin.fileno())
    except OSError as error:
        sys.exit(error.errno or errno.EIO)
