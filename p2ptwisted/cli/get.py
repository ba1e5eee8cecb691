"""`p2p get`: fetches resources to this machine, each with a Download of its own."""

import hashlib
import os
from pathlib import Path

from msgspec import Struct
from twisted.internet.defer import CancelledError, DeferredSemaphore
from twisted.internet.task import Cooperator

from p2ptwisted.cli.exit_status import CommandError, ExitStatus, first_failure
from p2ptwisted.cli.file_copy import copy_file
from p2ptwisted.cli.matches import FoundResource
from p2ptwisted.cli.output import print_json, print_lines, print_message, size_of
from p2ptwisted.cli.progress import FILES, ProgressBars, Row
from p2ptwisted.cli.runner import status_of
from p2ptwisted.cli.session import ICommandReactor, Session
from p2ptwisted.cli.transfer_tally import DONE, FAILED, PRESENT, RUNNING, WAITING
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.support.lifecycle import all_of, make_cooperator
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.support.wording import counted
from p2ptwisted.transfer.destination import is_file_of, open_named_file
from p2ptwisted.transfer.download import RUNNING_MAX, Download
from p2ptwisted.transfer.file_sync import file_sync
from p2ptwisted.transfer.safe_names import flat_name
from p2ptwisted.transfer.target_folder import TargetFolder, is_replaceable
from p2ptwisted.transfer.write_errors import write_error


class GetResult(Struct):
    """The result for one file: `state` is done, present or failed."""

    id: str
    name: str | None
    path: str
    size: int | None
    state: str
    seconds: float = 0.0
    #: Bytes received from each holder, and why a holder gave nothing.
    holders: dict[str, int] = {}
    troubles: dict[str, str] = {}
    error: str | None = None


class GetJob:
    """One resource on its way to one file."""

    def __init__(self, match: FoundResource, path: Path) -> None:
        self.match = match
        self.path = path
        self.status = ExitStatus.OK
        self.result = GetResult(match.id, match.name, str(path), match.size, FAILED)
        self.download: Download | None = None
        #: The job that fetches the same resource to another file, if there is one.
        self.source: GetJob | None = None
        self._reactor: ICommandReactor | None = None
        self._has_ended = False

    def row(self) -> Row:
        """The progress, for its bar."""
        download, result = self.download, self.result
        if self._has_ended:
            state = FAILED if result.error else result.state
            return Row(result.size, result.size, state=state, closing=self._closing())
        if (
            download is None
            or download.part is None
            or download.picker is None
            or self._reactor is None
        ):
            is_waiting = download is not None and download.is_waiting
            note = "another program fetches it" if is_waiting else WAITING
            return Row(0, result.size, note=note, state=WAITING)
        size = download.part.pieces.size
        here = size - download.picker.bytes_missing
        download.rate.add(0, self._reactor.seconds())
        rate = download.rate.value()
        count = sum(1 for one in download.picker.current if not one.distrusted and not one.failures)
        left = (size - here) / rate if rate else None
        return Row(here, size, rate, left, counted(count, "holder"), RUNNING)

    def _closing(self) -> str:
        """A line that says how it went; its error has been printed."""
        result = self.result
        if result.error is not None:
            return ""
        if result.state == PRESENT:
            return f"{result.path} is here already"
        if self.source is not None:
            return f"{result.path}: has the same content as {self.source.path}, copied"
        gave = sum(1 for count in result.holders.values() if count)
        return (
            f"{result.path}: {size_of(result.size)} in {result.seconds:.1f} s "
            f"from {counted(gave, 'holder')}, verified"
        )

    async def run(
        self,
        reactor: ICommandReactor,
        session: Session,
        cooperator: Cooperator,
        force: bool,
        throttle: RateLimit,
    ) -> None:
        """Fetch it unless it is here; an error is printed and kept in `result` and `status`."""
        began = reactor.seconds()
        self._reactor = reactor
        try:
            if await self._is_here(cooperator, force):
                self._is_present()
            elif self.source is not None:
                await self._copy(cooperator, self.source, force)
                self.result.state = DONE
            else:
                self.download = Download(
                    reactor,
                    session.client,
                    cooperator,
                    file_sync(reactor),
                    self.match.id,
                    lambda here: session.holders(self.match.id, here),
                    lambda name: self.path,
                    overwrite=force,
                    throttle=lambda count: throttle.take(count, reactor.seconds()),
                    waits=self._waits,
                )
                await self.download.run()
                if self.download.was_there:
                    self._is_present()
                else:
                    assert self.download.part is not None
                    self.result.size = self.download.part.pieces.size
                    self.result.state = DONE
        except CancelledError:
            raise
        except (CommandError, Unavailable, UnknownResource, OSError) as error:
            self.result.error = str(error)
            self.status = status_of(error)
        finally:
            self.result.seconds = round(reactor.seconds() - began, 3)
            if self.download is not None:
                self.result.troubles = self.download.troubles
                if self.download.picker is not None:
                    self.result.holders = {
                        one.location: one.received for one in self.download.picker.neighbors
                    }
            self._has_ended = True

    def _is_present(self) -> None:
        self.result.state = PRESENT
        self.result.size = self.path.stat().st_size

    def _waits(self) -> None:
        print_message(f"{self.path} is being fetched by another program: waiting for it")

    async def _copy(self, cooperator: Cooperator, source: "GetJob", force: bool) -> None:
        """Copy what another job has fetched. Raises CommandError and Unavailable."""
        if source.status is not ExitStatus.OK:
            raise CommandError(
                f"{source.path} was not fetched, which has the same content", source.status
            )
        size = source.result.size or 0
        try:
            with open_named_file(source.path) as file:
                target = TargetFolder(self.path.parent)
                try:
                    is_copied = await copy_file(
                        cooperator,
                        file,
                        target,
                        self.path.name,
                        hashlib.sha256(),
                        force,
                        self.match.id,
                    )
                finally:
                    target.close()
                self.result.size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise write_error(error, self.path, size) from error
        if not is_copied:
            raise CommandError(f"{self.path} or {source.path} was changed meanwhile: try again")

    async def _is_here(self, cooperator: Cooperator, force: bool) -> bool:
        """Whether the file is here with this content. Raises CommandError where it has another."""
        if not os.path.lexists(self.path):
            return False
        # Whatever its size: the size in the match is what some stranger has registered.
        if await is_file_of(self.path, self.match.id, cooperator):
            return True
        if self.path.is_dir():
            raise CommandError(f"{self.path} is a folder: name a file in it with -o")
        if not is_replaceable(self.path):
            raise CommandError(
                f"{self.path} is not a regular file, and left as it is: name another file with -o"
            )
        if not force:
            raise CommandError(
                f"{self.path} exists and is another file: replace it with --force, "
                "or name another one with -o"
            )
        return False


