"""
How long a file must have been left alone before it is hashed. Pure.

One that is changed again soon after it was hashed, such as a log that is appended to each second,
must be left alone for longer each time: else it would be hashed, announced and registered each
second, whatever its size.
"""

from p2ptwisted.model import FileStamp

#: Seconds that a file must have been left alone: one that is still being written would only have
#: to be hashed again.
SETTLE = 0.4

#: The same for a file that changes again and again, at the most; or as long as hashing it takes.
SETTLE_MAX = 30.0

#: A file is restless that changes, after it was hashed, within so many times its quiet time or the
#: time that hashing it took.
RESTLESS = 10

#: Files that are remembered, those that have changed last.
FILES_MAX = 10_000


class _Record:
    """What is remembered of a file that has changed."""

    __slots__ = ("began", "changed_at", "hashed_at", "quiet", "restless", "stamp", "took")

    def __init__(self, stamp: FileStamp, now: float) -> None:
        self.stamp = stamp
        self.changed_at = now
        #: When hashing it began, when it was hashed since it has changed, and how long that took.
        self.began = now
        self.hashed_at: float | None = None
        self.took = 0.0
        #: How often in a row it has changed again soon after it was hashed.
        self.restless = 0
        self.quiet = SETTLE


class QuietTimes:
    """The quiet times of files that have changed."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def changed(self, name: str, stamp: FileStamp, now: float) -> None:
        """Note that a file, which had been hashed, has changed, and has that stamp now."""
        record = self._records.pop(name, None)
        if record is None:
            record = _Record(stamp, now)
            if len(self._records) >= FILES_MAX:
                del self._records[next(iter(self._records))]
        elif record.hashed_at is not None:
            is_restless = now - record.hashed_at < RESTLESS * max(record.quiet, record.took)
            if not is_restless:
                record.restless, record.quiet = 0, SETTLE
            elif record.restless:
                record.quiet = min(2 * record.quiet, max(SETTLE_MAX, record.took))
            record.restless += is_restless
            record.hashed_at = None
        record.stamp, record.changed_at = stamp, now
        self._records[name] = record

    def wait(
        self, name: str, stamp: FileStamp, age: float, now: float, was_known: bool = True
    ) -> float:
        """
        Return for how many seconds more a file must be left alone; 0 if it may be hashed.

        `age`: seconds since it was written, by its time. One in the future says nothing.
        `was_known`: whether it had another stamp before.
        """
        settling = SETTLE - age if 0 <= age < SETTLE else 0.0
        record = self._records.get(name)
        if record is None or record.stamp != stamp:
            if record is None and not was_known:
                return settling
            self.changed(name, stamp, now)
            record = self._records[name]
        if record.quiet == SETTLE:
            return settling
        return max(settling, record.changed_at + record.quiet - now)

    def hashing(self, name: str, now: float) -> None:
        """Note that a file is given to be hashed."""
        record = self._records.get(name)
        if record is not None:
            record.began = now

    def hashed(self, name: str, now: float) -> None:
        """Note that a file was hashed."""
        record = self._records.get(name)
        if record is not None:
            record.hashed_at, record.took = now, now - record.began

    def gone(self, name: str) -> None:
        """Note that there is no such file any more."""
        self._records.pop(name, None)
