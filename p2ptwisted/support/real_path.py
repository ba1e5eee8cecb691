"""Where a path really leads, by the same rule with every version of Python."""

import errno
import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """
    The absolute path without links; what isn't there at its end is kept as it is.

    Raises OSError where links lead round in a circle. (`Path.resolve` raises RuntimeError for it
    up to Python 3.12, and since 3.13 returns a path that leads into the circle.)
    """
    real = Path(os.path.realpath(path))
    # A link is left where it leads to itself, and nowhere else.
    if any(map(os.path.islink, (real, *real.parents))):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
    return real