def target_paths(
    matches: list[FoundResource], output: str | None, more: bool = False
) -> list[Path]:
    """
    The path for each of these. Raises CommandError where two would have the same.

    `more`: others were asked for, too, which are not there.
    """
    target = Path(output or ".")
    into_folder = output is None or target.is_dir() or output.endswith("/")
    if not into_folder and (len(matches) > 1 or (matches and more)):
        raise CommandError(
            f"-o {output}: several files need a folder, and that is not one", ExitStatus.USAGE
        )
    if not into_folder:
        return [target][: len(matches)]
    paths = [target / flat_name(one.name, one.id) for one in matches]
    if len(set(paths)) < len(paths):
        raise CommandError("two of these have the same name: get them one after the other, with -o")
    return paths


async def get(
    reactor: ICommandReactor,
    session: Session,
    wanted: tuple[str, ...],
    output: str | None,
    force: bool,
    max_download: int | None,
) -> ExitStatus:
    """Fetch those that are found and print their paths."""
    found, missing = await session.find_each(wanted)
    # Of one resource, names in several folders are one file here.
    matches = list({(one.id, flat_name(one.name, one.id)): one for one in found}.values())
    paths = target_paths(matches, output, more=missing is not ExitStatus.OK)
    jobs = [GetJob(match, path) for match, path in zip(matches, paths, strict=True)]
    has_lines = not session.settings.as_json
    bars = await run_jobs(reactor, session, jobs, force, max_download, has_lines)
    report(session, jobs)
    bars.sum_up(FILES)
    return first_failure([missing, *(job.status for job in jobs)])


async def get_into(
    reactor: ICommandReactor,
    session: Session,
    wanted: tuple[str, ...],
    folder: Path,
    max_download: int | None,
) -> ExitStatus:
    """Fetch these to files named 0, 1, 2 ... for standard output."""
    matches = []
    for outcome in await session.look_up(wanted, session.find_one):
        if not isinstance(outcome, FoundResource):
            raise outcome
        matches.append(outcome)
    jobs = [GetJob(match, folder / str(number)) for number, match in enumerate(matches)]
    await run_jobs(reactor, session, jobs, False, max_download)
    return first_failure([job.status for job in jobs])


async def run_jobs(
    reactor: ICommandReactor,
    session: Session,
    jobs: list[GetJob],
    force: bool,
    max_download: int | None,
    has_lines: bool = False,
) -> ProgressBars:
    """
    Run these, some at once, under one bound on bytes a second, and return what showed them.

    With `has_lines` each leaves one.

    What is to come to several files is fetched to the first, and then copied.
    """
    first: dict[str, GetJob] = {}
    for job in jobs:
        source = first.setdefault(job.match.id, job)
        job.source = None if source is job else source
    cooperator = make_cooperator(reactor)
    throttle = RateLimit(max_download)
    at_once = DeferredSemaphore(RUNNING_MAX)
    try:
        with ProgressBars(reactor, session.settings.progress, has_lines) as bars:
            for job in jobs:
                bars.add(job.match.name or job.path.name, job.row)
            for round in (first.values(), [job for job in jobs if job.source is not None]):
                await all_of(
                    [
                        at_once.run(job.run, reactor, session, cooperator, force, throttle)
                        for job in round
                    ]
                )
    finally:
        cooperator.stop()
    return bars


def report(session: Session, jobs: list[GetJob]) -> None:
    """Print the result to standard output."""
    if session.settings.as_json:
        print_json([job.result for job in jobs])
        return
    print_lines(*(job.result.path for job in jobs if job.result.error is None))
