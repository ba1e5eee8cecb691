"""
A node's downloads into its own library: started, queued, listed, cancelled.

What has come of a resource is shared at once; how one is fetched is in `transfer`.
"""

from collections.abc import Awaitable, Callable

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from zope.interface import implementer

from p2ptwisted.client.api import Client
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IDownloads, ILibrary
from p2ptwisted.model import DownloadStatus, Holders, ResourceInfo
from p2ptwisted.pieces import Digests
from p2ptwisted.support.lifecycle import STOP_GRACE, Wakeup
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.transfer.download import RUNNING_MAX, Download
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.safe_names import place

#: Downloads remembered: waiting, running and ended ones.
DOWNLOADS_MAX = 1_000

#: Seconds that the library has to list a file that another program has fetched into the folder,
#: before that counts as done all the same: it was read once, so it is in memory, mostly.
LISTED_WITHIN = 60.0

_log = Logger()


class _Entry:
    """A download and its state; of one that has ended only its status, which takes less memory."""

    def __init__(self, download: Download) -> None:
        self.download: Download | None = download
        #: One of DownloadStatus's.
        self.state = "waiting"
        self.error: str | None = None
        #: The status that it has ended with.
        self.ended: DownloadStatus | None = None
        #: While it runs.
        self.running: Deferred[None] | None = None


