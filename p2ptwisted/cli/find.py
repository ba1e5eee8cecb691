"""`p2p find`: which locations have a resource."""

from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.output import print_json, print_lines, print_message, size_of
from p2ptwisted.cli.session import Session, unique


async def find(session: Session, wanted: tuple[str, ...]) -> ExitStatus:
    """Print all resources that have one of these ids, or one of these in their names."""
    found, missing = [], []
    for what in wanted:
        matches = await session.find(what)
        found += matches
        if not matches:
            missing.append(what)
    found = unique(found)
    if session.settings.as_json:
        print_json(found)
    else:
        for one in found:
            print_lines(f"{one.id}  {size_of(one.size)}  {one.name or '(name unknown)'}")
            print_lines(*(f"    also called {name}" for name in one.other_names))
            print_lines(*(f"    {location}" for location in one.locations))
            print_lines(*(f"    {location}  (a part of it)" for location in one.partial))
    for what in missing:
        advice = "try a shorter part of the name, or p2p nodes to see who is there"
        print_message(await session.why_not_found(what, advice))
    return ExitStatus.NOT_FOUND if missing else ExitStatus.OK
