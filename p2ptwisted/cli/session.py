"""
A command's view of the group: its supernodes, named by the user or found by multicast, and
what they know together. What a command does with that is in the module of the command.
"""

import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorProcess

from p2ptwisted.cli.exit_status import Ambiguous, CommandError, ExitStatus, first_failure
from p2ptwisted.cli.matches import CANDIDATES_MAX, FoundResource, interleave_by_host, with_holder
from p2ptwisted.cli.output import print_message, size_of
from p2ptwisted.client.api import Client
from p2ptwisted.client.supernode_client import LOCATIONS_MAX
from p2ptwisted.client.transport import IClientReactor, Refused
from p2ptwisted.config import CommonConfig
from p2ptwisted.errors import InvalidInput, Unavailable, UnknownResource
from p2ptwisted.model import NAMES_MAX, SUPERNODE_ID, Holders, Holding, NodeInfo, parse_id
from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.protocols.multicast import DISCOVERY_TIMEOUT, MulticastOverlay
from p2ptwisted.protocols.network_interfaces import check_selection
from p2ptwisted.protocols.sockets import IMulticastReactor
from p2ptwisted.support.address_policy import is_loopback, is_own
from p2ptwisted.support.awake_clock import IAwakeReactor
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.file_names import is_named, likeness, normal_form
from p2ptwisted.support.lifecycle import all_of
from p2ptwisted.support.locations import parse_location, parse_supernode_url, resolve
from p2ptwisted.support.round_robin import in_turns

#: Characters of each of the names that a search could mean.
NAME_SHOWN = 80

_T = TypeVar("_T")


class ICommandReactor(
    IMulticastReactor, IClientReactor, IReactorProcess, IAwakeReactor, IReactorFromThreads
):
    """What a command needs of a reactor."""


@dataclass(frozen=True)
class Settings:
    """The options of every command that asks the group; `as_json` is for results."""

    supernode: str | None = None
    multicast_group: str = "230.0.0.0:4321"
    multicast_interface: tuple[str, ...] = ()
    group_key_file: str | None = None
    ca_file: str | None = None
    as_json: bool = False

    @property
    def config(self) -> CommonConfig:
        """The same options in the form that a member of the group reads them in."""
        return CommonConfig(
            port=0,
            multicast_group=self.multicast_group,
            multicast_interface=self.multicast_interface,
            group_key_file=self.group_key_file,
            ca_file=self.ca_file,
        )


