"""
One history: a group that begins, to which a seed lets happen what happens on
networks, and which is then left in peace.
"""

import gc
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import cast

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from bench.sim.clock import ProcessClock, Time
from bench.sim.group import Group
from bench.sim.mishaps import Mishaps
from bench.sim.network import Network, Weather
from bench.sim.older import OlderPeer
from bench.sim.promises import KNOWN_WITHIN, Broken, Promises
from bench.sim.questions import Questions

#: Seconds of a history: until all have joined, until the first mishap can come.
SETTLED, CALM_UNTIL = 6.0, 7.5

#: Seconds of a history until the last mishap, and the same of one that is so long that
#: whatever happens once a minute happens in it.
MISHAPS_UNTIL, LONG_UNTIL = 32.0, 120.0

#: Every so manieth seed's group has a peer of another program.
OLDER_EACH = 5

#: Seconds from the last mishap until peace, of looking for what all have in the end, of
#: asking for what an older peer has, and for the last answers.
MENDING, LOOKING, ASKING_OLDER, LAST = 10.0, 3.0, 2.0, 1.0

#: Seconds between two looks at whether the dead and what was given up are forgotten, and at
#: whether all are known.
LOOK, LOOK_KNOWN = 2, 1

#: Seconds between two questions of a kind: while all is well, and while mishaps happen.
SEARCH, BURST = 0.1, 0.5
SEARCH_AMISS, BURST_AMISS, HOLDERS_AMISS = 0.5, 2.5, 5.0

#: Seconds between two bursts with something of an older peer's.
BURST_OLDER = 0.2

#: What weather there is where there is no worse, at the most; in parts of 1, and seconds.
USUAL_LOSS, USUAL_TWICE, USUAL_LATEST = 0.002, 0.005, 0.02

#: Of what is asked for and there, the part that must be found, whatever happens.
FOUND = 0.6

#: Problems of one history that are told: an error that nobody took is logged in two events.
PROBLEMS_TOLD = 2


@dataclass(frozen=True)
class Outcome:
    """What a history came to; times in seconds."""

    seed: int
    #: Why it is a failure; empty where it is none.
    problem: str
    #: Ids that were asked for and that somebody had; how many of them were found, or not.
    asked: int = 0
    answers: int = 0
    misses: int = 0
    #: Calls by which an older peer was asked whether it has what its answer may be about.
    confirmed: int = 0
    datagrams: int = 0
    calls: int = 0
    forgotten_within: float = 0.0
    given_up_within: float = 0.0
    known_within: float = 0.0
    #: A digest of all that was answered: the same for the same seed.
    trace: str = ""


