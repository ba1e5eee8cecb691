"""`p2p pull`: has nodes fetch resources into their folders, and follows them."""

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from p2ptwisted.cli.exit_status import CommandError, ExitStatus, first_failure
from p2ptwisted.cli.matches import FoundResource
from p2ptwisted.cli.output import print_json, print_lines, print_message, size_of
from p2ptwisted.cli.progress import ProgressBars, Row
from p2ptwisted.cli.session import ICommandReactor, Session, unique
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import OlderProgram, Unavailable
from p2ptwisted.model import DownloadStatus
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.lifecycle import all_of
from p2ptwisted.support.locations import address_towards

INTERRUPTED = "interrupted; the nodes go on by themselves: p2p status shows how far they are"

#: Seconds between two requests for a fetch's status, and how many may fail in a row.
POLL_INTERVAL, POLL_FAILURES_MAX = 0.25, 8

_UNDER_WAY = ("waiting", "running")


class PullResult(Struct):
    """The result for one resource at one node: `state` is that of the node's fetch."""

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

    def __init__(self, match: FoundResource, node: str, location: str) -> None:
        """`node` is the name of the node."""
        self.result = PullResult(node, location, match.id, match.name, match.size)
        self._status: DownloadStatus | None = None

    @property
    def exit(self) -> ExitStatus:
        return ExitStatus.OK if self.result.state == "done" else ExitStatus.FAILED

    def row(self) -> Row:
        """The progress, for its bar."""
        result, status = self.result, self._status
        if result.state not in _UNDER_WAY:
            here = result.size if result.state == "done" else (status.here if status else None)
            return Row(here, result.size, note=result.state)
        if status is None or status.size is None:
            return Row(0, result.size, note="waiting")
        count = len(status.holders)
        note = f"{count} holder{'' if count == 1 else 's'}"
        return Row(status.here, status.size, status.rate, status.seconds_left, note)

    async def run(self, reactor: ICommandReactor, session: Session) -> None:
        """Order the fetch and follow it to its end; an error is printed and kept in `result`."""
        result, began = self.result, reactor.seconds()
        try:
            self._take(await session.client.order(result.location, result.id, result.name))
            misses = 0
            while result.state in _UNDER_WAY:
                await deferLater(reactor, POLL_INTERVAL)
                try:
                    self._take(await session.client.fetch_status(result.location, result.id))
                    misses = 0
                except Unavailable:
                    misses += 1
                    if misses >= POLL_FAILURES_MAX:
                        raise
            if result.state == "cancelled":
                result.error = "somebody cancelled it: pull it again to go on"
        except (Unavailable, Refused) as error:
            result.state, result.error = "failed", _advice(error, result.location)
        result.seconds = round(reactor.seconds() - began, 3)
        if result.state != "done":
            name = "" if result.node == result.location else f"{shown(result.node)} at "
            print_message(f"{name}{result.location}: {result.error or 'failed'}")

    def _take(self, status: DownloadStatus) -> None:
        self._status = status
        result = self.result
        result.state, result.error = status.state, status.error
        result.name, result.size = status.name or result.name, status.size or result.size
        result.holders, result.troubles = status.holders, status.troubles


def _advice(error: Exception, location: str) -> str:
    if isinstance(error, Refused) and error.status == 403:
        own = address_towards(location.rpartition(":")[0])
        return f"it doesn't take orders from here: start it with --trusted-network {own}/32"
    if isinstance(error, Unavailable) and not isinstance(error, OlderProgram):
        return f"it doesn't answer ({error}): p2p status shows who does"
    return str(error)


async def target_nodes(
    session: Session, urls: tuple[str, ...], all_nodes: bool
) -> list[tuple[str, str]]:
    """Name and location of each node to order from. Raises CommandError where there is none."""
    if all_nodes:
        lists = await session.listed_nodes()
        found = {node.location: node.name or node.location for _, ns in lists for node in ns}
        if not found:
            raise CommandError(
                "no node is registered: start one (twistd p2p-node)", ExitStatus.NOBODY
            )
        return [(name, location) for location, name in found.items()]
    locations = [await session.location_of(url, "--node") for url in urls]
    return [(location, location) for location in dict.fromkeys(locations)]


async def pull(
    reactor: ICommandReactor,
    session: Session,
    wanted: tuple[str, ...],
    urls: tuple[str, ...],
    all_nodes: bool,
) -> ExitStatus:
    """Have nodes fetch those that are found, and wait until all fetches have ended."""
    matches, missing = await session.find_each(wanted)
    nodes = await target_nodes(session, urls, all_nodes)
    resources = {one.id: one for one in unique(matches)}
    for match in matches:
        first = resources[match.id]
        if match is not first:
            print_message(f"{match.name} has the content of {first.name}: fetched once, as that")
    jobs = [PullJob(match, name, at) for match in resources.values() for name, at in nodes]
    with ProgressBars(reactor) as bars:
        for job in jobs:
            called = job.result.node
            if len(resources) > 1:
                called += f" {job.result.name or job.result.id[:12]}"
            bars.add(called, job.row)
        await all_of([Deferred.fromCoroutine(job.run(reactor, session)) for job in jobs])
    results = [job.result for job in jobs]
    if session.settings.as_json:
        print_json(results)
    else:
        for result in results:
            if result.state == "done":
                what = result.name or result.id
                print_lines(f"{result.node}  {result.location}  {what}  {size_of(result.size)}")
    return first_failure([missing, *(job.exit for job in jobs)])
