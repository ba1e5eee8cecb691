"""
The members of the group as one command sees them: its supernodes, named by the user or found by
multicast, and what they list. Resources are found in `session`.
"""

import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorProcess
from twisted.internet.task import deferLater

from p2ptwisted.cli.diagnosis import Diagnosis, Diagnostician, Role
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.hints import START_SUPERNODE
from p2ptwisted.cli.output import print_message
from p2ptwisted.client.api import Client
from p2ptwisted.client.supernode_client import LOCATIONS_MAX
from p2ptwisted.client.transport import BUSY_STATUSES, IClientReactor, Refused
from p2ptwisted.config import CommonConfig
from p2ptwisted.errors import InvalidInput, Trouble, Unavailable, Unreached
from p2ptwisted.model import SUPERNODE_ID, NodeInfo
from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.protocols.multicast import DISCOVERY_TIMEOUT, MulticastOverlay
from p2ptwisted.protocols.network_interfaces import check_selection
from p2ptwisted.protocols.sockets import IMulticastReactor
from p2ptwisted.support.address_policy import is_loopback, is_own
from p2ptwisted.support.awake_clock import IAwakeReactor
from p2ptwisted.support.lifecycle import all_of
from p2ptwisted.support.locations import (
    LOCALHOST,
    SUPERNODE_PORT,
    parse_location,
    parse_node_url,
    parse_supernode_url,
    resolve,
)
from p2ptwisted.support.round_robin import in_turns

#: Seconds after which supernodes that have too much to do are asked again, as their answers say,
#: and how often that is done.
BUSY_WAIT, BUSY_WAITS = 1.0, 30

#: Supernodes of which it is said why they can't be asked, where none can.
REASONS_MAX = 3

_T = TypeVar("_T")


class ICommandReactor(
    IMulticastReactor, IClientReactor, IReactorProcess, IAwakeReactor, IReactorFromThreads
):
    """What a command needs of a reactor."""


class GroupOptions(NamedTuple):
    """How the group is found and spoken with."""

    supernode: str | None
    key_file: str | None
    ca_file: str | None
    #: Read only where it is needed: the files that it names may be missing.
    config: Callable[[], CommonConfig]


