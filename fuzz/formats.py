"""Targets without files or connections: datagrams, seals, signatures, sets, names, options."""

import functools
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from hypothesis import strategies as st

from fuzz.damage import any_of, text_of
from fuzz.target import Target
from p2ptwisted.config import LINE_MAX, NodeConfig, SupernodeConfig, load_config
from p2ptwisted.errors import InvalidInput, NotSigned, StartError
from p2ptwisted.pieces import decode_set, encode_set
from p2ptwisted.protocols.datagram_auth import WINDOW, DatagramAuth
from p2ptwisted.protocols.datagrams import DATAGRAM_MAX, LOCATIONS_MAX, FoundReply, decode, encode
from p2ptwisted.security.group_key import GroupKey, load_group_key
from p2ptwisted.security.http_signatures import HttpSignatures, SignedCall
from p2ptwisted.support.locations import parse_location
from p2ptwisted.transfer.part_names import JOURNAL, PART
from p2ptwisted.transfer.safe_names import DEVICES, flat_name, place

ID = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
NAME = "6f1c5ff0-8f6e-4f4e-9d36-0f3a8a6f1d11"
NOW = 1_790_000_000.0

DATAGRAMS = [
    f"{NAME};20;{ID}",
    f"{NAME}#0123456789ab;20;{ID}",
    f"{NAME};21;10.0.0.1:8000",
    f"{NAME}#0123456789ab;21;10.0.0.1:8000,10.0.0.2:8000",
    f"{NAME};22;{ID}",
    "rack-7;20;supernode\r\n",
]


def check_datagram(data: bytes) -> None:
    """What is understood is clean and can be said again; nothing else is raised but None."""
    message = decode(data)
    if message is None:
        return
    assert len(data) <= DATAGRAM_MAX
    assert not any(one in message.name for one in ";#\r\n\0\x1b"), message
    again = decode(encode(message))
    assert again == message, (again, message)
    if isinstance(message, FoundReply):
        assert 0 < len(message.locations) <= LOCATIONS_MAX
        for location in message.locations:
            assert str(parse_location(location)) == location


_auth = DatagramAuth(GroupKey(b"k" * 32))
_sealed = {_auth.seal(one.encode(), NOW): one.encode() for one in DATAGRAMS}
_of_others = DatagramAuth(GroupKey(b"o" * 32)).seal(DATAGRAMS[0].encode(), NOW)
_of_old = _auth.seal(DATAGRAMS[0].encode(), NOW - WINDOW - 1)


def check_seal(data: bytes) -> None:
    """Nothing opens but what was closed with the key, and lately."""
    assert _auth.open(data, NOW) == _sealed.get(data)


_CALL = SignedCall("POST", "http://10.0.0.1:5000/api/supernode/register?a=b")
_BODY = b'{"location": ":8000", "resources": []}'
_signatures = HttpSignatures(b"k" * 32)


@st.composite
def signed_calls(draw: st.DrawFn) -> tuple[SignedCall, bytes]:
    """A signed call, of which something may have been changed on its way."""
    call = SignedCall(_CALL.method, _CALL.url, _signatures.sign(_CALL.method, _CALL.url, _BODY))
    body = _BODY
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.integers(0, 3)):
            case 0:
                call.method = draw(text_of(call.method))
            case 1:
                call.url = draw(text_of(call.url))
            case 2:
                body = draw(any_of(body))
            case 3 if call.headers:
                name = draw(st.sampled_from(sorted(call.headers)))
                value = call.headers.pop(name)
                if draw(st.booleans()):
                    value = draw(any_of(value.encode())).decode("latin-1")
                    call.headers[draw(st.sampled_from([name, name.lower()]))] = value
    return call, body


