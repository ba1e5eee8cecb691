"""
Whether somebody has a file open for writing.

Neither times nor sizes tell that: a download can pause, and what is written through a memory map
leaves the times as they are. Linux grants a read lease only on a file that nobody has open for
writing, or mapped so; and to nobody but its owner and who has CAP_LEASE.
"""

import errno
import fcntl
import os
import signal

_SET_LEASE: int | None = getattr(fcntl, "F_SETLEASE", None)

#: File systems that grant a lease only if a server has delegated the file to this host: that it is
#: refused says nothing.
_REMOTE = frozenset(("nfs", "nfs4", "cifs", "smb3"))


def has_writers(file: int) -> bool | None:
    """
    Whether the file is open for writing, or mapped so, anywhere on this host.

    `file` is a descriptor that is open for reading only. Returns None where the system doesn't say.
    """
    if _SET_LEASE is None:
        return None
    try:
        # Who opens it for writing before the lease is returned, below, is kept waiting for that
        # moment, and we are sent this signal, which does nothing; by default it would end us.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, _SET_LEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN and not _is_remote(file) else None
    fcntl.fcntl(file, _SET_LEASE, fcntl.F_UNLCK)
    return False


def _is_remote(file: int) -> bool:
    """Whether an open file is on another host, as Linux tells; so too where it doesn't."""
    try:
        mount = _field_of(f"/proc/self/fdinfo/{file}", "mnt_id:")
        with open("/proc/self/mountinfo", "rb") as mounts:
            for line in mounts:
                before, _, after = os.fsdecode(line).partition(" - ")
                if before.split()[0] == mount:
                    return after.split()[0] in _REMOTE
    except OSError:
        pass
    return True


def _field_of(path: str, name: str) -> str | None:
    with open(path, encoding="ascii") as lines:
        return next((line.split()[1] for line in lines if line.startswith(name)), None)