class Session:
    """One command's conversation with the supernodes of the group."""

    def __init__(self, reactor: ICommandReactor, client: Client, settings: Settings) -> None:
        self.client = client
        self.settings = settings
        self._reactor = reactor
        self._supernodes: list[str] | None = None
        #: Supernodes that didn't answer, which are asked after the others from then on.
        self._silent: set[str] = set()

    async def supernodes(self) -> list[str]:
        """The supernodes' locations, the one to ask first in front. Raises CommandError."""
        if self._supernodes is None:
            if self.settings.supernode is not None:
                self._supernodes = await self._ask_named(self.settings.supernode)
            else:
                self._supernodes = await self._discover()
        return self._supernodes

    async def location_of(self, url: str, option: str) -> str:
        """
        The location that a URL, or just `host:port`, leads to.

        Raises CommandError, also for `https:` where no TLS would be spoken.
        """
        secured = self.settings.ca_file is not None
        try:
            host, port = parse_supernode_url(url if "://" in url else f"http://{url}", secured)
            return f"{await resolve(self._reactor, host)}:{port}"
        except InvalidInput as error:
            raise CommandError(f"{option} {url}: {error}", ExitStatus.USAGE) from None

    async def _ask_named(self, url: str) -> list[str]:
        """The named supernode and those that it knows. Raises CommandError."""
        location = await self.location_of(url, "--supernode")
        try:
            others = await self._other_supernodes(location)
        except (Unavailable, Refused) as error:
            raise CommandError(
                f"supernode {url} can't be asked ({error}): start it, or name another one",
                ExitStatus.NOBODY,
            ) from None
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
        config = self.settings.config
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
                f"no supernode answers in {config.multicast_group}: start one "
                "(twistd p2p-supernode), or name one with --supernode http://host:port",
                ExitStatus.NOBODY,
            )
        return distinct_supernodes(found)

    async def nodes(self) -> list[tuple[str, list[NodeInfo] | None]]:
        """Each supernode with its nodes as reached from here, or None where it didn't answer."""
        supernodes = await self.supernodes()
        lists = await self._ask_all(self.client.nodes)
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
            raise await self._no_answer()
        for at, nodes in lists:
            if nodes is None:
                print_message(f"supernode {at} doesn't answer, so its nodes are missing")
        return [(at, nodes) for at, nodes in lists if nodes is not None]

    async def holders(self, id: str, here: bool = False) -> Holders:
        """All holders of a resource. Raises Unavailable where no supernode can say."""
        errors: list[str] = []
        for supernode in sorted(await self.supernodes(), key=self._silent.__contains__):
            try:
                return await self.client.holders(supernode, id, here)
            except (Unavailable, Refused) as error:
                self._silent.add(supernode)
                errors.append(f"{supernode}: {error}")
        raise Unavailable(f"no supernode answers: {'; '.join(errors)}")

    async def find(self, what: str) -> list[FoundResource]:
        """All resources with this id, or with this in their names."""
        if not _is_digest(what):
            found = await self._find_by_name(what)
            if found or not _is_id(what):
                return found
        holders = await self.holders(parse_id(what))
        if not holders.locations and not holders.partial:
            return []
        return [
            FoundResource(
                holders.id,
                holders.name,
                holders.size,
                holders.locations,
                holders.partial,
                [] if holders.other_names is UNSET else holders.other_names,
            ),
        ]

    async def find_one(self, what: str) -> FoundResource:
        """
        The one resource that an id, a name or a part of a name means.

        Raises UnknownResource where there is none, and Ambiguous where there are several.
        """
        found = await self.find(what)
        if not found:
            raise UnknownResource(
                await self.why_not_found(what, "p2p find with a part of its name may help")
            )
        or_more = " or more" if len(found) > CANDIDATES_MAX else ""
        if len(found) > 1:
            # What nobody has keeps nobody from what is there.
            exact, others = _split_by_name(found, what)
            found = (
                await with_holder(
                    self.client, [*interleave_by_host(exact), *interleave_by_host(others)]
                )
                or found
            )
        exact, others = _split_by_name(found, what)
        found = exact or others
        if len(found) > 1:
            ids = ", ".join(map(_describe, found[:10]))
            more = f" and {len(found) - 10} more" if len(found) > 10 else ""
            raise Ambiguous(
                f"{what} can be any of {len(found)}{or_more}: give an id of {ids}{more}"
            )
        return found[0]

    async def find_each(self, wanted: Sequence[str]) -> tuple[list[FoundResource], ExitStatus]:
        """
        The resources that these mean, and the status for those that mean none.

        Each comes once for each of its names that it was found by.

        Those that can't be had keep nobody from the others: each gets a line, and the first
        decides the status. Raises CommandError and Unavailable where nobody can be asked.
        """
        found: list[FoundResource] = []
        statuses: list[ExitStatus] = []
        for what in dict.fromkeys(wanted):
            try:
                found.append(await self.find_one(what))
            except UnknownResource as error:
                print_message(str(error))
                statuses.append(ExitStatus.NOT_FOUND)
            except Ambiguous as error:
                print_message(str(error))
                statuses.append(error.status)
        return list({(one.id, one.name): one for one in found}.values()), first_failure(statuses)

    async def why_not_found(self, what: str, advice: str) -> str:
        """A line for what was not found; `advice` is what to do where all supernodes were asked."""
        if not _is_digest(what):
            for supernode, finds in zip(
                await self.supernodes(), await self._ask_all(self.client.finds_names), strict=True
            ):
                if finds is False:
                    advice = (
                        f"supernode {supernode} is the older program's and knows no names: give "
                        "its id"
                    )
                elif finds is None:
                    advice = (
                        f"but supernode {supernode} doesn't answer, and may know it: p2p status "
                        "tells more"
                    )
        return f"nobody has {what}: {advice}"

    async def _find_by_name(self, part: str) -> list[FoundResource]:
        matches: dict[str, FoundResource] = {}
        answers = await self._ask_all(lambda at: self.client.search_names(at, part))
        if all(answer is None for answer in answers):
            raise await self._no_answer()
        for holding in (one for answer in answers for one in answer or ()):
            _merge(matches, holding, part)
        return sorted(matches.values(), key=lambda one: (one.name or "", one.id))

    async def _no_answer(self) -> CommandError:
        return CommandError(
            f"none of {', '.join(await self.supernodes())} answers: p2p status tells more",
            ExitStatus.NOBODY,
        )

    async def _ask_all(
        self, ask: Callable[[str], Coroutine[Deferred[Any], Any, _T]]
    ) -> list[_T | None]:
        """Each supernode's answer, or None where it gives none."""

        async def asked(supernode: str) -> _T | None:
            try:
                return await ask(supernode)
            except (Unavailable, Refused):
                return None

        supernodes = await self.supernodes()
        return await all_of([Deferred.fromCoroutine(asked(one)) for one in supernodes])


def _merge(matches: dict[str, FoundResource], holding: Holding, part: str) -> None:
    """Add one supernode's answer; of several names, the one most like `part` comes first."""
    file = holding.file
    known = matches.setdefault(holding.id, FoundResource(holding.id, None, None, [], []))
    known.locations = in_turns([*known.locations, *file.locations], LOCATIONS_MAX)
    # Stable: of those that are alike the first stays the first.
    names, wanted = dict.fromkeys([*known.names, *file.names]), normal_form(part)
    distinct = sorted(names, key=lambda name: -likeness(normal_form(name), wanted))
    if distinct:
        known.name, *known.other_names = distinct[:NAMES_MAX]
    if known.size is None and file.size is not UNSET:
        known.size = file.size


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


def _split_by_name(
    matches: Sequence[FoundResource], what: str
) -> tuple[list[FoundResource], list[FoundResource]]:
    """Those that have exactly this name, and those with a name that contains it."""
    exact: list[FoundResource] = []
    others: list[FoundResource] = []
    wanted = normal_form(what)
    for one in matches:
        is_exact = any(is_named(normal_form(name), wanted) for name in one.names)
        (exact if is_exact else others).append(one)
    return exact, others


def _describe(match: FoundResource) -> str:
    """A resource, for a list of those that a name could mean."""
    count = len(match.addresses)
    at = f"at {count} address{'' if count == 1 else 'es'}"
    return f"{match.id} ({shown(str(match.name), NAME_SHOWN)}, {size_of(match.size)}, {at})"


def _is_digest(text: str) -> bool:
    """Whether this is the id of a file and not a part of a name."""
    return len(text) == 64 and _is_id(text)


def _is_id(text: str) -> bool:
    try:
        parse_id(text)
    except InvalidInput:
        return False
    return True


def unique(matches: Sequence[FoundResource]) -> list[FoundResource]:
    """Each resource once, as it comes first."""
    found: dict[str, FoundResource] = {}
    for one in matches:
        found.setdefault(one.id, one)
    return list(found.values())