def check_signature(signed: tuple[SignedCall, bytes]) -> None:
    """What passes is what was signed; what doesn't is not signed, and nothing worse."""
    call, body = signed
    try:
        _signatures.check(call, body, 0.0, once=False)
    except NotSigned:
        return
    assert (call.method.upper(), body) == (_CALL.method, _BODY), (call, body)
    ours, theirs = urlsplit(_CALL.url), urlsplit(call.url)
    assert theirs.netloc.lower() == ours.netloc, call
    assert (theirs.path, theirs.query) == (ours.path, ours.query), call


def check_set(given: tuple[str, int]) -> None:
    """A set has no others than the pieces that there are, and travels well."""
    text, count = given
    try:
        pieces = decode_set(text, count)
    except InvalidInput:
        return
    assert 0 <= pieces < 1 << count
    assert decode_set(encode_set(pieces), count) == pieces


@functools.cache
def _folder() -> Path:
    """A folder to fetch into, with a link in it that leads out, and one that leads nowhere."""
    outside = Path(tempfile.mkdtemp())
    folder = outside / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to("loop")
    return folder


NAMES = ["a/b.bin", "../x", "link/x", "loop/x", "/etc/passwd", "x.part", "con/nul.txt", "a. /b."]


def check_name(name: str) -> None:
    """Whatever a file is called, it can be made, in the folder, seen and not taken for a part."""
    folder = _folder()
    flat = flat_name(name, ID)
    for path in (place(folder, name, ID), folder / flat):
        parts = path.relative_to(folder).parts
        assert parts and path.parent.resolve().is_relative_to(folder), path
        for part in parts:
            assert part.isprintable() and not part.startswith("."), part
            assert not part.endswith((".", " ")), part
            assert part.partition(".")[0].rstrip().lower() not in DEVICES, part
            assert len(part.encode()) <= 255 - len(JOURNAL), part
            assert not part.endswith((PART, JOURNAL)), part
    assert "/" not in flat


OPTIONS = [
    'port = 5001\nmulticast_group = "239.1.2.3:4321"\nmulticast_interface = ["lo", "127.0.0.1"]\n',
    'location = "10.0.0.1:80"\nsupernode = ["http://10.0.0.1:5000"]\nname = "n"\nuploads = 3\n',
    'trusted_network = ["10.0.0.0/8", "local"]\npeer = "http://host:5000"\nsweep_interval = 0.5\n',
    'port = "tcp:8000:interface=127.0.0.1"\nheader_time = 3\nidle_time = 50.5\nprivate = true\n',
    'state = "/tmp/state"\ngroup_key_file = "key"\nca_file = "ca.pem"\nresources = "."\n',
]


def check_options(data: bytes) -> None:
    """A file of options is good for a role, or what is wrong is one line."""
    file = _folder() / "options.toml"
    file.write_bytes(data)
    for kind in (SupernodeConfig, NodeConfig):
        try:
            load_config(kind, {}, file)
        except StartError as error:
            assert str(error).isprintable() and len(str(error)) < LINE_MAX + 10, str(error)


def check_key(data: bytes) -> None:
    """A key file holds a key, or the error says nothing of what it holds."""
    file = _folder() / "key"
    file.touch(0o600)
    file.write_bytes(data)
    try:
        load_group_key(file)
    except InvalidInput as error:
        secret = data.strip().decode("latin-1")
        # Of fewer bytes the message may have some by chance.
        assert len(secret) < 16 or secret not in str(error).replace(str(file), "")


TARGETS = [
    Target("datagrams", any_of(*(one.encode() for one in DATAGRAMS)), check_datagram),
    Target("seals", any_of(*_sealed, _of_others, _of_old), check_seal),
    Target("signatures", signed_calls(), check_signature),
    Target("sets", st.tuples(text_of("0", "3ff", "1" * 40), st.integers(0, 300)), check_set),
    Target("names", text_of(*NAMES), check_name),
    Target("options", any_of(*(one.encode() for one in OPTIONS)), check_options),
    Target("keys", any_of(b"ab" * 32 + b"\n"), check_key),
]
