"""`p2p pull`: has nodes fetch resources into their folders, and follows them."""

from collections.abc import Sequence
from http import HTTPStatus

from twisted.internet.defer import Deferred, DeferredSemaphore

from p2ptwisted.cli.attendance import attendance
from p2ptwisted.cli.diagnosis import Role
from p2ptwisted.cli.exit_status import ExitStatus, first_failure
from p2ptwisted.cli.expected import Expected
from p2ptwisted.cli.node_pull import NodePull
from p2ptwisted.cli.orders import CALLS_AT_ONCE, NodeOrders
from p2ptwisted.cli.output import print_json, print_lines, print_message
from p2ptwisted.cli.progress import ProgressBars
from p2ptwisted.cli.pull_job import PullJob
from p2ptwisted.cli.pull_report import called, closing_line, print_lost
from p2ptwisted.cli.session import ICommandReactor, Session, unique
from p2ptwisted.cli.target_nodes import target_nodes
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import OlderProgram, Unavailable
from p2ptwisted.support.lifecycle import all_of
from p2ptwisted.support.locations import address_towards
from p2ptwisted.support.round_robin import host_of
from p2ptwisted.support.trusted_networks import how_to_trust

INTERRUPTED = "interrupted; the nodes go on fetching: p2p status shows how far they are"


async def _why(session: Session, node: NodePull, error: Unavailable | Refused) -> str:
    """Why a node carries out no orders, and what to do, in a line that names it."""
    location = node.location
    at = called(node.name, location)
    if isinstance(error, Refused) and error.status == HTTPStatus.FORBIDDEN:
        host = host_of(location)
        how = how_to_trust(address_towards(host), host)
        return f"{at}: it doesn't take orders from here: {how}"
    if isinstance(error, OlderProgram):
        return f"{at}: {error}"
    return (await session.why(Role.NODE, location, error, at)).line


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
        NodePull([PullJob(reactor, match, name, at, is_many) for match in resources.values()])
        for name, at in nodes
        if resources
    ]
    settings = session.settings
    with ProgressBars(reactor, settings.progress, not settings.as_json) as bars:
        for node in by_node:
            bars.add(node.name, node.row)
        await _carry_out(reactor, session, by_node)
    jobs = [job for node in by_node for job in node.jobs]
    if settings.as_json:
        print_json([job.result for job in jobs])
    else:
        for node in by_node:
            if node.good:
                print_lines(node.result_line)
    total = expected.total(nodes)
    # What has failed alone was told already.
    if resources and (len(jobs) > 1 or total > 1 or jobs[0].exit is ExitStatus.OK):
        names = [match.name or match.id for match in resources.values()]
        print_message(closing_line(names, [node.outcome for node in by_node], total))
    return first_failure([missing, *(job.exit for job in jobs), group])


async def _carry_out(
    reactor: ICommandReactor, session: Session, by_node: Sequence[NodePull]
) -> None:
    """Have each node carry out its jobs; prints what fails."""
    room = DeferredSemaphore(CALLS_AT_ONCE)

    async def at_node(node: NodePull) -> None:
        orders = NodeOrders(reactor, session.client, node.location, node.jobs, room)
        lost = await orders.run()
        if lost is None:
            return
        node.is_lost = True
        why = await _why(session, node, lost.error)
        for job in lost.jobs:
            job.lose(why)
        print_lost(why, len(node.jobs), [job.result.called for job in lost.jobs])

    await all_of([Deferred.fromCoroutine(at_node(node)) for node in by_node])
