"""
Why a member can't be asked, and what to do about it: the one place that tells apart that nothing
listens there, that TLS is spoken or isn't, that a key is wanted or is wrong, and the rest.
"""

from enum import Enum
from http import HTTPStatus
from typing import NamedTuple

from p2ptwisted.cli.hints import START_NODE, START_SUPERNODE
from p2ptwisted.client.api import Client
from p2ptwisted.client.probes import speaks_http, speaks_tls
from p2ptwisted.client.transport import BUSY_STATUSES, IClientReactor, Refused
from p2ptwisted.errors import Nonsense, Trouble, Unavailable, Unreached
from p2ptwisted.support.locations import NODE_PORT, SUPERNODE_PORT

#: What a signature with another key is refused for.
_WRONG_KEY = "not signed with its key"

#: What a signature that is right, but not now, is refused for.
_WRONG_TIME = ("in the future", "in the past", "maximum allowable age")

#: The statuses with which servers answer that know nothing of our routes.
_STRANGE = frozenset(
    [
        *range(HTTPStatus.MULTIPLE_CHOICES, HTTPStatus.BAD_REQUEST),
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_IMPLEMENTED,
    ]
)


class Role(Enum):
    """What a member should be."""

    SUPERNODE = "supernode"
    NODE = "node"


class Diagnosis(NamedTuple):
    """Why a member can't be asked: in few words, for a table, and in a line with what to do."""

    state: str
    line: str


class Diagnostician:
    """Finds out why members can't be asked: by the errors, and where these don't tell by a look."""

    def __init__(
        self, reactor: IClientReactor, client: Client, key_file: str | None, ca_file: str | None
    ) -> None:
        """`key_file` and `ca_file`: those that the client signs and speaks TLS with."""
        self._reactor = reactor
        self._client = client
        self._key_file = key_file
        self._ca_file = ca_file

    async def why(
        self, role: Role, location: str, error: Unavailable | Refused, called: str | None = None
    ) -> Diagnosis:
        """Say why asking failed with that error; `called` is what the user calls the member."""
        who = f"{role.value} {called or location}"
        if isinstance(error, Unreached):
            return await self._unreached(role, who, location, error)
        if isinstance(error, Refused):
            return await self._refused(role, who, location, error)
        if isinstance(error, Nonsense):
            return await self._stranger(role, who, location, str(error))
        return Diagnosis("can't be asked", f"{who} can't be asked: {error}")

    async def _unreached(self, role: Role, who: str, location: str, error: Unreached) -> Diagnosis:
        trouble = error.trouble
        if trouble is Trouble.REFUSED:
            start = START_SUPERNODE if role is Role.SUPERNODE else START_NODE
            return Diagnosis(
                "nothing listens there",
                f"{who} refuses connections: nothing listens there. Start it ({start}), or name "
                "the address and port where it is",
            )
        # A server that speaks plain HTTP waits for the end of what it takes for a request.
        is_waiting = trouble is Trouble.SILENT and self._ca_file is not None
        if is_waiting and await speaks_http(self._reactor, location):
            return self._no_tls(who)
        if trouble is Trouble.NO_ROUTE or trouble is Trouble.SILENT:
            what = "can't be reached" if trouble is Trouble.NO_ROUTE else "gives no answer"
            return Diagnosis(
                "no route" if trouble is Trouble.NO_ROUTE else "no answer",
                f"{who} {what} ({error.detail}): is its host up and in this network, and its port "
                "open in its firewall?",
            )
        if trouble is Trouble.NOT_PROVED:
            return Diagnosis(
                "certificate not accepted",
                f"{who} speaks TLS, but {error.detail}: give the ca.pem of its group with "
                f"--ca-file, which is {self._ca_file} now",
            )
        if trouble is Trouble.NO_TLS:
            return self._no_tls(who)
        if trouble in (Trouble.BROKEN, Trouble.NOT_HTTP):
            has_tls = await speaks_tls(self._reactor, location)
            if has_tls and self._ca_file is None:
                return Diagnosis(
                    "speaks TLS",
                    f"{who} speaks TLS: give the ca.pem of its group with --ca-file, or in "
                    "P2P_CA_FILE",
                )
            if not has_tls and self._ca_file is not None:
                return self._no_tls(who)
            return Diagnosis(
                "no answer",
                f"{who} can't be asked: {error.detail}. Is it a {role.value} that listens there?",
            )
        return Diagnosis("can't be asked", f"{who} can't be asked: {error.detail}")

    def _no_tls(self, who: str) -> Diagnosis:
        return Diagnosis(
            "speaks no TLS",
            f"{who} doesn't speak TLS: leave out --ca-file (now {self._ca_file}), and P2P_CA_FILE, "
            "or name a member of the group that does",
        )

    async def _refused(self, role: Role, who: str, location: str, error: Refused) -> Diagnosis:
        if error.status == HTTPStatus.UNAUTHORIZED:
            return self._not_signed(who, str(error))
        if error.status in _STRANGE:
            return await self._stranger(role, who, location, self._words(error))
        if error.status in BUSY_STATUSES:
            return Diagnosis("busy", f"{who} can't answer now ({error}): try again in a moment")
        return Diagnosis("has trouble", f"{who} refuses it: {self._words(error)}")

    def _words(self, error: Refused) -> str:
        """What an error's answer says of itself; one without a description has its status."""
        return f"status {error.status}" if "://" in str(error) else str(error)

    def _not_signed(self, who: str, reason: str) -> Diagnosis:
        if self._key_file is None:
            return Diagnosis(
                "closed group",
                f"{who} is in a closed group: give its key with --group-key-file, or in "
                "P2P_GROUP_KEY_FILE",
            )
        if any(words in reason for words in _WRONG_TIME):
            return Diagnosis(
                "clocks differ",
                f"{who} takes the clock of this host to be wrong, or has a wrong one: set both "
                "(timedatectl shows them)",
            )
        # What is refused with the right key, such as a call to another name, says so.
        detail = "" if _WRONG_KEY in reason else f" ({reason})"
        return Diagnosis(
            "another key",
            f"{who} doesn't accept the key in {self._key_file}: give the key of its group with "
            f"--group-key-file{detail}",
        )

    async def _stranger(self, role: Role, who: str, location: str, reason: str) -> Diagnosis:
        """What answers isn't what it should be, or has an answer that can't be understood."""
        if role is Role.NODE and await self._is_supernode(location):
            return Diagnosis(
                "a supernode",
                f"{who} is a supernode: name a node, which listens on {NODE_PORT} by default",
            )
        if role is Role.SUPERNODE and await self._is_node(location):
            return Diagnosis(
                "a node",
                f"{who} is a node: name a supernode, which listens on {SUPERNODE_PORT} by default",
            )
        is_one = await (self._is_node if role is Role.NODE else self._is_supernode)(location)
        if is_one:
            return Diagnosis("has trouble", f"{who} refuses it: {reason}")
        return Diagnosis(
            f"not a {role.value}",
            f"{who} is not a {role.value} of p2ptwisted, though something answers there ({reason}):"
            " look at its address and port",
        )

    async def _is_supernode(self, location: str) -> bool:
        try:
            await self._client.nodes(location)
        except (Unavailable, Refused):
            return False
        return True

    async def _is_node(self, location: str) -> bool:
        try:
            await self._client.health(location)
        except (Unavailable, Refused):
            return False
        return True
