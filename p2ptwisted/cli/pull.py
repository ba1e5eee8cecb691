"""`p2p pull`: has nodes fetch resources into their libraries, and follows them."""

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from p2ptwisted.cli.exit_status import ExitStatus, Problem, worst
from p2ptwisted.cli.matches import Match
from p2ptwisted.cli.output import say, say_json, size_of, tell
from p2ptwisted.cli.progress import Bars, Row
from p2ptwisted.cli.session import Session, unique
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import OlderProgram, Unavailable
from p2ptwisted.model import FetchStatus
from p2ptwisted.node.service import INodeReactor
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.lifecycle import all_of
from p2ptwisted.support.locations import address_towards

INTERRUPTED = "interrupted; the nodes go on by themselves: p2p status shows how far they are"

#: Seconds between two looks at a node's fetch, and looks that may fail in a row.
LOOK, MISSES = 0.25, 8

_UNDER_WAY = ("waiting", "running")


class PullResult(Struct):
    """What has become of one resource at one node: `state` is that of a node's fetch."""

    node: str
    location: str
    id: str
    name: str | None
    size: int | None
    state: str = "waiting"
    seconds: float = 0.0
    holders: dict[str, int] = {}
    troubles: dict[str, str] = {}
    error: str | None = None


class PullJob:
    """One resource on its way to one node."""

    def __init__(self, match: Match, node: str, location: str) -> None:
        """`node` is what the node is called."""
        self.pulled = PullResult(node, location, match.id, match.name, match.size)
        self._status: FetchStatus | None = None

    @property
    def exit(self) -> ExitStatus:
        return ExitStatus.OK if self.pulled.state == "done" else ExitStatus.FAILED

    def row(self) -> Row:
        """How far it is."""
        pulled, status = self.pulled, self._status
        if pulled.state not in _UNDER_WAY:
            here = pulled.size if pulled.state == "done" else (status.here if status else None)
            return Row(here, pulled.size, note=pulled.state)
        if status is None or status.size is None:
            return Row(0, pulled.size, note="waiting")
        count = len(status.holders)
        note = f"{count} holder{'' if count == 1 else 's'}"
        return Row(status.here, status.size, status.rate, status.seconds_left, note)

    async def run(self, reactor: INodeReactor, group: Session) -> None:
        """Order it and follow it to its end; what goes wrong is told and kept."""
        pulled, began = self.pulled, reactor.seconds()
        try:
            self._take(await group.client.order(pulled.location, pulled.id))
            misses = 0
            while pulled.state in _UNDER_WAY:
                await deferLater(reactor, LOOK)
                try:
                    self._take(await group.client.fetch_status(pulled.location, pulled.id))
                    misses = 0
                except Unavailable:
                    misses += 1
                    if misses >= MISSES:
                        raise
            if pulled.state == "cancelled":
                pulled.error = "somebody cancelled it: pull it again to go on"
        except (Unavailable, Refused) as error:
            pulled.state, pulled.error = "failed", _advice(error, pulled.location)
        pulled.seconds = round(reactor.seconds() - began, 3)
        if pulled.state != "done":
            name = "" if pulled.node == pulled.location else f"{shown(pulled.node)} at "
            tell(f"{name}{pulled.location}: {pulled.error or 'failed'}")

    def _take(self, status: FetchStatus) -> None:
        self._status = status
        pulled = self.pulled
        pulled.state, pulled.error = status.state, status.error
        pulled.name, pulled.size = status.name or pulled.name, status.size or pulled.size
        pulled.holders, pulled.troubles = status.holders, status.troubles


def _advice(error: Exception, location: str) -> str:
    if isinstance(error, Refused) and error.status == 403:
        own = address_towards(location.rpartition(":")[0])
        return f"it doesn't take orders from here: start it with --trusted-network {own}/32"
    if isinstance(error, Unavailable) and not isinstance(error, OlderProgram):
        return f"it doesn't answer ({error}): p2p status shows who does"
    return str(error)


async def targets(group: Session, urls: tuple[str, ...], all_nodes: bool) -> list[tuple[str, str]]:
    """Name and location of each node that is meant. Raises Problem where there is none."""
    if all_nodes:
        lists = await group.listed()
        found = {node.location: node.name or node.location for _, ns in lists for node in ns}
        if not found:
            raise Problem("no node is registered: start one (twistd p2p-node)", ExitStatus.NOBODY)
        return [(name, location) for location, name in found.items()]
    locations = [await group.location_of(url, "--node") for url in urls]
    return [(location, location) for location in dict.fromkeys(locations)]


async def pull(
    reactor: INodeReactor,
    group: Session,
    wanted: tuple[str, ...],
    urls: tuple[str, ...],
    all_nodes: bool,
) -> ExitStatus:
    """Have these nodes fetch these, until all have ended."""
    matches = unique([await group.one(what) for what in wanted])
    nodes = await targets(group, urls, all_nodes)
    jobs = [PullJob(match, name, at) for match in matches for name, at in nodes]
    with Bars(reactor) as bars:
        for job in jobs:
            called = job.pulled.node
            if len(matches) > 1:
                called += f" {job.pulled.name or job.pulled.id[:12]}"
            bars.add(called, job.row)
        await all_of([Deferred.fromCoroutine(job.run(reactor, group)) for job in jobs])
    pulled = [job.pulled for job in jobs]
    if group.settings.as_json:
        say_json(pulled)
    else:
        for one in pulled:
            if one.state == "done":
                what = one.name or one.id
                say(f"{one.node}  {one.location}  {what}  {size_of(one.size)}")
    return worst([job.exit for job in jobs])
