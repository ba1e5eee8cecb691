"""
The nouns of the project as frozen structs, and the rule for ids. Pure.

Most are also the JSON shapes of both HTTP APIs: msgspec decodes and checks
them in one pass and names the field in its message.
"""

import os
import re
from typing import Annotated, NamedTuple

from msgspec import UNSET, DecodeError, Meta, Struct, UnsetType

from p2ptwisted.errors import InvalidInput

#: The id that stands for supernodes themselves: a search for it finds them.
SUPERNODE_ID = "supernode"

#: Characters in a resource's name or a node's name; PATH_MAX on Linux is 4096.
NAME_MAX = 4096

#: Resources in one registration. Their JSON is about 140 bytes each: 14 MB in all.
RESOURCES_MAX = 100_000

#: Ids found by one search, or in one part of what it finds.
FOUND_MAX = 1_000

#: Ids found by their first digits.
PREFIX_FOUND_MAX = 100

#: Names of one resource that are kept for a node: of a tree with thousands of empty files, say,
#: so many are found. And the names besides the first ones in one registration.
NAMES_MAX, OTHER_NAMES_MAX = 100, 100_000

#: Bytes of a registration's JSON, and of any other body that a supernode takes.
REGISTRATION_BYTES_MAX = 16 * 1024 * 1024

#: Bytes; what SQLite's INTEGER holds.
SIZE_MAX = 2**63 - 1

#: The media type of a compact manifest.
COMPACT_TYPE = "application/msgpack"

#: The head of an answer with pieces, or about them, says which ones the holder has by now, as
#: pieces.pack_set has them or HAS_ALL, and some other nodes that fetch the resource.
HAVE_HEADER, NEIGHBORS_HEADER = b"pieces-have", b"pieces-neighbors"
HAS_ALL = "all"

#: The head of the answer to a heartbeat has it where the supernode can't reach the node, with the
#: location that it tries.
UNREACHABLE_HEADER = b"node-unreachable"

#: Nodes that are named in one answer, and that are read of one.
NEIGHBORS_TOLD, NEIGHBORS_TOLD_MAX = 4, 16

#: Orders in one request: their ids fit a question for all their states (`HASH_IDS_MAX`), and
#: beginning so many takes a node a few milliseconds.
ORDERS_MAX = 200

#: What msgspec raises for bytes that are not the expected JSON.
UNREADABLE = (DecodeError, UnicodeDecodeError, RecursionError)

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_PREFIX = re.compile(r"[0-9A-Fa-f]{8,63}", re.ASCII)
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)

Name = Annotated[str, Meta(max_length=NAME_MAX)]
FileName = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
Size = Annotated[int, Meta(ge=0, le=SIZE_MAX)]


def parse_id(text: str) -> str:
    """
    The canonical form of a resource id: a SHA-256 in lower case, any other token as it is.

    Raises InvalidInput.
    """
    if _SHA256.fullmatch(text):
        return text.lower()
    if _ID.fullmatch(text):
        return text
    shown = text if len(text) <= 40 else text[:40] + "..."
    raise InvalidInput(
        f"{shown!r} ({len(text)} characters) is not a resource id: "
        "an id has 1 to 128 characters of A-Z a-z 0-9 . _ : -"
    )


def is_id_prefix(text: str) -> bool:
    """Whether this can be the beginning of a SHA-256, long enough to mean one of them."""
    return _PREFIX.fullmatch(text) is not None


def id_order(id: str) -> tuple[bool, str]:
    """Sorts canonical ids as the parts of what a search by name finds: other tokens come first."""
    return _SHA256.fullmatch(id) is not None, id


class FileStamp(NamedTuple):
    """What `stat` says of a file that changes whenever its content does."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileStamp":
        """The stamp of the file with that status."""
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )

    @property
    def but_ctime(self) -> tuple[int, ...]:
        """
        What stays the same when only the file's mode, owner, names or attributes change.

        The content can have changed too, where somebody has set the time back; few do.
        """
        return self[:4]


class ResourceInfo(Struct, frozen=True, omit_defaults=True, gc=False):
    """A file as its holder lists it: its id, its name there and its size in bytes."""

    id: str
    name: FileName
    size: Size | None = None
    #: Whether its holder has only some of its pieces, and is downloading the others.
    partial: bool = False
    #: What other files with the same content are called there.
    other_names: tuple[FileName, ...] = ()


class NodeInfo(Struct, frozen=True, omit_defaults=True):
    """A registered node; its location (`host:port`) is unique."""

    name: str
    location: str
    #: Whether its supernode can reach it there.
    reachable: bool = True


class GoneNode(Struct, frozen=True):
    """A node that was registered lately, and is no more."""

    name: Name
    location: str
    #: How long ago it went.
    seconds: float
    #: goodbye: it said that it goes; lost: it stopped answering.
    how: str


class Registration(Struct, frozen=True):
    """What a node posts to its supernode; the list replaces its earlier one."""

    location: str
    resources: Annotated[list[ResourceInfo], Meta(max_length=RESOURCES_MAX)]
    name: Name = ""

    @property
    def names(self) -> int:
        """The number of resources, and of those of their other names that count."""
        others = sum(min(len(one.other_names), NAMES_MAX) for one in self.resources)
        return len(self.resources) + min(others, OTHER_NAMES_MAX)


class Presence(Struct, frozen=True):
    """A node's heartbeat or goodbye."""

    location: str


