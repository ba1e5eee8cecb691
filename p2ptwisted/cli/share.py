"""`p2p share`: puts files into the folder of this machine's node."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import UNSET, Struct
from twisted.internet.task import Cooperator, deferLater

from p2ptwisted.cli.diagnosis import Role
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.file_copy import copy_file
from p2ptwisted.cli.node_names import named_node
from p2ptwisted.cli.output import print_json, print_lines, print_message
from p2ptwisted.cli.progress import FILES, ProgressBars
from p2ptwisted.cli.session import ICommandReactor, Session
from p2ptwisted.cli.share_progress import ShareProgress
from p2ptwisted.cli.source_file import SourceFile
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import OlderProgram, Unavailable
from p2ptwisted.node.folder_walk import walk, why_not_shared
from p2ptwisted.support.address_policy import is_own
from p2ptwisted.support.file_names import normal_form
from p2ptwisted.support.lifecycle import make_cooperator
from p2ptwisted.support.locations import parse_location
from p2ptwisted.support.real_path import real_path
from p2ptwisted.support.wording import counted_are
from p2ptwisted.transfer.destination import hash_slices
from p2ptwisted.transfer.shared_folder import SharedFolder
from p2ptwisted.transfer.target_folder import TargetFolder

#: Seconds between two looks whether the files are listed, and how many that may take: these,
#: and one more for every HASH_RATE bytes, which the node has to hash.
POLL_INTERVAL, LISTED_TIMEOUT, HASH_RATE = 0.25, 60.0, 100_000_000

#: Seconds after which a file counts as listed that is so by its content, but not by its name: older
#: nodes and supernodes know one name of each content, and others a bounded number.
NAME_TIMEOUT = 5.0

#: Links that lead out of a folder and are named in messages; the rest are only counted.
LINKS_NAMED_MAX = 10


class SharedFile(Struct):
    """A file that is shared now; `path` is where it is in the node's folder."""

    id: str
    name: str
    path: str
    size: int


async def share(
    reactor: ICommandReactor,
    session: Session,
    paths: tuple[str, ...],
    node_url: str,
    folder: str | None,
    link: bool,
) -> ExitStatus:
    """
    Put these files into the node's folder, and wait until its supernode lists them all.

    What can't be read of a folder is named and left out, and the status is then FAILED.
    """
    left_out: list[Path] = []
    files = list(_files(paths, left_out))
    location = (await named_node(session, node_url)).location
    try:
        health = await session.client.health(location)
    except OlderProgram:
        raise CommandError(
            f"the node at {node_url} is the older program's, which shares what was in its folder "
            "when it was started: put the files there, and start it again"
        ) from None
    except (Unavailable, Refused) as error:
        why = await session.why(Role.NODE, location, error)
        raise CommandError(why.line, ExitStatus.NOBODY) from None
    target = folder or health.folder
    if folder is None and not is_own(parse_location(location).host):
        # It may name any, and what is there would be copied to.
        raise CommandError(
            f"the node at {node_url} is not on this machine: name its folder, as it is "
            "reached from here, with --folder",
            ExitStatus.USAGE,
        )
    if target is UNSET:
        raise CommandError(
            f"the node at {node_url} does not tell its folder to this machine: name the folder, "
            "as it is reached from here, with --folder",
            ExitStatus.USAGE,
        )
    if health.folder_problem:
        raise CommandError(f"the node at {node_url} has trouble: {health.folder_problem}")
    if not Path(target).is_dir():
        raise CommandError(
            f"{target}, the node's folder, is not on this machine: use its own machine"
        )
    #: Those of each id that are copied and not listed yet.
    unlisted: dict[str, list[ShareProgress]] = {}

    def listed(id: str) -> None:
        for progress in unlisted.pop(id):
            progress.end(is_listed=True)

    with ProgressBars(reactor, session.settings.progress, closing=False) as bars:
        each = [ShareProgress(one, reactor.seconds) for one in files]
        for progress in each:
            bars.add(progress.file.name, progress.row)
        put = await _put_all(reactor, each, Path(target), link, left_out)
        for progress, one in put:
            unlisted.setdefault(one.id, []).append(progress)
        shared = [one for _, one in put]
        await _wait_until_listed(reactor, session, location, health.name, shared, listed)
    if session.settings.as_json:
        print_json(shared)
    else:
        print_lines(*(f"{one.id}  {one.name}" for one in shared))
    bars.sum_up(FILES)
    return ExitStatus.FAILED if left_out else ExitStatus.OK


def _files(paths: tuple[str, ...], left_out: list[Path]) -> Iterator[SourceFile]:
    """
    The files that these paths mean. Raises CommandError before anything is done.

    What can't be read is named, and added to `left_out`.
    """
    for path in map(Path, paths):
        if path.is_dir():
            folder = real_path(path)
            # Any file's name will do: it is the folder's that is in question.
            if reason := why_not_shared(f"{folder.name}/f"):
                raise CommandError(f"{path}: {reason}")
            if not folder.name:
                raise CommandError(f"{path}: it has no name: share the folders in it")
            files = list(_files_in(folder, left_out))
            if not files:
                raise CommandError(
                    f"{path}: there is nothing to share in it: a node shares regular files that "
                    "are neither hidden nor named like unfinished downloads"
                )
            yield from files
        elif path.is_file():
            if reason := why_not_shared(path.name):
                raise CommandError(f"{path}: {reason}")
            yield SourceFile(path, path.name)
        else:
            raise CommandError(f"{path}: there is no such file or folder")


