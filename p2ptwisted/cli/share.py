"""`p2p share`: puts files into the folder of this machine's node."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from msgspec import UNSET, Struct
from twisted.internet.task import Cooperator, deferLater

from p2ptwisted.cli.exit_status import ExitStatus, Problem
from p2ptwisted.cli.get import hashing, opened
from p2ptwisted.cli.output import say, say_json, tell
from p2ptwisted.cli.session import Session
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import OlderProgram, Unavailable
from p2ptwisted.node.folder_walk import walk
from p2ptwisted.node.service import INodeReactor
from p2ptwisted.support.lifecycle import make_cooperator
from p2ptwisted.support.locations import is_own, parse_location
from p2ptwisted.support.safe_open import open_beneath, open_folder
from p2ptwisted.transfer.part_file import SLICE
from p2ptwisted.transfer.target_folder import TargetFolder

#: Seconds between two looks whether it is listed, and how long that may take:
#: so many, and one more for so many bytes that the node has to hash.
LOOK, LISTED_WITHIN, BYTES_A_SECOND = 0.25, 60.0, 100_000_000

#: Links that lead out of a folder and are told of by name; of the rest, how many.
LINKS_TOLD = 10


class SharedFile(Struct):
    """A file that is shared now; `path` is where it is in the node's folder."""

    id: str
    name: str
    path: str
    size: int


async def share(
    reactor: INodeReactor,
    group: Session,
    paths: tuple[str, ...],
    node_url: str,
    folder: str | None,
    link: bool,
) -> ExitStatus:
    """Put these there, and wait until the node's supernode lists them all."""
    files = list(_files(paths))
    location = await group.location_of(node_url, "--node")
    try:
        health = await group.client.health(location)
    except OlderProgram:
        raise Problem(
            f"the node at {node_url} is the older program's, which shares what was in its folder "
            "when it was started: put the files there, and start it again"
        ) from None
    except (Unavailable, Refused) as error:
        raise Problem(
            f"no node answers at {node_url} ({error}): start one (twistd p2p-node), "
            "or name another with --node",
            ExitStatus.NOBODY,
        ) from None
    target = folder or health.folder
    if folder is None and not is_own(parse_location(location).host):
        # It may name any, and what is there would be copied to.
        raise Problem(
            f"the node at {node_url} is not on this machine: name its folder, as it is "
            "reached from here, with --folder",
            ExitStatus.USAGE,
        )
    if target is UNSET:
        raise Problem(
            f"the node at {node_url} tells its folder to loopback alone: call it as 127.0.0.1, or "
            "name its folder with --folder",
            ExitStatus.USAGE,
        )
    if not Path(target).is_dir():
        raise Problem(f"{target}, the node's folder, is not on this machine: use its own machine")
    cooperator = make_cooperator(reactor)
    try:
        shared = [await _place(cooperator, one, Path(target), link) for one in files]
    finally:
        cooperator.stop()
    await _listed(reactor, group, location, health.name, shared)
    if group.settings.as_json:
        say_json(shared)
    else:
        say(*(f"{one.id}  {one.name}" for one in shared))
    return ExitStatus.OK


class Source(NamedTuple):
    """A file to be shared: `within` a folder of which nothing outside is, or on its own."""

    path: Path
    name: str
    within: Path | None = None

    def open(self) -> BinaryIO:
        """Raises OSError."""
        if self.within is None:
            # Named by the user: a link, too, is meant.
            return opened(self.path)
        root = open_folder(self.within)
        try:
            name = self.path.relative_to(self.within).as_posix()
            return open(open_beneath(root, name), "rb", buffering=0)
        except OSError as error:
            error.filename = os.fspath(self.path)
            raise
        finally:
            os.close(root)