class Members:
    """One command's conversation with the supernodes of the group."""

    def __init__(self, reactor: ICommandReactor, client: Client, options: GroupOptions) -> None:
        self.client = client
        self._reactor = reactor
        self._options = options
        self._diagnostician = Diagnostician(reactor, client, options.key_file, options.ca_file)
        self._supernodes: list[str] | None = None
        #: Supernodes that could not be asked, and why; from then on they are asked last.
        self._silent: dict[str, Unavailable | Refused] = {}
        #: What was found out about those, and about nodes.
        self._diagnoses: dict[str, Diagnosis] = {}

    async def supernodes(self) -> list[str]:
        """The supernodes' locations, the one to ask first in front. Raises CommandError."""
        if self._supernodes is None:
            if self._options.supernode is not None:
                self._supernodes = await self._ask_named(self._options.supernode)
            else:
                self._supernodes = await self._discover()
        return self._supernodes

    async def location_of(self, url: str, option: str, role: Role = Role.NODE) -> str:
        """
        The location that a URL, or just `host` or `host:port`, leads to.

        Raises CommandError, also for `https:` where no TLS would be spoken.
        """
        secured = self._options.ca_file is not None
        parse = parse_supernode_url if role is Role.SUPERNODE else parse_node_url
        try:
            host, port = parse(url, secured)
            return f"{await resolve(self._reactor, host)}:{port}"
        except InvalidInput as error:
            raise CommandError(f"{option} {url}: {error}", ExitStatus.USAGE) from None

    async def why(
        self, role: Role, location: str, error: Unavailable | Refused, called: str | None = None
    ) -> Diagnosis:
        """Why a member can't be asked, and what to do; `called` is what the user calls it."""
        found = await self._diagnostician.why(role, location, error, called)
        self._diagnoses[location] = found
        return found

    def state_of(self, location: str) -> str:
        """The same in few words, as it was found out last."""
        known = self._diagnoses.get(location)
        return "no answer" if known is None else known.state

    async def _ask_named(self, url: str) -> list[str]:
        """The named supernode and those that it knows. Raises CommandError."""
        location = await self.location_of(url, "--supernode", Role.SUPERNODE)
        try:
            others = await self._other_supernodes(location)
        except (Unavailable, Refused) as error:
            called = None if url in (location, f"http://{location}") else f"{url} ({location})"
            why = await self.why(Role.SUPERNODE, location, error, called)
            raise CommandError(why.line, ExitStatus.NOBODY) from None
        return list(dict.fromkeys([location, *distinct_supernodes(others)]))

    async def _other_supernodes(self, supernode: str) -> list[str]:
        """The other supernodes that this one knows. Raises Unavailable and Refused."""
        try:
            return await self.client.other_supernodes(supernode)
        except Unavailable:
            if await self.client.finds_names(supernode):
                raise
        return []  # The older program's waits for others without end, and is there.

    async def _discover(self) -> list[str]:
        config = self._options.config()
        check_selection(config.group.interfaces)
        key = config.group_key
        # A name that is not a UUID: only supernodes ask under one.
        overlay = MulticastOverlay(
            self._reactor,
            config.group,
            f"p2p-{uuid.uuid4()}",
            DISCOVERY_TIMEOUT,
            auth=None if key is None else DatagramAuth(key),
            trusted=config.trusted_networks,
        )
        overlay.startService()
        try:
            found = await overlay.search_all(SUPERNODE_ID)
        finally:
            await overlay.stopService()
        if not found:
            raise CommandError(
                await self._why_not_discovered(config.multicast_group), ExitStatus.NOBODY
            )
        return distinct_supernodes(found)

    async def _why_not_discovered(self, group: str) -> str:
        """What to do where no supernode answers by multicast: one can be there all the same."""
        key_file = self._options.key_file
        nobody = f"no supernode answers in {group}" + (
            "" if key_file is None else f" to members with the key in {key_file}"
        )
        here = f"{LOCALHOST}:{SUPERNODE_PORT}"
        try:
            await self.client.nodes(here)
        except (Unavailable, Refused) as error:
            is_nothing_here = isinstance(error, Unreached) and error.trouble is Trouble.REFUSED
            if not is_nothing_here:
                why = await self.why(Role.SUPERNODE, here, error, f"on this machine ({here})")
                return f"{nobody}, and the {why.line}"
        else:
            return (
                f"{nobody}, but one listens on this machine: name it with "
                f"--supernode http://{here}, or give its group's --group-key-file or "
                "--multicast-group"
            )
        closed = (
            "give --group-key-file if the group is closed"
            if key_file is None
            else ("look whether it is this group's key")
        )
        return (
            f"{nobody}: name one with --supernode http://HOST:{SUPERNODE_PORT} if multicast "
            f"doesn't reach it, {closed}, or start one ({START_SUPERNODE})"
        )

    async def nodes(self) -> list[tuple[str, list[NodeInfo] | None]]:
        """Each supernode with its nodes as reached from here, or None where it can't be asked."""
        supernodes = await self.supernodes()
        lists = await self.ask_all(self.client.nodes)
        return [
            (at, None if nodes is None else [reachable(node, at) for node in nodes])
            for at, nodes in zip(supernodes, lists, strict=True)
        ]

    async def listed_nodes(self) -> list[tuple[str, list[NodeInfo]]]:
        """
        Each supernode that answers, with its nodes; a message names those that don't.

        Raises CommandError where none answers: then nobody knows which nodes there are.
        """
        lists = await self.nodes()
        if all(nodes is None for _, nodes in lists):
            raise await self.no_answer()
        for at, nodes in lists:
            if nodes is None:
                print_message(f"{(await self.why_silent(at)).line} (its nodes are missing here)")
        return [(at, nodes) for at, nodes in lists if nodes is not None]

    async def ask_in_turn(self, ask: Callable[[str], Coroutine[Deferred[Any], Any, _T]]) -> _T:
        """The first supernode's answer that comes. Raises Unavailable where none does."""
        for waited in range(BUSY_WAITS + 1):
            asked = sorted(await self.supernodes(), key=self._silent.__contains__)
            is_busy = False
            for supernode in asked:
                try:
                    answer = await ask(supernode)
                except (Unavailable, Refused) as error:
                    is_busy = is_busy or _is_busy(error)
                    self.note_silent(supernode, error)
                else:
                    self._silent.pop(supernode, None)
                    return answer
            if not is_busy or waited == BUSY_WAITS:
                break
            await deferLater(self._reactor, BUSY_WAIT)
        raise Unavailable(str(await self.no_answer()))

    async def ask_all(
        self, ask: Callable[[str], Coroutine[Deferred[Any], Any, _T]]
    ) -> list[_T | None]:
        """Each supernode's answer, or None where it gives none; `why_silent` then says why."""

        async def asked(supernode: str) -> _T | None:
            try:
                answer = await ask(supernode)
            except (Unavailable, Refused) as error:
                self.note_silent(supernode, error)
                return None
            self._silent.pop(supernode, None)
            return answer

        supernodes = await self.supernodes()
        return await all_of([Deferred.fromCoroutine(asked(one)) for one in supernodes])

    def note_silent(self, supernode: str, error: Unavailable | Refused) -> None:
        """Note that a supernode could not be asked, and why."""
        self._silent[supernode] = error
        self._diagnoses.pop(supernode, None)

    async def why_silent(self, supernode: str) -> Diagnosis:
        """Why a supernode gave no answer when it was asked last."""
        known = self._diagnoses.get(supernode)
        if known is None:
            error = self._silent.get(supernode) or Unreached(supernode, Trouble.SILENT)
            known = await self.why(Role.SUPERNODE, supernode, error)
        return known

    async def no_answer(self) -> CommandError:
        """The error where no supernode could be asked: it says of each why."""
        supernodes = await self.supernodes()
        reasons = [(await self.why_silent(one)).line for one in supernodes[:REASONS_MAX]]
        more = len(supernodes) - len(reasons)
        return CommandError(
            "; ".join(reasons) + (f"; and {more} more can't be asked" if more else ""),
            ExitStatus.NOBODY,
        )


def _is_busy(error: Unavailable | Refused) -> bool:
    return isinstance(error, Refused) and error.status in BUSY_STATUSES


def distinct_supernodes(supernodes: Sequence[str]) -> list[str]:
    """
    Each supernode once, of each address one before any second, as they are asked in turn.

    One on this machine answers through loopback and other interfaces, with a location for each.
    """
    each: dict[str, str] = {}
    for location in sorted(supernodes, key=is_loopback):
        host, port = parse_location(location)
        each.setdefault(f"here:{port}" if is_own(host) else location, location)
    return in_turns(each.values(), LOCATIONS_MAX)


def reachable(node: NodeInfo, supernode: str) -> NodeInfo:
    """The node as reached from here: a supernode's own host is 127.0.0.1 to nobody else."""
    host = parse_location(supernode).host
    if is_loopback(node.location) and not is_loopback(host):
        location = f"{host}:{node.location.rpartition(':')[2]}"
        return msgspec.structs.replace(node, location=location)
    return node
