"""A Clock that goes by an AwakeClock, as the reactor of a process does that can stand still."""

from collections.abc import Iterable

from twisted.internet.task import Clock

from p2ptwisted.support.awake_clock import LOOK_INTERVAL, AwakeClock


class StoppableClock(Clock):
    """Time passes as for a process that is awake, unless it is told to stand still."""

    def __init__(self) -> None:
        super().__init__()
        #: `rightNow` is the time of the world outside.
        self.awake = AwakeClock(lambda: float(self.rightNow))

    def seconds(self) -> float:
        return self.awake.seconds()

    def advance(self, amount: float) -> None:
        """Let so much time pass, with a look at the clock every LOOK_INTERVAL."""
        while True:
            step = min(amount, LOOK_INTERVAL)
            super().advance(step)
            self.awake.look()
            amount -= step
            if amount <= 0:
                return

    def pump(self, timings: Iterable[float]) -> None:
        for amount in timings:
            self.advance(amount)

    def stand_still(self, seconds: float) -> None:
        """Have the process stand still for so long; then it looks what is due, and no more."""
        super().advance(seconds)

    def wake(self) -> None:
        """Let it read what has come, and go on."""
        self.advance(LOOK_INTERVAL)