class History:
    """A group, and what happens to it."""

    def __init__(self, seed: int, supernodes: int, nodes: int, long: bool = False) -> None:
        self.seed = seed
        self._random = Random(seed)
        self._time = Time()
        #: On whose time mishaps happen and the observer asks.
        self._clock = ProcessClock(self._time)
        self._network = Network(self._time, self._fork())
        self._trace = hashlib.sha256()
        #: What went wrong first, and next, which may say more.
        self._problems: list[str] = []
        self._known_within = 0.0
        self._last_mishap = LONG_UNTIL if long else MISHAPS_UNTIL
        self._peace = self._last_mishap + MENDING
        self._group = Group(self._time, self._network, self._fork(), supernodes, nodes)
        self._older: OlderPeer | None = None
        self._mishaps = Mishaps(self._clock, self._network, self._group, self._fork(), self._peace)
        self._promises = Promises(self._group.memory, self._group.supernodes, self._fork())
        self._questions = Questions(
            self._group, self._promises, self._fork(), self._fail, self._told
        )
        for _ in range(nodes):
            self._at(self._random.uniform(0, SETTLED / 2), self._group.add_node)

    def run(self) -> Outcome:
        """Live through it all; never raises."""
        observer = cast(ILogObserver, self._log)
        globalLogPublisher.addObserver(observer)
        try:
            self._time.run_until(self._plan())
            self._end()
        except Exception:
            self._fail(Failure().getTraceback())
        finally:
            # A Deferred logs the error that nobody took when it is collected.
            gc.collect()
            globalLogPublisher.removeObserver(observer)
            self._group.close()
        return Outcome(
            self.seed,
            "\n".join(self._problems),
            self._questions.asked,
            self._questions.answers,
            self._questions.misses,
            0 if self._older is None else self._older.confirmed,
            self._network.datagrams,
            self._network.calls,
            self._promises.latest_forgotten,
            self._promises.latest_given_up,
            self._known_within,
            self._trace.hexdigest(),
        )

    # -- what is to come

    def _plan(self) -> float:
        """Gives when it is all over."""
        random, questions = self._random, self._questions
        self._network.usual = Weather(
            random.uniform(0, USUAL_LOSS),
            random.uniform(0, USUAL_TWICE),
            latest=random.uniform(0.001, USUAL_LATEST),
        )
        if self.seed % OLDER_EACH == 2:
            self._older = self._group.add_older_peer()
        self._mishaps.plan(CALM_UNTIL, self._last_mishap)
        self._at(self._peace, self._mishaps.make_peace)
        known = self._peace + KNOWN_WITHIN
        looked = known + LOOKING
        end = looked + (LAST if self._older is None else ASKING_OLDER + LAST)
        self._each(LOOK, 0, end, self._promises.forgotten)
        self._each(LOOK, 0, end, self._promises.given_up)
        self._each(LOOK_KNOWN, self._peace, known, self._look)
        self._at(known, self._all_known)
        for since, until in ((SETTLED, CALM_UNTIL), (known, end)):
            self._at(since, setattr, questions, "all_is_well", True)
            self._at(until, setattr, questions, "all_is_well", False)
        for since, until in ((SETTLED, CALM_UNTIL), (known, looked)):
            self._each(SEARCH, since, until, questions.search)
            self._each(BURST, since, until, questions.burst)
        self._each(SEARCH_AMISS, CALM_UNTIL, known, questions.search)
        self._each(BURST_AMISS, CALM_UNTIL, known, questions.burst)
        self._each(HOLDERS_AMISS, CALM_UNTIL, looked, questions.holders)
        if self._older is not None:
            self._each(BURST_OLDER, looked, end - LAST, questions.burst, self._older)
        return end

    def _look(self) -> None:
        if self._promises.unknown(self._group.alive()):
            self._known_within = self._time.now + LOOK_KNOWN - self._peace

    def _all_known(self) -> None:
        unknown = self._promises.unknown(self._group.alive())
        if unknown:
            raise Broken(f"{len(unknown)} unknown after {KNOWN_WITHIN} s of peace: {unknown[:5]}")

    def _end(self) -> None:
        asked, answers = self._questions.asked, self._questions.answers
        if self._questions.open:
            raise Broken(f"{self._questions.open} questions are not answered")
        if answers < asked * FOUND:
            raise Broken(f"only {answers} of {asked} were found")

    # -- what is noticed

    def _told(self, found: object) -> None:
        self._trace.update(f"{self._time.now} {found}\n".encode())

    def _log(self, event: LogEvent) -> None:
        """A mistake that a daemon would log and survive is a failure here."""
        if event["log_level"] is LogLevel.critical:
            failure = event.get("log_failure")
            self._fail(formatEvent(event) if failure is None else failure.getTraceback())

    def _fail(self, problem: str) -> None:
        if len(self._problems) < PROBLEMS_TOLD:
            self._problems.append(f"at {self._time.now:.3f} s: {problem}")

    # -- bits

    def _fork(self) -> Random:
        """Chances of its own, so that one part's don't change another's."""
        return Random(self._random.getrandbits(64))

    def _at(self, seconds: float, what: Callable[..., object], *arguments: object) -> None:
        self._clock.callLater(seconds - self._time.now, what, *arguments)

    def _each(
        self,
        interval: float,
        since: float,
        until: float,
        what: Callable[..., object],
        *arguments: object,
    ) -> None:
        """From then until before then, again and again."""
        for number in range(round((until - since) / interval)):
            self._at(since + number * interval, what, *arguments)
