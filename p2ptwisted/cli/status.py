"""`p2p nodes`, `p2p supernodes` and `p2p status`: the members of the group and their state."""

from msgspec import Struct
from twisted.internet.defer import Deferred

from p2ptwisted.cli.diagnosis import Role
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.gone import Gone, gone_nodes, print_gone
from p2ptwisted.cli.hints import no_node
from p2ptwisted.cli.output import print_json, print_lines, print_message, print_table, size_of
from p2ptwisted.cli.runner import status_of
from p2ptwisted.cli.session import Session
from p2ptwisted.cli.transfer_tally import UNDER_WAY
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import InvalidInput, OlderProgram, Unavailable
from p2ptwisted.model import DownloadStatus, Health, NodeInfo
from p2ptwisted.support.lifecycle import all_of


class NodeState(Struct):
    """
    A node, its supernode, and its own report.

    There is no report where it doesn't answer, which is an error, and where it is the older
    program's, which is none.
    """

    name: str
    location: str
    supernode: str
    health: Health | None = None
    #: Only those that are waiting or running.
    fetches: list[DownloadStatus] = []
    error: str | None = None
    #: Whether its supernode can reach it.
    reachable: bool = True


class SupernodeState(Struct):
    """A supernode and its number of nodes; None where it can't be asked, and then why."""

    location: str
    nodes: int | None
    error: str | None = None


class GroupState(Struct):
    """All members of the group, and what is wrong."""

    supernodes: list[SupernodeState]
    nodes: list[NodeState]
    problems: list[str]
    #: Those that went within the last hour, the last first.
    gone: list[Gone] = []


async def nodes(session: Session) -> ExitStatus:
    """Print all nodes of all supernodes."""
    lists = await session.listed_nodes()
    found = [_state(node, at) for at, ns in lists for node in ns]
    gone = await gone_nodes(session, lists)
    if not found:
        print_gone(gone)
        raise no_node(ExitStatus.NOT_FOUND)
    if session.settings.as_json:
        keys = ("name", "location", "supernode", "reachable")
        print_json([{key: getattr(one, key) for key in keys} for one in found])
    else:
        print_table(
            ("NAME", "LOCATION", "SUPERNODE"),
            [(one.name, one.location, one.supernode) for one in found],
        )
        for one in found:
            if not one.reachable:
                print_message(f"nobody can reach {one.location}: p2p status says what to do")
    print_gone(gone)
    return ExitStatus.OK


async def supernodes(session: Session) -> ExitStatus:
    """Print all supernodes, with the number of their nodes."""
    found = [await _supernode(session, at, ns) for at, ns in await session.nodes()]
    if session.settings.as_json:
        print_json(found)
    else:
        print_table(("LOCATION", "NODES"), _rows(session, found))
        for one in found:
            if one.error is not None:
                print_message(one.error)
    return ExitStatus.OK


async def status(session: Session) -> ExitStatus:
    """Print the state of all members, and what to do about what is wrong."""
    try:
        lists = await session.nodes()
    except (CommandError, InvalidInput, Unavailable, Refused) as error:
        # A program that reads this reads the same document in every case.
        if session.settings.as_json:
            print_json(GroupState([], [], [str(error)]))
        return status_of(error)
    states = await all_of(
        [Deferred.fromCoroutine(_look(session, node, at)) for at, ns in lists for node in ns or ()]
    )
    found = [await _supernode(session, at, ns) for at, ns in lists]
    state = GroupState(found, states, [])
    state.gone = await gone_nodes(session, lists)
    state.problems = problems(state)
    if session.settings.as_json:
        print_json(state)
    else:
        _show(session, state)
    return ExitStatus.FAILED if state.problems else ExitStatus.OK


async def _look(session: Session, node: NodeInfo, supernode: str) -> NodeState:
    state = _state(node, supernode)
    try:
        state.health = await session.client.health(node.location)
        fetches = await session.client.fetches(node.location)
        state.fetches = [one for one in fetches if one.state in UNDER_WAY]
    except OlderProgram:
        pass  # It is well.
    except (Unavailable, Refused) as error:
        called = f"{node.name} ({node.location})"
        state.error = (await session.why(Role.NODE, node.location, error, called)).line
    return state


