"""`p2p find`: who has it."""

from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.output import say, say_json, size_of, tell
from p2ptwisted.cli.session import Session, unique


async def find(group: Session, wanted: tuple[str, ...]) -> ExitStatus:
    """Everything that has one of these ids, or one of these in its name."""
    found, missing = [], []
    for what in wanted:
        matches = await group.find(what)
        found += matches
        if not matches:
            missing.append(what)
    found = unique(found)
    if group.settings.as_json:
        say_json(found)
    else:
        for one in found:
            say(f"{one.id}  {size_of(one.size)}  {one.name or '(name unknown)'}")
            say(*(f"    {location}" for location in one.locations))
            say(*(f"    {location}  (a part of it)" for location in one.partial))
    for what in missing:
        advice = "try a shorter part of the name, or p2p nodes to see who is there"
        tell(await group.why_not_found(what, advice))
    return ExitStatus.NOT_FOUND if missing else ExitStatus.OK
