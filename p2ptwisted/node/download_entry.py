"""One of a node's downloads: what was ordered, its state, and what others are told of it."""

from pathlib import Path

from twisted.internet.defer import Deferred

from p2ptwisted.interfaces import ILibrary
from p2ptwisted.model import DownloadStatus
from p2ptwisted.transfer.download import Download


class DownloadEntry:
    """A download and its state; of one that has ended only its status, which takes less memory."""

    def __init__(self, id: str, name: str | None) -> None:
        """`name` is what to call the resource, where that was ordered."""
        self.id = id
        #: So it is called, or what it was called when it was first begun: later this very node's
        #: part may give it another name.
        self.name = name
        self.download: Download | None = None
        #: One of DownloadStatus's.
        self.state = "waiting"
        self.error: str | None = None
        #: The status that it has ended with.
        self.ended: DownloadStatus | None = None
        #: While it runs.
        self.running: Deferred[None] | None = None
        #: How often the folder had changed when it was begun, and whether it was stopped because
        #: that has happened again.
        self.changes = 0
        self.is_put_off = False
        #: Whether that has ever happened, and whether it waits for what was mounted where it goes.
        self.is_interrupted = self.is_held = False

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "running")

    def begin_again(self, download: Download) -> None:
        """Wait to be begun again, as another download of the same."""
        self.state, self.download = "waiting", download
        self.is_put_off, self.is_interrupted = False, True

    def end(self, state: str, library: ILibrary, now: float) -> None:
        """Note how it has ended, and keep no more of it."""
        self.state = state
        self.ended = self.status(library, now)
        self.download = None

    def status(self, library: ILibrary, now: float) -> DownloadStatus:
        """Return what others are told of it."""
        if self.ended is not None:
            return self.ended
        download, folder = self.download, library.folder
        assert download is not None
        error = None if self.error is None else _shown(self.error, folder.path)
        if self.state == "waiting" and folder.gone is not None:
            error = folder.problem
        troubles = {
            location: _shown(why, folder.path) for location, why in download.troubles.items()
        }
        if download.part is None or download.picker is None:
            resource = library.get(self.id)
            if self.state == "done" and resource is not None:
                return DownloadStatus(self.id, "done", resource.name, resource.size, resource.size)
            return DownloadStatus(self.id, self.state, error=error, troubles=troubles)
        size = download.part.pieces.size
        here = size - download.picker.bytes_missing
        rate = None
        if self.state == "running":
            # What comes no more counts less and less.
            download.rate.add(0, now)
            rate = download.rate.value()
        return DownloadStatus(
            self.id,
            self.state,
            download.part.destination.name,
            size,
            here,
            rate,
            (size - here) / rate if rate else None,
            {neighbor.location: neighbor.received for neighbor in download.picker.neighbors},
            troubles,
            error,
        )


def _shown(text: str, folder: Path) -> str:
    """A text as anybody may read it: paths as they are in the folder, without its own."""
    if str(folder) == "/":
        return text
    return text.replace(f"{folder}/", "").replace(str(folder), "the shared folder")
