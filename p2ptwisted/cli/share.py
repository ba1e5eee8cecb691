"""`p2p share`: puts files into the folder of this machine's node."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from msgspec import UNSET, Struct
from twisted.internet.task import Cooperator, deferLater

from p2ptwisted.addresses import is_own, parse_location
from p2ptwisted.calls import Refused
from p2ptwisted.cli.exits import Exit, Problem
from p2ptwisted.cli.get import hashing
from p2ptwisted.cli.group import Group, location_of
from p2ptwisted.cli.output import say, say_json
from p2ptwisted.errors import Unavailable
from p2ptwisted.node import INodeReactor
from p2ptwisted.services import make_cooperator
from p2ptwisted.transfer.part import SLICE

#: Seconds between two looks whether it is listed, and how long that may take:
#: so many, and one more for so many bytes that the node has to hash.
LOOK, LISTED_WITHIN, BYTES_A_SECOND = 0.25, 60.0, 100_000_000


class Shared(Struct):
    """A file that is shared now; `path` is where it is in the node's folder."""

    id: str
    name: str
    path: str
    size: int


async def share(
    reactor: INodeReactor,
    group: Group,
    paths: tuple[str, ...],
    node_url: str,
    folder: str | None,
    link: bool,
) -> Exit:
    """Put these there, and wait until the node's supernode lists them all."""
    files = list(_files(paths))
    location = await location_of(reactor, node_url, "--node")
    try:
        health = await group.client.health(location)
    except (Unavailable, Refused) as error:
        raise Problem(
            f"no node answers at {node_url} ({error}): start one (twistd p2p-node), "
            "or name another with --node",
            Exit.NOBODY,
        ) from None
    target = folder or health.folder
    if folder is None and not is_own(parse_location(location).host):
        # It may name any, and what is there would be copied to.
        raise Problem(
            f"the node at {node_url} is not on this machine: name its folder, as it is "
            "reached from here, with --folder",
            Exit.USAGE,
        )
    if target is UNSET:
        raise Problem(
            f"the node at {node_url} doesn't tell its folder: name it with --folder", Exit.USAGE
        )
    if not Path(target).is_dir():
        raise Problem(f"{target}, the node's folder, is not on this machine: use its own machine")
    cooperator = make_cooperator(reactor)
    try:
        shared = [await _place(cooperator, file, Path(target), name, link) for file, name in files]
    finally:
        cooperator.stop()
    await _listed(reactor, group, location, health.name, shared)
    if group.settings.as_json:
        say_json(shared)
    else:
        say(*(f"{one.id}  {one.name}" for one in shared))
    return Exit.OK


def _files(paths: tuple[str, ...]) -> Iterator[tuple[Path, Path]]:
    """Each file and its name in the node's folder. Raises Problem before anything is done."""
    for path in map(Path, paths):
        if path.is_dir():
            top = path.resolve()
            for file in sorted(top.rglob("*")):
                name = file.relative_to(top.parent)
                # Nodes don't share what is hidden.
                hidden = any(part.startswith(".") for part in file.relative_to(top).parts)
                if file.is_file() and not hidden:
                    yield file, name
        elif path.is_file():
            if path.name.startswith("."):
                raise Problem(f"{path}: a node shares nothing hidden: give it another name")
            yield path, Path(path.name)
        else:
            raise Problem(f"{path}: there is no such file or folder")


async def _place(
    cooperator: Cooperator, source: Path, folder: Path, name: Path, link: bool
) -> Shared:
    destination = folder / name
    destination.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    if link:
        await cooperator.coiterate(hashing(source, digest))
        try:
            os.link(source.resolve(), destination)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise Problem(
                    f"{source} can't be linked into {folder} ({error.strerror}): "
                    "leave out --link to copy it"
                ) from None
            await _same(cooperator, destination, digest.hexdigest())
    else:
        # Hidden, so that the node doesn't look at it before it is whole.
        descriptor, temporary = tempfile.mkstemp(prefix=".p2p-", dir=destination.parent)
        try:
            await cooperator.coiterate(_copying(source, descriptor, digest))
            os.link(temporary, destination)
        except FileExistsError:
            await _same(cooperator, destination, digest.hexdigest())
        finally:
            os.close(descriptor)
            os.unlink(temporary)
    return Shared(digest.hexdigest(), str(name), str(destination), destination.stat().st_size)


def _copying(source: Path, descriptor: int, digest: "hashlib._Hash") -> Iterator[None]:
    with open(source, "rb", buffering=0) as file:
        os.fchmod(descriptor, 0o644)
        while data := file.read(SLICE):
            digest.update(data)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            yield


async def _same(cooperator: Cooperator, there: Path, id: str) -> None:
    """What is there is the same. Raises Problem."""
    digest = hashlib.sha256()
    if there.is_file():
        await cooperator.coiterate(hashing(there, digest))
    if digest.hexdigest() != id:
        raise Problem(f"{there} exists and is another file: rename yours, or remove that one")


async def _listed(
    reactor: INodeReactor, group: Group, location: str, name: str, shared: list[Shared]
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