class HeartbeatAnswer(NamedTuple):
    """What a supernode answers to a heartbeat."""

    #: Whether it lists the node.
    known: bool
    #: Where it can't reach the node, though it lists it.
    unreachable_at: str | None = None


class HeldFile(Struct, frozen=True, gc=False):
    """The locations of a resource's holders, the most recently seen first."""

    location: str
    locations: list[str]
    name: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    #: What its holders call it besides; unset in the answer to ids alone, and if it has one name.
    other_names: list[str] | UnsetType = UNSET
    #: The locations that have only a part of it yet; unset in the answer to ids alone, and if
    #: there are none.
    partial: list[str] | UnsetType = UNSET

    @property
    def names(self) -> list[str]:
        """All names that are told."""
        names = [] if self.name is UNSET else [self.name]
        return names if self.other_names is UNSET else [*names, *self.other_names]


class Holding(Struct, frozen=True, gc=False):
    """A found resource. Name and size are unset where only another supernode knows them."""

    id: str
    file: HeldFile


class FoundPart(NamedTuple):
    """A part of the resources that a search by name finds, in the order of their ids."""

    holdings: list[Holding]
    #: The id after which the next part begins; None if there is nothing more.
    next: str | None


class Holders(Struct, frozen=True):
    """All holders of a resource or of a part of it; name and size if they are known."""

    id: str
    locations: list[str]
    partial: list[str]
    name: Name | None = None
    size: Size | None = None
    #: What they call it besides, unless it has one name.
    other_names: list[Name] | UnsetType = UNSET

    @property
    def names(self) -> list[str]:
        """All names that are told."""
        others = [] if self.other_names is UNSET else self.other_names
        return [name for name in (self.name, *others) if name]


class DownloadStatus(Struct, frozen=True):
    """The progress of a download."""

    id: str
    #: waiting, running, done, failed or cancelled.
    state: str
    name: Name | None = None
    #: Bytes of the resource, and those that are here.
    size: Size | None = None
    here: Size | None = None
    #: Bytes a second, and seconds left.
    rate: float | None = None
    seconds_left: float | None = None
    #: Bytes from each holder, by location.
    holders: dict[str, int] = {}
    #: Why a holder gives nothing, by location.
    troubles: dict[str, str] = {}
    error: str | None = None


class Order(Struct, frozen=True, omit_defaults=True):
    """An order to a node to download a resource, and what to call it where that is said."""

    id: str
    name: Name | None = None


class DownloadOrder(Order, frozen=True, omit_defaults=True):
    """
    What is posted to a node: one order, or several, of which this is the first.

    Nodes of earlier versions carry out the first. The answer shows it: a list, or one status.
    """

    others: Annotated[list[Order], Meta(max_length=ORDERS_MAX - 1)] | None = None

    @property
    def all(self) -> list[Order]:
        """All orders."""
        return [self, *(self.others or ())]


class Health(Struct, frozen=True):
    """The state of a node."""

    name: str
    #: Resources that it shares.
    resources: Size
    #: Whether its first scan is still under way.
    scanning: bool
    #: The location of its supernode; null while it has none.
    supernode: str | None
    #: The absolute path of the shared folder; set for callers on the same machine only.
    folder: str | UnsetType = UNSET
    #: The location at which its supernode can't reach it; set only while that is so.
    unreachable_at: str | UnsetType = UNSET
    #: What is wrong with that folder, and what to do about it; unset if nothing is.
    folder_problem: str | UnsetType = UNSET


class Manifest(Struct, frozen=True):
    """The pieces of a resource and which of them a node has; digests in hex."""

    id: str
    size: Size
    piece_size: int
    digests: list[str]
    #: As pieces.encode_set has it; null if every piece is there.
    have: str | None = None


class CompactManifest(Struct, frozen=True, omit_defaults=True):
    """A manifest as nodes send it to each other, in MessagePack: the digests are bytes."""

    size: Size
    piece_size: int
    digests: bytes
    #: As pieces.Pieces has them; nodes of earlier versions send none.
    prefixes: bytes = b""


class Wanted(Struct, frozen=True):
    """The pieces that a node wants of another, as pieces.encode_set has them."""

    want: Annotated[str, Meta(max_length=65_536)]
    #: How many of them it takes at once; null: as many as its holder likes.
    most: Annotated[int, Meta(ge=1)] | None = None
    #: The location of the node, so that others can fetch from it too; null if it is none.
    location: str | None = None
