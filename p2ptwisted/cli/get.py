"""`p2p get`: fetches resources to this machine, each with a Fetch of its own."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from twisted.internet.defer import CancelledError, DeferredSemaphore
from twisted.internet.task import Cooperator

from p2ptwisted.cli.exit_status import ExitStatus, Problem, worst
from p2ptwisted.cli.matches import Match
from p2ptwisted.cli.output import say, say_json, size_of, tell
from p2ptwisted.cli.progress import Bars, Row
from p2ptwisted.cli.runner import status_of
from p2ptwisted.cli.session import Session, unique
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.node.downloads import RUNNING_MAX
from p2ptwisted.node.service import INodeReactor
from p2ptwisted.support.lifecycle import all_of, make_cooperator
from p2ptwisted.support.safe_open import open_regular
from p2ptwisted.support.throttle import RateLimit
from p2ptwisted.transfer.download import Download
from p2ptwisted.transfer.file_digest import follower
from p2ptwisted.transfer.part_file import SLICE
from p2ptwisted.transfer.safe_names import flat_name


class GetResult(Struct):
    """What has become of one resource: `state` is done, present or failed."""

    id: str
    name: str | None
    path: str
    size: int | None
    state: str
    seconds: float = 0.0
    #: Bytes from each holder, and why one gave nothing.
    holders: dict[str, int] = {}
    troubles: dict[str, str] = {}
    error: str | None = None


class GetJob:
    """One resource on its way to one file."""

    def __init__(self, match: Match, path: Path) -> None:
        self.match = match
        self.path = path
        self.status = ExitStatus.OK
        self.got = GetResult(match.id, match.name, str(path), match.size, "failed")
        self.fetch: Download | None = None
        self._reactor: INodeReactor | None = None

    def row(self) -> Row:
        """How far it is."""
        fetch, got = self.fetch, self.got
        if got.state == "present":
            return Row(got.size, got.size, note="here already")
        if fetch is None or fetch.part is None or fetch.plan is None or self._reactor is None:
            return Row(0, got.size, note=got.error or "waiting")
        size = fetch.part.pieces.size
        here = size - fetch.plan.bytes_missing
        if got.state == "done" or got.error:
            return Row(here, size, note=got.error or "done")
        fetch.rate.add(0, self._reactor.seconds())
        rate = fetch.rate.value()
        count = sum(1 for source in fetch.plan.sources if not source.distrusted)
        note = f"{count} holder{'' if count == 1 else 's'}"
        return Row(here, size, rate, (size - here) / rate if rate else None, note)

    async def run(
        self,
        reactor: INodeReactor,
        group: Session,
        cooperator: Cooperator,
        force: bool,
        throttle: RateLimit,
    ) -> None:
        """Fetch it, unless it is there; what goes wrong is told and kept in `status`."""
        began = reactor.seconds()
        self._reactor = reactor
        try:
            if await self._is_here(cooperator, force):
                self.got.state = "present"
            else:
                self.fetch = Download(
                    reactor,
                    group.client,
                    cooperator,
                    follower(reactor),
                    self.match.id,
                    lambda here: group.holders(self.match.id, here),
                    lambda name: self.path,
                    overwrite=force,
                    throttle=lambda count: throttle.take(count, reactor.seconds()),
                )
                await self.fetch.run()
                assert self.fetch.part is not None
                self.got.size = self.fetch.part.pieces.size
                self.got.state = "done"
        except CancelledError:
            raise
        except (Problem, Unavailable, UnknownResource, OSError) as error:
            self.got.error = str(error)
            self.status = status_of(error)
        finally:
            self.got.seconds = round(reactor.seconds() - began, 3)
            if self.fetch is not None:
                self.got.troubles = self.fetch.troubles
                if self.fetch.plan is not None:
                    self.got.holders = {
                        one.location: one.received for one in self.fetch.plan.sources
                    }

    async def _is_here(self, cooperator: Cooperator, force: bool) -> bool:
        """Whether the file is there with just this content. Raises Problem where it is another."""
        if not os.path.lexists(self.path):
            return False
        # What can't be opened, or is a pipe, say, is another file in any case.
        with suppress(OSError), opened(self.path) as file:
            # Whatever its size: that of the match is but somebody's word.
            digest = hashlib.sha256()
            await cooperator.coiterate(hashing(file, digest))
            if digest.hexdigest() == self.match.id:
                self.got.size = os.fstat(file.fileno()).st_size
                return True
        if self.path.is_dir():
            raise Problem(f"{self.path} is a folder: name a file in it with -o")
        if not force:
            raise Problem(
                f"{self.path} exists and is another file: replace it with --force, "
                "or name another one with -o"
            )
        return False


def opened(path: Path) -> BinaryIO:
    """A regular file that the user has named, be it by a link. Raises OSError."""
    return open(open_regular(path), "rb", buffering=0)


def hashing(file: BinaryIO, digest: "hashlib._Hash") -> Iterator[None]:
    """Hash a file in slices."""
    while data := file.read(SLICE):
        digest.update(data)
        yield


def places(matches: list[Match], output: str | None) -> list[Path]:
    """Where each of these goes. Raises Problem where two would go to one place."""
    target = Path(output or ".")
    into_folder = output is None or target.is_dir() or output.endswith("/")
    if len(matches) > 1 and not into_folder:
        raise Problem(
            f"-o {output}: several resources need a folder, and that is none", ExitStatus.USAGE
        )
    if not into_folder:
        return [target]
    paths = [target / flat_name(one.name, one.id) for one in matches]
    if len(set(paths)) < len(paths):
        raise Problem("two of these have the same name: get them one after the other, with -o")
    return paths


async def get(
    reactor: INodeReactor,
    group: Session,
    wanted: tuple[str, ...],
    output: str | None,
    force: bool,
    max_download: int | None,
) -> ExitStatus:
    """Fetch these; the paths are the result."""
    matches = unique([await group.one(what) for what in wanted])
    paths = places(matches, output)
    jobs = [GetJob(match, path) for match, path in zip(matches, paths, strict=True)]
    await carry_out(reactor, group, jobs, force, max_download)
    report(group, jobs)
    return worst([job.status for job in jobs])


async def get_into(
    reactor: INodeReactor,
    group: Session,
    wanted: tuple[str, ...],
    folder: Path,
    max_download: int | None,
) -> ExitStatus:
    """Fetch these to files named 0, 1, 2 ... for standard output."""
    matches = [await group.one(what) for what in wanted]
    jobs = [GetJob(match, folder / str(number)) for number, match in enumerate(matches)]
    await carry_out(reactor, group, jobs, False, max_download)
    return worst([job.status for job in jobs])


async def carry_out(
    reactor: INodeReactor, group: Session, jobs: list[GetJob], force: bool, max_download: int | None
) -> None:
    """Some at once, under one bound on bytes a second."""
    cooperator = make_cooperator(reactor)
    throttle = RateLimit(max_download)
    at_once = DeferredSemaphore(RUNNING_MAX)
    try:
        with Bars(reactor) as bars:
            running = []
            for job in jobs:
                bars.add(job.match.name or job.path.name, job.row)
                running.append(at_once.run(job.run, reactor, group, cooperator, force, throttle))
            await all_of(running)
    finally:
        cooperator.stop()


def report(group: Session, jobs: list[GetJob]) -> None:
    """The result on standard output; how it went, for a person, on standard error."""
    if group.settings.as_json:
        say_json([job.got for job in jobs])
        return
    for got in (job.got for job in jobs if job.got.error is None):
        if got.state == "present":
            tell(f"{got.path} is here already")
        else:
            gave = sum(1 for count in got.holders.values() if count)
            tell(
                f"{got.path}: {size_of(got.size)} in {got.seconds:.1f} s "
                f"from {gave} holder{'' if gave == 1 else 's'}, verified"
            )
        say(got.path)
