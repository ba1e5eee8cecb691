"""
Where a daemon listens: Twisted's endpoint strings, of a few kinds only.

Other kinds of Twisted's and its plugins' are refused. Some, such as `haproxy`,
believe every client about the address that it calls from, and loopback is
trusted; others have TLS that we have no say in.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    quoteStringArgument,
    serverFromString,
)
from twisted.internet.interfaces import IStreamServerEndpoint

from p2ptwisted.errors import InvalidInput
from p2ptwisted.security.tls import ServerIdentity, load_identity

#: By kind, the arguments, in the order in which they may be given without names.
_ARGUMENTS = {
    "tcp": ("port", "interface", "backlog"),
    "ssl": (
        *("port", "privateKey", "certKey", "sslmethod", "interface", "backlog"),
        *("extraCertChain", "dhParameters"),
    ),
    "systemd": ("domain", "index", "name"),
}

_TAKEN = (
    "a number, tcp:PORT, ssl:PORT:privateKey=FILE:certKey=FILE "
    "or systemd:domain=INET:index=0, all of them over IPv4"
)

#: Twisted's defaults, for arguments that are not given.
_KEY_FILE, _BACKLOG = "server.pem", "50"

#: A part between two colons; a backslash escapes the character behind it.
_PART = re.compile(r"((?:[^\\:]|\\.)*)(:|\Z)", re.DOTALL)
#: A name and a value, with the first equals sign between them.
_NAMED = re.compile(r"((?:[^\\=]|\\.)*)=(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Endpoint:
    """A parsed endpoint string."""

    kind: str
    arguments: dict[str, str]

    def number(self, name: str, default: str) -> int:
        """Return an argument's value. Raises InvalidInput where it isn't a number."""
        text = self.arguments.get(name, default)
        try:
            return int(text)
        except ValueError:
            raise InvalidInput(f"the {name} {text[:80]!r} is not a number") from None

    def identity(self) -> ServerIdentity:
        """Load the key and the certificate of an `ssl` endpoint. Raises InvalidInput."""
        given = self.arguments
        certificate, chain = given.get("certKey"), given.get("extraCertChain")
        return load_identity(
            Path(given.get("privateKey", _KEY_FILE)),
            None if certificate is None else Path(certificate),
            None if chain is None else Path(chain),
        )


def parse_endpoint(text: str) -> Endpoint:
    """Parse an endpoint string. Raises InvalidInput where it is wrong, or of a kind not taken."""
    (name, kind), *given = _parts(text)
    kind = kind.lower()
    if name is not None or kind not in _ARGUMENTS:
        raise InvalidInput(f"{text[:80]!r} is not accepted: give {_TAKEN}")
    known, arguments = _ARGUMENTS[kind], dict[str, str]()
    # Arguments without a name are counted apart from the others.
    unnamed = iter(known)
    for name, value in given:
        called = next(unnamed, None) if name is None else name
        if called not in known:
            raise InvalidInput(
                f"{kind} has no {(value if called is None else called)[:80]!r}: "
                f"it has {', '.join(known)}"
            )
        if called in arguments:
            raise InvalidInput(f"{called} is given twice")
        arguments[called] = value
    endpoint = Endpoint(kind, arguments)
    _check_arguments(endpoint)
    return endpoint


def check_endpoint(text: str) -> None:
    """Raise InvalidInput where one can't listen there, as far as can be seen beforehand."""
    endpoint = parse_endpoint(text)
    if endpoint.kind == "ssl":
        endpoint.identity()


def make_endpoint(reactor: Any, text: str) -> IStreamServerEndpoint:
    """Make the endpoint that listens there. Raises InvalidInput, and whatever Twisted raises."""
    endpoint = parse_endpoint(text)
    given = endpoint.arguments
    if endpoint.kind == "systemd":
        # Written again, so that Twisted reads in it what was read here.
        named = (f"{name}={quoteStringArgument(value)}" for name, value in given.items())
        adopted: IStreamServerEndpoint = serverFromString(reactor, ":".join(("systemd", *named)))
        return adopted
    port, backlog = endpoint.number("port", ""), endpoint.number("backlog", _BACKLOG)
    interface = given.get("interface", "")
    if endpoint.kind == "ssl":
        return SSL4ServerEndpoint(reactor, port, endpoint.identity(), backlog, interface)
    return TCP4ServerEndpoint(reactor, port, backlog, interface)


def _check_arguments(endpoint: Endpoint) -> None:
    if endpoint.kind == "systemd":
        return
    if "port" not in endpoint.arguments:
        raise InvalidInput(f"{endpoint.kind} needs a port: give {_TAKEN}")
    endpoint.number("port", "")
    endpoint.number("backlog", _BACKLOG)
    for name in ("sslmethod", "dhParameters"):
        if name in endpoint.arguments:
            raise InvalidInput(f"{name} can't be chosen: leave it out, TLS 1.2 and 1.3 are spoken")


def _parts(text: str) -> Iterator[tuple[str | None, str]]:
    """Yield the name (None without one) and the value of each part of an endpoint string."""
    position = 0
    while True:
        found = _PART.match(text, position)
        if found is None:
            raise InvalidInput(f"{text[:80]!r} ends in a backslash")
        named = _NAMED.fullmatch(found[1])
        if named is None:
            yield None, _ESCAPED.sub(r"\1", found[1])
        else:
            yield _ESCAPED.sub(r"\1", named[1]), _ESCAPED.sub(r"\1", named[2])
        if not found[2]:
            return
        position = found.end()
