"""
The datagrams between supernodes: their format, and its encoder and decoder. Pure.

    <name>;20;<id>          who has this resource?
    <name>;21;<location>    found: the holder's host:port
    <name>;22;<id>          not found here

Ours add a tag to the name (`<uuid>#<tag>`), which a reply repeats, and may
name several locations in one reply, separated by commas. The full description
is docs/protocol.md.
"""

import re
from dataclasses import dataclass

from p2ptwisted.errors import InvalidInput
from p2ptwisted.model import parse_id
from p2ptwisted.support.locations import parse_location

#: Bytes; fits an Ethernet frame with room to spare, so nothing is ever fragmented.
DATAGRAM_MAX = 1200

#: Locations in one found reply.
LOCATIONS_MAX = 16

REQUEST, FOUND, NOT_FOUND = "20", "21", "22"

# A name must not look like another field, nor upset a terminal or a log.
_NAME = re.compile(r"[^;#\s\x00-\x1f\x7f-\x9f]{1,128}")
_TAG = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """`20`: who has this resource?"""

    name: str
    id: str
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class FoundReply:
    """`21`: these locations hold it. Only the tag says which search it answers."""

    name: str
    locations: tuple[str, ...]
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class NotFoundReply:
    """`22`: not found here."""

    name: str
    id: str
    tag: str | None = None


Message = SearchRequest | FoundReply | NotFoundReply


def encode(message: Message) -> bytes:
    """
    Returns the datagram of a message.

    Raises InvalidInput if it would not decode to the same message again.
    """
    sender = message.name if message.tag is None else f"{message.name}#{message.tag}"
    match message:
        case SearchRequest():
            datagram = f"{sender};{REQUEST};{message.id}".encode(errors="replace")
        case FoundReply():
            datagram = f"{sender};{FOUND};{','.join(message.locations)}".encode(errors="replace")
        case NotFoundReply():
            datagram = f"{sender};{NOT_FOUND};{message.id}".encode(errors="replace")
    if decode(datagram) != message:
        raise InvalidInput(f"not a message that fits in a datagram: {message!r:.200}")
    return datagram


def decode(datagram: bytes) -> Message | None:
    """Returns the message of a datagram; None if it is malformed. Never raises."""
    if len(datagram) > DATAGRAM_MAX:
        return None
    try:
        # What a person sends from a shell ends in a newline.
        sender, code, value = datagram.decode().rstrip("\r\n").split(";")
    except ValueError:
        return None
    name, marker, tag = sender.partition("#")
    if not _NAME.fullmatch(name) or (marker and not _TAG.fullmatch(tag)):
        return None
    try:
        if code == REQUEST:
            return SearchRequest(name, parse_id(value), tag or None)
        if code == NOT_FOUND:
            return NotFoundReply(name, parse_id(value), tag or None)
        if code == FOUND:
            return FoundReply(name, _parse_locations(value), tag or None)
    except InvalidInput:
        pass
    return None


def _parse_locations(value: str) -> tuple[str, ...]:
    texts = value.split(",")
    if len(texts) > LOCATIONS_MAX:
        raise InvalidInput("too many locations")
    return tuple(str(parse_location(text)) for text in texts)
