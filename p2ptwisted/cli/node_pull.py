"""All that `p2p pull` has one node fetch: one row, one line when it has ended, one result."""

from collections import Counter
from collections.abc import Sequence

from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.output import size_of
from p2ptwisted.cli.pull_job import PullJob
from p2ptwisted.cli.pull_report import Outcome, fetched
from p2ptwisted.cli.transfer_tally import (
    CANCELLED,
    DONE,
    ENDED,
    FAILED,
    PRESENT,
    RUNNING,
    WAITING,
    Row,
)
from p2ptwisted.support.wording import counted


class NodePull:
    """
    The jobs of one node, and what they have come to.

    Sums are kept, since a row is looked at ten times a second and can stand for thousands of jobs.
    """

    def __init__(self, jobs: Sequence[PullJob]) -> None:
        """`jobs` are one or more, all of the same node."""
        self.jobs = jobs
        self.name, self.location = jobs[0].result.node, jobs[0].result.location
        #: Whether it can't be asked any more, or took no order.
        self.is_lost = False
        self._rows = {job.result.id: job.row() for job in jobs}
        self._states = Counter(row.state for row in self._rows.values())
        self._size = sum(row.size or 0 for row in self._rows.values())
        self._here = 0
        #: The rates of those that run, which are few. A running sum would drift from zero.
        self._rates: dict[str, float] = {}
        self._givers: set[str] = set()
        #: Bytes of those that were fetched, and when the last of them was.
        self._fetched, self._seconds = 0, 0.0
        for job in jobs:
            job.on_change = self._note

    @property
    def good(self) -> int:
        """How many of its resources it has."""
        return self._states[DONE] + self._states[PRESENT]

    def row(self) -> Row:
        """The progress of all together, for its bar; of one job, that job's."""
        if len(self.jobs) == 1:
            return self.jobs[0].row()
        state = self._state
        if state == WAITING:
            return Row(0, self._size or None, note=WAITING, state=WAITING)
        rate = sum(self._rates.values())
        left = (self._size - self._here) / rate if rate else None
        return Row(
            self._here,
            self._size or None,
            rate or None,
            left,
            f"{self.good} of {len(self.jobs)} files",
            state,
            self._closing() if state in (DONE, PRESENT) else "",
        )

    @property
    def result_line(self) -> str:
        """What is printed of a node that has at least one of the resources."""
        if len(self.jobs) == 1:
            result = self.jobs[0].result
            what = result.stored_as or result.called
        else:
            few = "" if self.good == len(self.jobs) else f"{self.good} of "
            what = f"{few}{len(self.jobs)} files"
        return f"{self.name}  {self.location}  {what}  {size_of(self.row().size)}"

    @property
    def outcome(self) -> Outcome:
        """What has become of all of them."""
        lacking = [job.result.called for job in self.jobs if job.exit is not ExitStatus.OK]
        return Outcome(self.name, self.location, lacking, self.is_lost)

    @property
    def _state(self) -> str:
        if sum(self._states[state] for state in ENDED) < len(self.jobs):
            return WAITING if self._states[WAITING] == len(self.jobs) else RUNNING
        if self._states[FAILED] or self._states[CANCELLED]:
            return FAILED
        return DONE if self._states[DONE] else PRESENT

    def _closing(self) -> str:
        """A line for a node that has all of them."""
        count, had = len(self.jobs), self._states[PRESENT]
        if had == count:
            which = "both" if count == 2 else f"all {count}"
            return f"{self.name}: had {which} files already"
        came = fetched(self._fetched, self._seconds, len(self._givers))
        before = f"; it had {had} already" if had else ""
        return f"{self.name}: {counted(count - had, 'file')}, {came}{before}"

    def _note(self, job: PullJob) -> None:
        """Count what has changed."""
        id = job.result.id
        before, now = self._rows[id], job.row()
        self._rows[id] = now
        self._states[before.state] -= 1
        self._states[now.state] += 1
        self._here += _here(now) - _here(before)
        self._size += _size(now) - _size(before)
        self._rates.pop(id, None)
        if now.state == RUNNING and now.rate:
            self._rates[id] = now.rate
        if now.state == DONE and before.state != DONE:
            self._fetched += now.size or 0
            self._seconds = max(self._seconds, job.result.seconds)
            self._givers.update(job.givers)


def _size(row: Row) -> int:
    """The bytes that a row stands for; what has failed doesn't count."""
    return 0 if row.state in (FAILED, CANCELLED) else row.size or 0


def _here(row: Row) -> int:
    return 0 if row.state in (FAILED, CANCELLED) else row.here or 0
