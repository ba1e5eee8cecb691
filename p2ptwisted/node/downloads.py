"""The fetches of a node into its own library: started, watched, shared on, cancelled."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from zope.interface import implementer

from p2ptwisted.client.api import Client
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IDownloads, IFileDigest
from p2ptwisted.model import FetchStatus, Holders, ResourceInfo
from p2ptwisted.node.library import Library
from p2ptwisted.pieces import Digests
from p2ptwisted.support.lifecycle import STOP_GRACE
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.transfer.download import Download
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.safe_names import place

#: Fetches that run at once; more would only share the same link.
RUNNING_MAX = 4

#: Fetches remembered: waiting, running and ended ones.
FETCHES_MAX = 1_000

_log = Logger()


class _Entry:
    """A fetch and what has become of it."""

    def __init__(self, fetch: Download) -> None:
        self.fetch = fetch
        self.state = "waiting"
        self.error: str | None = None
        self.running: Deferred[None] | None = None


@implementer(IDownloads)
class Downloads(Service):
    """An IFetches into the folder of a library."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        cooperator: Cooperator,
        whole: Callable[[Path, os.stat_result, int], IFileDigest],
        library: Library,
        find: Callable[[str, bool], Awaitable[Holders]],
        throttle: RateLimit,
        changed: Callable[[], None],
    ) -> None:
        """`whole` is Fetch's. `changed`: there is a part to share, or none any more."""
        self._clock = clock
        self._client = client
        self._cooperator = cooperator
        self._whole = whole
        self._library = library
        self._find = find
        self._throttle = throttle
        self._changed = changed
        self._entries: dict[str, _Entry] = {}
        self._choosing = False

    # -- IFetches

    def start(self, id: str) -> FetchStatus:
        if not self.running:
            raise Unavailable("this node is stopping")
        entry = self._entries.get(id)
        if entry is None or entry.state not in ("waiting", "running"):
            if entry is None:
                self._forget_one()
            entry = self._entries[id] = _Entry(self._fetch(id))
            if self._library.get(id) is not None:
                entry.state = "done"
            self._run_next()
        return self._status(id, entry)

    def status(self, id: str) -> FetchStatus:
        return self._status(id, self._entry(id))

    def all(self) -> list[FetchStatus]:
        return [self._status(id, entry) for id, entry in self._entries.items()]

    def cancel(self, id: str) -> None:
        entry = self._entry(id)
        if entry.running is not None:
            entry.running.cancel()
        elif entry.state == "waiting":
            entry.state = "cancelled"

    def part(self, id: str) -> PartFile | None:
        entry = self._entries.get(id)
        if entry is None or entry.state != "running" or entry.fetch.part is None:
            return None
        return entry.fetch.part if entry.fetch.part.have else None

    def resources(self) -> list[ResourceInfo]:
        parts = ((id, self.part(id)) for id in self._entries)
        return [
            ResourceInfo(id, part.destination.name, part.pieces.size, partial=True)
            for id, part in parts
            if part is not None and self._library.get(id) is None
        ]

    # -- Service

    def stopService(self) -> Deferred[list[tuple[bool, None]]]:
        """Begin none; those that run get STOP_GRACE to end, and what has come by then is kept."""
        super().stopService()
        running = [entry.running for entry in self._entries.values() if entry.running is not None]
        timers = [self._clock.callLater(STOP_GRACE, one.cancel) for one in running]

        def ended(result: list[tuple[bool, None]]) -> list[tuple[bool, None]]:
            for timer in timers:
                if timer.active():
                    timer.cancel()
            return result

        return DeferredList(running).addCallback(ended)

    # -- running them

    def _fetch(self, id: str) -> Download:
        return Download(
            self._clock,
            self._client,
            self._cooperator,
            self._whole,
            id,
            lambda here: self._find(id, here),
            lambda name: place(self._library.folder, name, id),
            throttle=lambda count: self._throttle.take(count, self._clock.seconds()),
            started=self._changed,
            within=self._library.folder,
        )

    def _run_next(self) -> None:
        if self._choosing:
            return  # One that we began is through already; we go on ourselves.
        self._choosing = True
        for id, entry in list(self._entries.items()):
            if entry.state == "waiting" and self._count("running") < RUNNING_MAX:
                self._run(id, entry)
        self._choosing = False

    def _count(self, state: str) -> int:
        return sum(1 for entry in self._entries.values() if entry.state == state)

    def _run(self, id: str, entry: _Entry) -> None:
        entry.state = "running"
        entry.running = Deferred.fromCoroutine(self._carry_out(id, entry))

    async def _carry_out(self, id: str, entry: _Entry) -> None:
        try:
            path = await entry.fetch.run()
            part = entry.fetch.part
            assert part is not None and part.placed is not None
            self._library.adopt(path, part.placed, Digests(id, part.pieces.digests))
            entry.state = "done"
            _log.info("Fetched {id} as {path}", id=id, path=str(path))
        except CancelledError:
            entry.state = "cancelled"
        except (Unavailable, UnknownResource) as error:
            entry.state, entry.error = "failed", str(error)
            _log.warn("Fetching {id} failed: {error}", id=id, error=error)
        except Exception:
            entry.state = "failed"
            entry.error = "a mistake of the daemon's own; its log has the details"
            _log.failure("Fetching {id} went wrong", id=id)
        finally:
            entry.running = None
            if self.running:
                self._changed()
                self._run_next()

    def _entry(self, id: str) -> _Entry:
        try:
            return self._entries[id]
        except KeyError:
            raise UnknownResource(f"{id} is not being fetched here, and was not") from None

    def _forget_one(self) -> None:
        """Make room by forgetting the ended fetch that is the oldest."""
        if len(self._entries) < FETCHES_MAX:
            return
        for id, entry in self._entries.items():
            if entry.state not in ("waiting", "running"):
                del self._entries[id]
                return
        raise Unavailable(f"{FETCHES_MAX} fetches are waiting: try again when some are through")

    def _shown(self, text: str) -> str:
        """A text as anybody may read it: where in the folder, and not where that is."""
        folder = str(self._library.folder)
        if folder == "/":
            return text
        return text.replace(f"{folder}/", "").replace(folder, "the shared folder")

    def _status(self, id: str, entry: _Entry) -> FetchStatus:
        fetch = entry.fetch
        error = None if entry.error is None else self._shown(entry.error)
        troubles = {at: self._shown(why) for at, why in fetch.troubles.items()}
        if fetch.part is None or fetch.plan is None:
            resource = self._library.get(id)
            if entry.state == "done" and resource is not None:
                return FetchStatus(id, "done", resource.name, resource.size, resource.size)
            return FetchStatus(id, entry.state, error=error, troubles=troubles)
        size = fetch.part.pieces.size
        here = size - fetch.plan.bytes_missing
        rate = None
        if entry.state == "running":
            # What comes no more counts less and less.
            fetch.rate.add(0, self._clock.seconds())
            rate = fetch.rate.value()
        return FetchStatus(
            id,
            entry.state,
            fetch.part.destination.name,
            size,
            here,
            rate,
            (size - here) / rate if rate else None,
            {one.location: one.received for one in fetch.plan.sources},
            troubles,
            error,
        )