def problems(state: GroupState) -> list[str]:
    """A line for each thing that is wrong, with what to do."""
    found = [
        one.error or f"supernode {one.location} gives no answer"
        for one in state.supernodes
        if one.nodes is None
    ]
    if not found and not state.nodes:
        found.append(str(no_node(ExitStatus.NOT_FOUND)))
    for node in state.nodes:
        if not node.reachable:
            found.append(_unreachable(node))
        elif node.error is not None:
            found.append(f"{node.error} (If it has gone, it is forgotten in some seconds.)")
        if node.health is not None and node.health.folder_problem:
            found.append(f"node {node.name} ({node.location}): {node.health.folder_problem}")
        for fetch in node.fetches:
            for holder, why in fetch.troubles.items():
                found.append(f"node {node.name} gets nothing of {fetch.id} from {holder}: {why}")
    return found


def _state(node: NodeInfo, supernode: str) -> NodeState:
    return NodeState(node.name, node.location, supernode, reachable=node.reachable)


def _unreachable(node: NodeState) -> str:
    # From here it may be reached all the same, as by others on its own side of a firewall.
    if node.error is not None:
        trouble = f"nobody can reach {node.location} ({node.error})"
    else:
        trouble = f"supernode {node.supernode} can't reach {node.location}, though this host can"
    return (
        f"{trouble}: it is where node {node.name} says that it is. Open that port in its host's "
        "firewall, or start it with --location HOST:PORT where others reach it"
    )


async def _supernode(
    session: Session, location: str, nodes: list[NodeInfo] | None
) -> SupernodeState:
    if nodes is not None:
        return SupernodeState(location, len(nodes))
    return SupernodeState(location, None, (await session.why_silent(location)).line)


def _rows(session: Session, found: list[SupernodeState]) -> list[tuple[str, str]]:
    return [
        (one.location, session.state_of(one.location) if one.nodes is None else str(one.nodes))
        for one in found
    ]


def _show(session: Session, state: GroupState) -> None:
    print_table(("SUPERNODE", "NODES"), _rows(session, state.supernodes))
    if state.nodes:
        print_lines("")
        print_table(
            ("NODE", "LOCATION", "SUPERNODE", "RESOURCES", "STATE"),
            [_node(session, one) for one in state.nodes],
        )
    under_way = [(node, fetch) for node in state.nodes for fetch in node.fetches]
    if under_way:
        print_lines("")
        print_table(
            ("FETCHING", "AT", "HERE", "RATE"),
            [(one.name or one.id, node.name, *_progress(one)) for node, one in under_way],
        )
    if state.gone:
        print_lines("")
        print_table(
            ("GONE", "LOCATION", "WHEN", "HOW"),
            [(one.name, one.location, one.when, one.why) for one in state.gone],
        )
    if state.problems:
        print_lines("", "Problems:", *(f"  {one}" for one in state.problems))


def _node(session: Session, one: NodeState) -> tuple[str, str, str, str, str]:
    if not one.reachable:
        resources = "?" if one.health is None else str(one.health.resources)
        return one.name, one.location, one.supernode, resources, "nobody can reach it"
    if one.health is None:
        state = "the older program's" if one.error is None else session.state_of(one.location)
        return one.name, one.location, one.supernode, "?", state
    doing = "scanning its folder" if one.health.scanning else "ok"
    if one.health.folder_problem:
        doing = "trouble with its folder"
    return one.name, one.location, one.supernode, str(one.health.resources), doing


def _progress(fetch: DownloadStatus) -> tuple[str, str]:
    if fetch.size is None:
        return fetch.state, ""
    here = f"{size_of(fetch.here or 0)} of {size_of(fetch.size)}"
    return here, f"{size_of(fetch.rate)}/s" if fetch.rate else fetch.state