@implementer(IDownloads)
class Downloads(Service):
    """An IDownloads into the folder of a library."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        cooperator: Cooperator,
        sync: Callable[[int], Deferred[None]],
        library: ILibrary,
        find: Callable[[str, bool], Awaitable[Holders]],
        throttle: RateLimit,
        changed: Callable[[], None],
    ) -> None:
        """
        `sync` is Download's. `find` looks up the holders of an id: all, or only those
        at the own supernode if it is called with True.

        `changed` is called when there is a part to share, or none any more.
        """
        self._clock = clock
        self._client = client
        self._cooperator = cooperator
        self._sync = sync
        self._library = library
        self._find = find
        self._throttle = throttle
        self._changed = changed
        self._entries: dict[str, _Entry] = {}
        self._running_next = False
        #: Fires when the library's list has changed.
        self._listing = Wakeup(clock)
        library.watch(self._listing.fire)

    # -- IDownloads

    def start(self, id: str, name: str | None = None) -> DownloadStatus:
        if not self.running:
            raise Unavailable("this node is stopping")
        entry = self._entries.get(id)
        if entry is None or entry.state not in ("waiting", "running"):
            if entry is None:
                self._forget_one()
            entry = self._entries[id] = _Entry(self._make(id, name))
            if self._library.get(id) is not None:
                self._end(id, entry, "done")
            self._run_next()
        return self._status(id, entry)

    def status(self, id: str) -> DownloadStatus:
        return self._status(id, self._entry(id))

    def all(self) -> list[DownloadStatus]:
        return [self._status(id, entry) for id, entry in self._entries.items()]

    def cancel(self, id: str) -> None:
        entry = self._entry(id)
        if entry.running is not None:
            entry.running.cancel()
        elif entry.state == "waiting":
            self._end(id, entry, "cancelled")

    def running_one(self, id: str) -> Download | None:
        """The running download of a resource, if there is one."""
        entry = self._entries.get(id)
        return None if entry is None or entry.state != "running" else entry.download

    def _part(self, id: str) -> PartFile | None:
        """The part of a running download, if a piece of it is here."""
        download = self.running_one(id)
        part = None if download is None else download.part
        return None if part is None or not part.have else part

    def resources(self) -> list[ResourceInfo]:
        """The resources of which only a part is here, as they are registered."""
        parts = ((id, self._part(id)) for id in self._entries)
        return [
            ResourceInfo(id, part.destination.name, part.pieces.size, partial=True)
            for id, part in parts
            if part is not None and self._library.get(id) is None
        ]

    # -- Service

    def stopService(self) -> Deferred[list[tuple[bool, None]]]:
        """Begin no more; those that run get STOP_GRACE to end, and what has come is kept."""
        super().stopService()
        running = [entry.running for entry in self._entries.values() if entry.running is not None]
        timers = [self._clock.callLater(STOP_GRACE, download.cancel) for download in running]

        def ended(result: list[tuple[bool, None]]) -> list[tuple[bool, None]]:
            for timer in timers:
                if timer.active():
                    timer.cancel()
            return result

        return DeferredList(running).addCallback(ended)

    # -- running them

    def _make(self, id: str, wanted: str | None) -> Download:
        return Download(
            self._clock,
            self._client,
            self._cooperator,
            self._sync,
            id,
            lambda here: self._find(id, here),
            lambda name: place(self._library.folder, wanted or name, id),
            throttle=lambda count: self._throttle.take(count, self._clock.seconds()),
            started=self._changed,
            waits=lambda: _log.info(
                "Fetching {id} waits for another program, which fetches it to the same place", id=id
            ),
            within=self._library.folder,
        )

    def _run_next(self) -> None:
        if self._running_next:
            return  # A download that we began has ended already; the loop goes on with the next.
        self._running_next = True
        for id, entry in list(self._entries.items()):
            if entry.state == "waiting" and self._count("running") < RUNNING_MAX:
                self._begin(id, entry)
        self._running_next = False

    def _count(self, state: str) -> int:
        return sum(1 for entry in self._entries.values() if entry.state == state)

    def _begin(self, id: str, entry: _Entry) -> None:
        entry.state = "running"
        entry.running = Deferred.fromCoroutine(self._carry_out(id, entry))

    async def _carry_out(self, id: str, entry: _Entry) -> None:
        assert entry.download is not None
        state = "failed"
        try:
            path = await entry.download.run()
            if entry.download.was_there:
                await self._until_listed(id)
                _log.info("{id} is here as {path}, by another program", id=id, path=str(path))
            else:
                part = entry.download.part
                assert part is not None and part.placed is not None
                digests = Digests(id, part.pieces.digests, part.running.prefixes)
                self._library.adopt(path, part.placed, digests)
                _log.info("Fetched {id} as {path}", id=id, path=str(path))
            state = "done"
        except CancelledError:
            state = "cancelled"
        except (Unavailable, UnknownResource) as error:
            entry.error = str(error)
            _log.warn("Fetching {id} failed: {error}", id=id, error=error)
        except Exception:
            entry.error = "a mistake of the daemon's own; its log has the details"
            _log.failure("Fetching {id} went wrong", id=id)
        finally:
            entry.running = None
            self._end(id, entry, state)
            if self.running:
                self._changed()
                self._run_next()

    async def _until_listed(self, id: str) -> None:
        """Wait until a file that others have put into the folder is shared, or long enough."""
        self._library.hint()
        until = self._clock.seconds() + LISTED_WITHIN
        while self._library.get(id) is None and (left := until - self._clock.seconds()) > 0:
            await self._listing.wait_aside(left)

    def _end(self, id: str, entry: _Entry, state: str) -> None:
        """Note how a download has ended, and keep no more of it."""
        entry.state = state
        entry.ended = self._status(id, entry)
        entry.download = None

    def _entry(self, id: str) -> _Entry:
        try:
            return self._entries[id]
        except KeyError:
            raise UnknownResource(f"{id} is not being fetched here, and was not") from None

    def _forget_one(self) -> None:
        """Make room by forgetting the oldest ended download. Raises Unavailable."""
        if len(self._entries) < DOWNLOADS_MAX:
            return
        for id, entry in self._entries.items():
            if entry.state not in ("waiting", "running"):
                del self._entries[id]
                return
        raise Unavailable(f"{DOWNLOADS_MAX} fetches are waiting: try again when some are through")

    def _shown(self, text: str) -> str:
        """A text as anybody may read it: paths as they are in the folder, without its own."""
        folder = str(self._library.folder)
        if folder == "/":
            return text
        return text.replace(f"{folder}/", "").replace(folder, "the shared folder")

    def _status(self, id: str, entry: _Entry) -> DownloadStatus:
        if entry.ended is not None:
            return entry.ended
        download = entry.download
        assert download is not None
        error = None if entry.error is None else self._shown(entry.error)
        troubles = {location: self._shown(why) for location, why in download.troubles.items()}
        if download.part is None or download.picker is None:
            resource = self._library.get(id)
            if entry.state == "done" and resource is not None:
                return DownloadStatus(id, "done", resource.name, resource.size, resource.size)
            return DownloadStatus(id, entry.state, error=error, troubles=troubles)
        size = download.part.pieces.size
        here = size - download.picker.bytes_missing
        rate = None
        if entry.state == "running":
            # What comes no more counts less and less.
            download.rate.add(0, self._clock.seconds())
            rate = download.rate.value()
        return DownloadStatus(
            id,
            entry.state,
            download.part.destination.name,
            size,
            here,
            rate,
            (size - here) / rate if rate else None,
            {neighbor.location: neighbor.received for neighbor in download.picker.neighbors},
            troubles,
            error,
        )
