"""One resource that `p2p pull` has a node fetch: how far it is, and what is said of it."""

from collections.abc import Callable

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.matches import FoundResource
from p2ptwisted.cli.output import print_message
from p2ptwisted.cli.pull_report import called, fetched
from p2ptwisted.cli.transfer_tally import (
    CANCELLED,
    DONE,
    FAILED,
    PRESENT,
    UNDER_WAY,
    WAITING,
    Row,
)
from p2ptwisted.model import DownloadStatus, Order
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.wording import counted


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
        #: Called after each change, with this job.
        self.on_change: Callable[[PullJob], None] = lambda job: None
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
        if result.state not in UNDER_WAY:
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
        return self.result.state == DONE and not self.givers

    def _closing(self) -> str:
        """A line that says how it went; its error has been printed."""
        result = self.result
        if result.state != DONE:
            return ""
        if self.was_there:
            return f"{result.node}: had it already"
        came = fetched(result.size, result.seconds, len(self.givers))
        return f"{result.node}: {came}"

    @property
    def givers(self) -> list[str]:
        """The locations that bytes came from."""
        return [location for location, count in self.result.holders.items() if count]

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
        if result.state not in UNDER_WAY and result.state != DONE:
            self._print_failed()
        self.on_change(self)

    def fail(self, error: Exception) -> None:
        """Note that it has failed, and print why."""
        self.lose(str(error))
        self._print_failed()

    def lose(self, why: str) -> None:
        """Note why it has failed, with all others at its node."""
        self.result.state, self.result.error = FAILED, why
        self.result.seconds = round(self._clock.seconds() - self._began, 3)
        self.on_change(self)

    def _print_failed(self) -> None:
        result = self.result
        what = f"{shown(result.called)}: " if self._is_one_of_many else ""
        at = called(result.node, result.location)
        print_message(f"{at}: {what}{result.error or FAILED}")