def _leave_out(path: Path, reason: str, left_out: list[Path]) -> None:
    print_message(f"{path} is left out: {reason}")
    left_out.append(path)


def _files_in(folder: Path, left_out: list[Path]) -> Iterator[SourceFile]:
    """
    The files that a node would share of a folder.

    Links that lead out of it are reported, and what can't be read as in `_files`.
    """
    led_out: list[str] = []

    def unreadable(name: str, reason: str) -> None:
        _leave_out(folder / name, reason, left_out)

    found = walk(folder, lambda entered: None, led_out.append, unreadable)
    names = sorted(entry.name for entry in found if entry is not None)
    for name in sorted(led_out)[:LINKS_NAMED_MAX]:
        print_message(f"{folder / name} is left out: it is a link that leads out of {folder}")
    if len(led_out) > LINKS_NAMED_MAX:
        more = len(led_out) - LINKS_NAMED_MAX
        print_message(f"{counted_are(more, 'more link')} left out for the same reason")
    for name in names:
        shared = f"{folder.name}/{name}"
        # It is longer by the folder's name.
        if reason := why_not_shared(shared):
            unreadable(name, reason)
        else:
            yield SourceFile(folder / name, shared, folder)


async def _put_all(
    reactor: ICommandReactor,
    each: list[ShareProgress],
    folder: Path,
    link: bool,
    left_out: list[Path],
) -> list[tuple[ShareProgress, SharedFile]]:
    """Put one file after the other into the folder. Raises CommandError and OSError."""
    put = []
    cooperator = make_cooperator(reactor)
    try:
        for progress in each:
            one = progress.file
            try:
                source = one.open()
            except OSError as error:
                if one.within is None:
                    raise
                _leave_out(one.path, error.strerror or str(error), left_out)
                progress.end(is_listed=False)
                continue
            with progress.reading(source):
                put.append((progress, await _put_file(cooperator, one, source, folder, link)))
    finally:
        cooperator.stop()
    return put


async def _put_file(
    cooperator: Cooperator, source: SourceFile, file: BinaryIO, folder: Path, link: bool
) -> SharedFile:
    destination = folder / source.name
    top = real_path(folder)
    digest = hashlib.sha256()
    modes = source.folder_modes()
    try:
        target = TargetFolder((top / source.name).parent, SharedFolder(top), modes)
    except OSError as error:
        raise CommandError(f"{destination} can't be written: {error.strerror}") from None
    try:
        if link:
            await cooperator.coiterate(hash_slices(file, digest))
            is_new = _link(file, target, source.path, destination)
        else:
            is_new = await copy_file(cooperator, file, target, destination.name, digest)
    finally:
        target.close()
    size = os.fstat(file.fileno()).st_size
    if not is_new:
        there = SourceFile(top / source.name, source.name, top)
        await _check_same_content(cooperator, there, digest.hexdigest(), size)
    return SharedFile(digest.hexdigest(), source.name, str(destination), size)


def _link(file: BinaryIO, target: TargetFolder, source: Path, destination: Path) -> bool:
    """Link the file; False where another file has that name. Raises CommandError."""
    try:
        target.link(file.fileno(), destination.name)
    except FileExistsError:
        return False
    except OSError as error:
        raise CommandError(
            f"{source} can't be linked into {destination.parent} ({error.strerror}): "
            "leave out --link to copy it"
        ) from None
    return True


async def _check_same_content(
    cooperator: Cooperator, there: SourceFile, id: str, size: int
) -> None:
    """Raises CommandError where the file that is there has other content."""
    is_same = False
    # What a node wouldn't open is another file in any case.
    with suppress(OSError), there.open() as file:
        # Others may have put there what takes days to read.
        if os.fstat(file.fileno()).st_size == size:
            digest = hashlib.sha256()
            await cooperator.coiterate(hash_slices(file, digest))
            is_same = digest.hexdigest() == id
    if not is_same:
        raise CommandError(
            f"{there.path} exists and is another file: rename yours, or remove that one"
        )


async def _wait_until_listed(
    reactor: ICommandReactor,
    session: Session,
    location: str,
    name: str,
    shared: list[SharedFile],
    is_listed: Callable[[str], None],
) -> None:
    """
    Wait until the node's supernode lists all of these for it. Raises CommandError.

    `is_listed` is called with each id as soon as that is so.
    """
    size = sum(one.size for one in shared)
    deadline = reactor.seconds() + LISTED_TIMEOUT + size / HASH_RATE
    waiting: dict[str, set[str]] = {}
    for one in shared:
        waiting.setdefault(one.id, set()).add(normal_form(one.name))
    #: When each id was first seen to be listed.
    listed: dict[str, float] = {}
    while waiting:
        try:
            health = await session.client.health(location)
            for id in sorted(waiting)[:100]:
                if health.supernode is None:
                    break
                found = await session.client.search_node(health.supernode, name, id)
                if not found:
                    continue
                for holding in found:
                    waiting[id].difference_update(map(normal_form, holding.file.names))
                since = listed.setdefault(id, reactor.seconds())
                if not waiting[id] or reactor.seconds() >= since + NAME_TIMEOUT:
                    del waiting[id]
                    is_listed(id)
        except (Unavailable, Refused):
            pass  # It may be busy, or changing its supernode.
        if waiting:
            if reactor.seconds() > deadline:
                raise CommandError(
                    f"{counted_are(len(waiting), 'file')} in the node's folder but not listed yet: "
                    "p2p status shows how the node is, and its log says whether its user may read "
                    "them (a copy keeps the file's mode)"
                )
            await deferLater(reactor, POLL_INTERVAL)
