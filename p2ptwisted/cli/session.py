"""
A command's view of the group: its members, and what they know together. What a command does with
that is in the module of the command.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from msgspec import UNSET

from p2ptwisted.cli.exit_status import Ambiguous, ExitStatus, first_failure
from p2ptwisted.cli.lookups import IDS_AT_ONCE, NAMES_AT_ONCE, look_up_all
from p2ptwisted.cli.matches import (
    CANDIDATES_MAX,
    FoundResource,
    interleave_by_host,
    merge,
    with_holder,
)
from p2ptwisted.cli.members import GroupOptions, ICommandReactor, Members, distinct_supernodes
from p2ptwisted.cli.output import print_message, size_of
from p2ptwisted.client.api import Client
from p2ptwisted.config import CommonConfig
from p2ptwisted.errors import InvalidInput, UnknownResource
from p2ptwisted.model import Holders, Holding, is_id_prefix, parse_id
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.file_names import is_named, normal_form
from p2ptwisted.support.wording import counted

if TYPE_CHECKING:
    from p2ptwisted.cli.progress_display import Mode

#: Characters of each of the names that a search could mean.
NAME_SHOWN = 80

_T = TypeVar("_T")

__all__ = ["ICommandReactor", "Session", "Settings", "distinct_supernodes", "unique"]


@dataclass(frozen=True)
class Settings:
    """The options of every command that asks the group; `as_json` is for results."""

    supernode: str | None = None
    multicast_group: str = "230.0.0.0:4321"
    multicast_interface: tuple[str, ...] = ()
    group_key_file: str | None = None
    ca_file: str | None = None
    as_json: bool = False
    #: How progress is shown; None is what standard error has room for.
    progress: "Mode | None" = None

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


class Session(Members):
    """One command's conversation with the group, about its resources too."""

    def __init__(self, reactor: ICommandReactor, client: Client, settings: Settings) -> None:
        super().__init__(
            reactor,
            client,
            GroupOptions(
                settings.supernode,
                settings.group_key_file,
                settings.ca_file,
                lambda: settings.config,
            ),
        )
        self.settings = settings

    async def holders(self, id: str, here: bool = False) -> Holders:
        """All holders of a resource. Raises Unavailable where no supernode can say."""
        return await self.ask_in_turn(lambda at: self.client.holders(at, id, here))

    async def find(self, what: str) -> list[FoundResource]:
        """All resources with this id, or with this in their names."""
        if not is_digest(what):
            found = unique([*await self._find_by_name(what), *await self.find_prefix(what)])
            if found:
                return found
        return await self.find_id(what)

    async def find_prefix(self, what: str) -> list[FoundResource]:
        """The resources whose ids begin like this, if these are eight hex digits or more."""
        if not is_id_prefix(what):
            return []
        answers = await self.ask_all(lambda at: self.client.search_prefix(at, what))
        return _together(answers, what)

    async def find_id(self, what: str) -> list[FoundResource]:
        """The resource with this id, if it is one and somebody has it."""
        if not _is_id(what):
            return []
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

    async def look_up(
        self, wanted: Sequence[str], find: Callable[[str], Awaitable[_T]]
    ) -> list[_T | UnknownResource | Ambiguous]:
        """Await `find` for each of these, many at a time; returns the results in their order."""
        await self.supernodes()  # Once, before all want to know them.
        at_once = IDS_AT_ONCE if all(map(is_digest, wanted)) else NAMES_AT_ONCE
        return await look_up_all(self._reactor, wanted, find, at_once)

    async def find_each(self, wanted: Sequence[str]) -> tuple[list[FoundResource], ExitStatus]:
        """
        The resources that these mean, and the status for those that mean none.

        Each comes once for each of its names that it was found by.

        Those that can't be had keep nobody from the others: each gets a line, and the first
        decides the status. Raises CommandError and Unavailable where nobody can be asked.
        """
        found: list[FoundResource] = []
        statuses: list[ExitStatus] = []
        for outcome in await self.look_up(list(dict.fromkeys(wanted)), self.find_one):
            if isinstance(outcome, FoundResource):
                found.append(outcome)
                continue
            print_message(str(outcome))
            ambiguous = outcome if isinstance(outcome, Ambiguous) else None
            statuses.append(ExitStatus.NOT_FOUND if ambiguous is None else ambiguous.status)
        return list({(one.id, one.name): one for one in found}.values()), first_failure(statuses)

    async def why_not_found(self, what: str, advice: str) -> str:
        """A line for what was not found; `advice` is what to do where all supernodes were asked."""
        if not is_digest(what):
            for supernode, finds in zip(
                await self.supernodes(), await self.ask_all(self.client.finds_names), strict=True
            ):
                if finds is False:
                    advice = (
                        f"supernode {supernode} is the older program's and knows no names: give "
                        "its id"
                    )
                elif finds is None:
                    why = await self.why_silent(supernode)
                    advice = f"but one that may know it can't be asked: {why.line}"
        return f"nobody has {what}: {advice}"

    async def _find_by_name(self, part: str) -> list[FoundResource]:
        answers = await self.ask_all(lambda at: self.client.search_names(at, part))
        if all(answer is None for answer in answers):
            raise await self.no_answer()
        return _together(answers, part)


def _together(answers: Sequence[Sequence[Holding] | None], part: str) -> list[FoundResource]:
    """What several supernodes found, each resource once, in the order of their names."""
    matches: dict[str, FoundResource] = {}
    for holding in (one for answer in answers for one in answer or ()):
        known = FoundResource(holding.id, None, None, [], [])
        merge(matches.setdefault(holding.id, known), holding, part)
    return sorted(matches.values(), key=lambda one: (one.name or "", one.id))


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
    at = f"at {counted(count, 'address', 'addresses')}"
    return f"{match.id} ({shown(str(match.name), NAME_SHOWN)}, {size_of(match.size)}, {at})"


def is_digest(text: str) -> bool:
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