def _files(paths: tuple[str, ...]) -> Iterator[Source]:
    """Each file. Raises Problem before anything is done."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from _files_in(path.resolve())
        elif path.is_file():
            if path.name.startswith("."):
                raise Problem(f"{path}: a node shares nothing hidden: give it another name")
            yield Source(path, path.name)
        else:
            raise Problem(f"{path}: there is no such file or folder")


def _files_in(folder: Path) -> Iterator[Source]:
    """What a node would share of a folder; the links that lead out of it are told of."""
    led_out: list[str] = []
    found = walk(folder, lambda entered: None, led_out.append)
    names = sorted(entry.name for entry in found if entry is not None)
    for name in sorted(led_out)[:LINKS_TOLD]:
        tell(f"{folder / name} is left out: it is a link that leads out of {folder}")
    if len(led_out) > LINKS_TOLD:
        tell(f"{len(led_out) - LINKS_TOLD} more links that lead out of {folder} are left out")
    for name in names:
        yield Source(folder / name, f"{folder.name}/{name}", folder)


async def _place(cooperator: Cooperator, source: Source, folder: Path, link: bool) -> SharedFile:
    destination = folder / source.name
    top = folder.resolve()
    digest = hashlib.sha256()
    with source.open() as file:
        try:
            target = TargetFolder((top / source.name).parent, top)
        except OSError as error:
            raise Problem(f"{destination} can't be written: {error.strerror}") from None
        try:
            if link:
                await cooperator.coiterate(hashing(file, digest))
                is_new = _link(file, target, source.path, destination)
            else:
                is_new = await _copy(cooperator, file, target, destination.name, digest)
        finally:
            target.close()
        size = os.fstat(file.fileno()).st_size
        if not is_new:
            there = Source(top / source.name, source.name, top)
            await _same(cooperator, there, digest.hexdigest(), size)
    return SharedFile(digest.hexdigest(), source.name, str(destination), size)


def _link(file: BinaryIO, target: TargetFolder, source: Path, destination: Path) -> bool:
    """Whether the file has that name now; where not, another has. Raises Problem."""
    try:
        target.link(file.fileno(), destination.name)
    except FileExistsError:
        return False
    except OSError as error:
        raise Problem(
            f"{source} can't be linked into {destination.parent} ({error.strerror}): "
            "leave out --link to copy it"
        ) from None
    return True


async def _copy(
    cooperator: Cooperator,
    file: BinaryIO,
    target: TargetFolder,
    name: str,
    digest: "hashlib._Hash",
) -> bool:
    """Whether a copy has that name now; where not, another file has."""
    # Hidden, so that the node doesn't look at it before it is whole.
    temporary = f".p2p-{secrets.token_hex(8)}"
    copy = target.make(temporary, os.O_WRONLY)
    try:
        await cooperator.coiterate(_copying(file, copy, digest))
        target.put(temporary, name)
    except FileExistsError:
        return False
    finally:
        os.close(copy)
        target.remove(temporary)
    return True


def _copying(file: BinaryIO, descriptor: int, digest: "hashlib._Hash") -> Iterator[None]:
    os.fchmod(descriptor, 0o644)
    while data := file.read(SLICE):
        digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        yield


async def _same(cooperator: Cooperator, there: Source, id: str, size: int) -> None:
    """What is there is the same. Raises Problem."""
    is_same = False
    # What a node wouldn't open is another file in any case.
    with suppress(OSError), there.open() as file:
        # Others may have put there what takes days to read.
        if os.fstat(file.fileno()).st_size == size:
            digest = hashlib.sha256()
            await cooperator.coiterate(hashing(file, digest))
            is_same = digest.hexdigest() == id
    if not is_same:
        raise Problem(f"{there.path} exists and is another file: rename yours, or remove that one")


async def _listed(
    reactor: INodeReactor, group: Session, location: str, name: str, shared: list[SharedFile]
) -> None:
    """Return when the node's supernode lists all of these for it."""
    size = sum(one.size for one in shared)
    deadline = reactor.seconds() + LISTED_WITHIN + size / BYTES_A_SECOND
    waiting = {one.id for one in shared}
    while waiting:
        try:
            health = await group.client.health(location)
            for id in sorted(waiting)[:100]:
                if health.supernode is not None and await group.client.search_node(
                    health.supernode, name, id
                ):
                    waiting.discard(id)
        except (Unavailable, Refused):
            pass  # It may be busy, or changing its supernode.
        if waiting:
            if reactor.seconds() > deadline:
                raise Problem(
                    f"{len(waiting)} of {len(shared)} are in the node's folder but not listed "
                    "yet: p2p status shows how the node is"
                )
            await deferLater(reactor, LOOK)
