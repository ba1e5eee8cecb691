"""
A node's downloads into its own library: started, queued, listed, cancelled.

What has come of a resource is shared at once; how one is fetched is in `transfer`.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from zope.interface import implementer

from p2ptwisted.client.api import Client
from p2ptwisted.errors import QueueFull, Unavailable, UnknownResource
from p2ptwisted.interfaces import IDownloads, ILibrary
from p2ptwisted.model import DownloadStatus, Holders, Order, ResourceInfo
from p2ptwisted.node.download_entry import DownloadEntry
from p2ptwisted.pieces import Digests
from p2ptwisted.support.lifecycle import STOP_GRACE, Wakeup
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.transfer.download import RUNNING_MAX, Download
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.safe_names import place
from p2ptwisted.transfer.shared_folder import Change
from p2ptwisted.transfer.write_errors import OutOfReach

#: Downloads remembered: waiting, running and ended ones.
DOWNLOADS_MAX = 1_000

#: Seconds that the library has to list a file that another program has fetched into the folder,
#: before that counts as done all the same: it was read once, so it is in memory, mostly.
LISTED_WITHIN = 60.0

_log = Logger()


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
        self._entries: dict[str, DownloadEntry] = {}
        self._running_next = False
        #: Fires when the library's list has changed.
        self._listing = Wakeup(clock)
        library.watch(self._listing.fire)
        #: The call that does what follows when the folder has changed.
        self._going_on: IDelayedCall | None = None
        library.folder.claim(self._has_beneath)
        library.folder.watch(self._folder_changed)

    # -- IDownloads

    def start(self, id: str, name: str | None = None) -> DownloadStatus:
        if not self.running:
            raise Unavailable("this node is stopping")
        entry = self._entries.get(id)
        if entry is None or not entry.is_open:
            if self._library.folder.look() is not None:
                raise Unavailable(self._library.folder.problem)
            if entry is None:
                self._forget_one()
            entry = self._entries[id] = DownloadEntry(id, name)
            entry.download = self._make(entry)
            if self._library.get(id) is not None:
                self._end(entry, "done")
            self._run_next()
        return self._status(entry)

    def start_all(self, orders: Sequence[Order]) -> list[DownloadStatus]:
        taken: list[DownloadStatus] = []
        for order in orders:
            try:
                taken.append(self.start(order.id, order.name))
            except QueueFull:
                break
        return taken

    def status(self, id: str) -> DownloadStatus:
        return self._status(self._entry(id))

    def all(self, ids: Sequence[str] | None = None) -> list[DownloadStatus]:
        if ids is None:
            return [self._status(entry) for entry in self._entries.values()]
        return [self._status(self._entries[id]) for id in ids if id in self._entries]

    def cancel(self, id: str) -> None:
        entry = self._entry(id)
        if entry.running is not None:
            entry.is_put_off = False
            entry.running.cancel()
        elif entry.state == "waiting":
            self._end(entry, "cancelled")

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
        if self._going_on is not None:
            self._going_on.cancel()
            self._going_on = None
        running = [entry.running for entry in self._entries.values() if entry.running is not None]
        timers = [self._clock.callLater(STOP_GRACE, download.cancel) for download in running]

        def ended(result: list[tuple[bool, None]]) -> list[tuple[bool, None]]:
            for timer in timers:
                if timer.active():
                    timer.cancel()
            return result

        return DeferredList(running).addCallback(ended)

    # -- running them

    def _make(self, entry: DownloadEntry) -> Download:
        id = entry.id

        def destination(name: str | None) -> Path:
            entry.name = entry.name or name
            return place(self._library.folder.path, entry.name, id)

        return Download(
            self._clock,
            self._client,
            self._cooperator,
            self._sync,
            id,
            lambda here: self._find(id, here),
            destination,
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
        if self._library.folder.gone is not None:
            return
        self._running_next = True
        running = self._count_running()
        for entry in list(self._entries.values()):
            if running >= RUNNING_MAX:
                break
            if entry.state == "waiting" and not entry.is_held:
                self._begin(entry)
                # One may have ended at once.
                running = self._count_running()
        self._running_next = False

    def _count_running(self) -> int:
        return sum(1 for entry in self._entries.values() if entry.state == "running")

    def _begin(self, entry: DownloadEntry) -> None:
        entry.state, entry.error = "running", None
        entry.running = Deferred.fromCoroutine(self._carry_out(entry))

    async def _carry_out(self, entry: DownloadEntry) -> None:
        assert entry.download is not None
        id, state = entry.id, "failed"
        entry.changes = self._library.folder.changes
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
            state = "waiting" if entry.is_put_off else "cancelled"
        except (Unavailable, UnknownResource) as error:
            # It may be the first to notice.
            self._library.folder.look()
            if self._was_changed(entry):
                state = "waiting"
            elif entry.is_interrupted and isinstance(error, OutOfReach):
                # What is ordered now is better refused; this had begun.
                state, entry.is_held, entry.error = "waiting", True, str(error)
            else:
                entry.error = str(error)
                _log.warn("Fetching {id} failed: {error}", id=id, error=error)
        except Exception:
            entry.error = "a bug in the daemon: its log has the details"
            _log.failure("Fetching {id} went wrong", id=id)
        finally:
            entry.running = None
            if state == "waiting":
                entry.begin_again(self._make(entry))
            else:
                self._end(entry, state)
            if self.running:
                self._changed()
                self._run_next()

    async def _until_listed(self, id: str) -> None:
        """Wait until a file that others have put into the folder is shared, or long enough."""
        # What is read isn't opened there: it may be what stands where the folder has been.
        self._library.folder.look()
        self._library.hint()
        until = self._clock.seconds() + LISTED_WITHIN
        while self._library.get(id) is None and (left := until - self._clock.seconds()) > 0:
            await self._listing.wait_aside(left)

    def _has_beneath(self, name: str) -> bool:
        """Whether a part is in the folder of that name in the shared one."""
        above = self._library.folder.path / name
        downloads = [entry.download for entry in self._entries.values() if entry.running]
        parts = [download.part for download in downloads if download is not None]
        return any(part is not None and above in part.destination.parents for part in parts)

    def _folder_changed(self, change: Change) -> None:
        if self.running and self._going_on is None:
            # Not now: it may be a download that has noticed, in the middle of its work.
            self._going_on = self._clock.callLater(0, self._go_on)

    def _was_changed(self, entry: DownloadEntry) -> bool:
        """Whether the folder has gone or changed since a download was begun."""
        return bool(entry.changes != self._library.folder.changes)

    def _go_on(self) -> None:
        """Put off what runs until the folder is back, or begin it again where it goes now."""
        self._going_on = None
        for entry in list(self._entries.values()):
            entry.is_held = False
            if entry.running is not None and self._was_changed(entry):
                entry.is_put_off = True
                entry.running.cancel()
        self._run_next()

    def _end(self, entry: DownloadEntry, state: str) -> None:
        entry.end(state, self._library, self._clock.seconds())

    def _entry(self, id: str) -> DownloadEntry:
        try:
            return self._entries[id]
        except KeyError:
            raise UnknownResource(f"{id} is not being fetched here, and has not been") from None

    def _forget_one(self) -> None:
        """Make room by forgetting the oldest ended download. Raises Unavailable."""
        if len(self._entries) < DOWNLOADS_MAX:
            return
        for id, entry in self._entries.items():
            if not entry.is_open:
                del self._entries[id]
                return
        raise QueueFull(f"{DOWNLOADS_MAX} fetches are waiting: try again when some are through")

    def _status(self, entry: DownloadEntry) -> DownloadStatus:
        return entry.status(self._library, self._clock.seconds())
