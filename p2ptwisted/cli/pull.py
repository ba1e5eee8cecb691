"""`p2p pull`: has nodes fetch resources into their folders, and follows them."""

from collections.abc import Sequence
from http import HTTPStatus

from msgspec import Struct
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from p2ptwisted.cli.attendance import attendance
from p2ptwisted.cli.diagnosis import Role
from p2ptwisted.cli.exit_status import ExitStatus, first_failure
from p2ptwisted.cli.expected import Expected
from p2ptwisted.cli.hints import no_node
from p2ptwisted.cli.matches import FoundResource
from p2ptwisted.cli.node_names import named_node
from p2ptwisted.cli.orders import CALLS_AT_ONCE, UNDER_WAY_STATES, NodeOrders
from p2ptwisted.cli.output import print_json, print_lines, print_message, size_of
from p2ptwisted.cli.progress import ProgressBars, Row
from p2ptwisted.cli.pull_report import Outcome, called, closing_line, print_lost
from p2ptwisted.cli.session import ICommandReactor, Session, unique
from p2ptwisted.cli.transfer_tally import CANCELLED, DONE, FAILED, PRESENT, WAITING
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import OlderProgram, Unavailable
from p2ptwisted.model import DownloadStatus, Order
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.lifecycle import all_of
from p2ptwisted.support.locations import address_towards
from p2ptwisted.support.round_robin import host_of
from p2ptwisted.support.trusted_networks import how_to_trust
from p2ptwisted.support.wording import counted

INTERRUPTED = "interrupted; the nodes go on fetching: p2p status shows how far they are"


class PullResult(Struct):
    """
    The result for one resource at one node: `state` is that of the node's fetch.

    `name` is what it was found by; `stored_as` is what the node calls it, once that is known.
    """

    node: str
    location: str
    id: str
    name: str | None
    size: int | None
    state: str = WAITING
    seconds: float = 0.0
    holders: dict[str, int] = {}
    troubles: dict[str, str] = {}
    error: str | None = None
    stored_as: str | None = None

    @property
    def called(self) -> str:
        """What people call the resource."""
        return self.name or self.id


class PullJob:
    """One resource on its way to one node."""

    def __init__(
        self,
        clock: IReactorTime,
        match: FoundResource,
        node: str,
        location: str,
        is_one_of_many: bool = False,
    ) -> None:
        """`node` is the name of the node. `is_one_of_many`: messages say which resource it is."""
        self.result = PullResult(node, location, match.id, match.name, match.size)
        #: What its row and its last line call it.
        self.called = f"{node} {match.name or match.id[:12]}" if is_one_of_many else node
        self._status: DownloadStatus | None = None
        self._is_one_of_many = is_one_of_many
        self._clock = clock
        self._began = clock.seconds()

    @property
    def exit(self) -> ExitStatus:
        return ExitStatus.OK if self.result.state == DONE else ExitStatus.FAILED

    def row(self) -> Row:
        """The progress, for its bar."""
        result, status = self.result, self._status
        if result.state not in UNDER_WAY_STATES:
            state = PRESENT if self.was_there else result.state
            return Row(result.size, result.size, state=state, closing=self._closing())
        if status is None or status.size is None or status.state == WAITING:
            return Row(0, result.size, note=WAITING, state=WAITING)
        # Those that give nothing, as those that have gone, are among its troubles.
        note = counted(len(status.holders.keys() - status.troubles.keys()), "holder")
        return Row(status.here, status.size, status.rate, status.seconds_left, note)

    @property
    def was_there(self) -> bool:
        """Whether the node had it already: nobody has given it a byte of it."""
        return self.result.state == DONE and not any(self.result.holders.values())

    def _closing(self) -> str:
        """A line that says how it went; its error has been printed."""
        result = self.result
        if result.state != DONE:
            return ""
        if self.was_there:
            return f"{self.called}: had it already"
        gave = counted(sum(1 for count in result.holders.values() if count), "holder")
        return (
            f"{self.called}: {size_of(result.size)} in {result.seconds:.1f} s from {gave}, verified"
        )

    @property
    def order(self) -> Order:
        """What is ordered of the node."""
        return Order(self.result.id, self.result.name)

    def take(self, status: DownloadStatus) -> None:
        """Note how far it is at the node; where it has ended in another way, print why."""
        self._status = status
        result = self.result
        result.state, result.error = status.state, status.error
        result.stored_as = status.name or result.stored_as
        result.size = status.size or result.size
        result.holders, result.troubles = status.holders, status.troubles
        result.seconds = round(self._clock.seconds() - self._began, 3)
        if result.state == CANCELLED:
            result.error = "somebody cancelled it: pull it again to resume"
        if result.state not in UNDER_WAY_STATES and result.state != DONE:
            self._print_failed()

    def fail(self, error: Exception) -> None:
        """Note that it has failed, and print why."""
        self.lose(str(error))
        self._print_failed()

    def lose(self, why: str) -> None:
        """Note why it has failed, with all others at its node."""
        self.result.state, self.result.error = FAILED, why
        self.result.seconds = round(self._clock.seconds() - self._began, 3)

    def _print_failed(self) -> None:
        result = self.result
        what = f"{shown(result.called)}: " if self._is_one_of_many else ""
        at = called(result.node, result.location)
        print_message(f"{at}: {what}{result.error or FAILED}")


