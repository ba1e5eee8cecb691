"""`p2p find`: which locations have a resource."""

from collections.abc import Sequence

from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.json_array import JsonArray
from p2ptwisted.cli.matches import FoundResource
from p2ptwisted.cli.name_listing import NameListing
from p2ptwisted.cli.output import print_lines, print_message, size_of
from p2ptwisted.cli.session import Session, is_digest
from p2ptwisted.model import is_id_prefix

#: Resources that are sorted by their names before they are printed. If there are more, all are
#: printed in the order of their ids, as they come.
SORTED_MAX = 1_000

#: Ids that are remembered so that those that are found twice are printed once.
SEEN_MAX = 100_000


async def find(session: Session, wanted: tuple[str, ...]) -> ExitStatus:
    """Print all resources that have one of these ids, or one of these in their names."""
    has_twice = len(wanted) > 1 or any(map(is_id_prefix, wanted))
    printer = _Printer(session.settings.as_json, has_twice)
    missing: list[str] = []
    status = ExitStatus.OK
    ids = await _holders_of(session, [what for what in wanted if is_digest(what)])
    for what in wanted:
        if is_digest(what):
            printer.add(*ids[what])
            if not ids[what]:
                missing.append(what)
            continue
        listing = NameListing(session, what)
        if not await _print_found(session, listing, what, printer):
            missing.append(what)
        if listing.is_incomplete:
            status = ExitStatus.FAILED
        for trouble in listing.troubles:
            print_message(trouble)
    printer.end()
    for what in missing:
        advice = "try a shorter part of the name, or p2p nodes to see who is there"
        print_message(await session.why_not_found(what, advice))
    return ExitStatus.NOT_FOUND if missing else status


async def _holders_of(session: Session, ids: Sequence[str]) -> dict[str, list[FoundResource]]:
    """What is known of each of these ids."""
    if not ids:
        return {}
    found = await session.look_up(ids, session.find_id)
    return {id: one if isinstance(one, list) else [] for id, one in zip(ids, found, strict=True)}


async def _print_found(
    session: Session, listing: NameListing, what: str, printer: "_Printer"
) -> bool:
    """Print what is found of this; returns whether there is something."""
    first: list[FoundResource] | None = []
    found = False
    async for one in listing.each():
        found = True
        if first is None:
            printer.add(one)
        else:
            first.append(one)
            if len(first) > SORTED_MAX:
                printer.add(*first)
                first = None
    begun = await session.find_prefix(what)
    if first is not None:
        printer.add(*sorted(first, key=lambda one: (one.name or "", one.id)))
    printer.add(*begun)
    if not found and not begun:
        begun = await session.find_id(what)
        printer.add(*begun)
    return found or bool(begun)


class _Printer:
    """Prints what is found, each resource once."""

    def __init__(self, as_json: bool, has_twice: bool) -> None:
        """`has_twice`: the same can come twice."""
        self._array = JsonArray() if as_json else None
        self._seen: set[str] | None = set() if has_twice else None

    def add(self, *found: FoundResource) -> None:
        for one in found:
            if self._seen is not None:
                if one.id in self._seen:
                    continue
                if len(self._seen) < SEEN_MAX:
                    self._seen.add(one.id)
            if self._array is not None:
                self._array.add(one)
            else:
                _print_lines(one)

    def end(self) -> None:
        if self._array is not None:
            self._array.end()


def _print_lines(one: FoundResource) -> None:
    print_lines(
        f"{one.id}  {size_of(one.size)}  {one.name or '(name unknown)'}",
        *(f"    also called {name}" for name in one.other_names),
        *(f"    {location}" for location in one.locations),
        *(f"    {location}  (a part of it)" for location in one.partial),
    )