async def _why(session: Session, node: PullResult, error: Unavailable | Refused) -> str:
    """Why a node carries out no orders, and what to do, in a line that names it."""
    location = node.location
    at = called(node.node, location)
    if isinstance(error, Refused) and error.status == HTTPStatus.FORBIDDEN:
        host = host_of(location)
        how = how_to_trust(address_towards(host), host)
        return f"{at}: it doesn't take orders from here: {how}"
    if isinstance(error, OlderProgram):
        return f"{at}: {error}"
    return (await session.why(Role.NODE, location, error, at)).line


async def target_nodes(
    session: Session, urls: tuple[str, ...], all_nodes: bool
) -> list[tuple[str, str]]:
    """Name and location of each node to order from. Raises CommandError where there is none."""
    if all_nodes:
        lists = await session.listed_nodes()
        found = {node.location: node.name or node.location for _, ns in lists for node in ns}
        if not found:
            raise no_node(ExitStatus.NOBODY)
        return [(name, location) for location, name in found.items()]
    named = [await named_node(session, url) for url in urls]
    return [(name, at) for at, name in {one.location: one.name for one in named}.items()]


async def pull(
    reactor: ICommandReactor,
    session: Session,
    wanted: tuple[str, ...],
    urls: tuple[str, ...],
    all_nodes: bool,
    expected: Expected,
) -> ExitStatus:
    """
    Have nodes fetch those that are found, and wait until all fetches have ended.

    The status says too whether the expected nodes are there.
    """
    matches, missing = await session.find_each(wanted)
    nodes = await target_nodes(session, urls, all_nodes)
    group = await attendance(session, nodes, all_nodes, expected)
    resources = {one.id: one for one in unique(matches)}
    for match in matches:
        first = resources[match.id]
        if match is not first:
            print_message(
                f"{match.name} has the same content as {first.name}: fetched once, under that name"
            )
    is_many = len(resources) > 1
    by_node = [
        [PullJob(reactor, match, name, at, is_many) for match in resources.values()]
        for name, at in nodes
    ]
    jobs = [job for at_node in by_node for job in at_node]
    settings = session.settings
    with ProgressBars(reactor, settings.progress, not settings.as_json) as bars:
        for job in jobs:
            bars.add(job.called, job.row)
        await _carry_out(reactor, session, by_node)
    results = [job.result for job in jobs]
    if session.settings.as_json:
        print_json(results)
    else:
        for result in results:
            if result.state == DONE:
                what = result.stored_as or result.called
                print_lines(f"{result.node}  {result.location}  {what}  {size_of(result.size)}")
    total = expected.total(nodes)
    # What has failed alone was told already.
    if resources and (len(jobs) > 1 or total > 1 or jobs[0].exit is ExitStatus.OK):
        names = [match.name or match.id for match in resources.values()]
        print_message(closing_line(names, [_outcome(at_node) for at_node in by_node], total))
    return first_failure([missing, *(job.exit for job in jobs), group])


def _outcome(jobs: Sequence[PullJob]) -> Outcome:
    """What has become of these jobs, which are one node's."""
    result = jobs[0].result
    lacking = [job.result.called for job in jobs if job.exit is not ExitStatus.OK]
    return Outcome(result.node, result.location, lacking)


async def _carry_out(
    reactor: ICommandReactor, session: Session, by_node: Sequence[Sequence[PullJob]]
) -> None:
    """Have each node carry out its jobs; prints what fails."""
    room = DeferredSemaphore(CALLS_AT_ONCE)

    async def at_node(jobs: Sequence[PullJob]) -> None:
        result = jobs[0].result
        lost = await NodeOrders(reactor, session.client, result.location, jobs, room).run()
        if lost is None:
            return
        why = await _why(session, result, lost.error)
        for job in lost.jobs:
            job.lose(why)
        print_lost(why, len(jobs), [job.result.called for job in lost.jobs])

    await all_of([Deferred.fromCoroutine(at_node(jobs)) for jobs in by_node if jobs])
