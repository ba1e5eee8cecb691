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

from twisted.internet.defer import DebugInfo
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from simulation.clock import ProcessClock, Time
from simulation.group import Group
from simulation.mishaps import Mishaps
from simulation.network import Network, Weather
from simulation.older import OlderPeer
from simulation.promises import GIVEN_UP_WITHIN, KNOWN_WITHIN, Broken, Promises
from simulation.questions import Questions

#: Seconds of a history: until all have joined, until the first mishap can come.
SETTLED, CALM_UNTIL = 4.0, 5.0

#: Seconds of a history until the last mishap, and the same of one that is so long that
#: whatever happens once a minute happens in it.
MISHAPS_UNTIL, LONG_UNTIL = 20.0, 120.0

#: Every so manieth seed's group has a peer of another program.
OLDER_EACH = 5

#: Seconds from the last mishap until peace, of asking for what all have in the end, of asking
#: for what an older peer has, and for the last answers.
MENDING, ASKING, ASKING_OLDER, LAST = 2.0, 3.0, 2.0, 1.0

#: Seconds of peace, at least, before the last questions: until then a supernode may not have
#: heard of another (multicast.REFRESH). And for how many of these all must be as it should:
#: a sweep's and a heartbeat's 5 s, and some more.
PEACE, STEADY = 11.0, 6.0

#: Seconds between two looks at whether the dead and what was given up are forgotten, and in
#: peace all known: then, and before.
LOOK, LOOK_AMISS = 1, 2

#: Seconds between two questions of a kind: while all is well, and while mishaps happen.
SEARCH, BURST = 0.1, 0.5
SEARCH_AMISS, BURST_AMISS, HOLDERS_AMISS = 0.5, 2.5, 5.0

#: Seconds between two bursts with something of an older peer's.
BURST_OLDER = 0.2

#: What weather there is where there is no worse, at the most; in parts of 1, and seconds.
USUAL_LOSS, USUAL_TWICE, USUAL_LATEST = 0.002, 0.005, 0.005

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
        #: What is asked while anything may be amiss.
        self._asked_amiss: list[IDelayedCall] = []
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
            self._plan()
            self._time.run_until(self._peace)
            self._become_well()
            self._ask_at_last()
            self._end()
        except Exception:
            self._fail(Failure().getTraceback())
        finally:
            self._look_for_errors()
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

    def _plan(self) -> None:
        """All that happens until peace, and what is asked meanwhile and later."""
        random, questions = self._random, self._questions
        self._network.usual = Weather(
            random.uniform(0, USUAL_LOSS),
            random.uniform(0, USUAL_TWICE),
            latest=random.uniform(0.001, USUAL_LATEST),
        )
        if self.seed % OLDER_EACH == 2:
            self._older = self._group.add_older_peer()
        self._at(SETTLED, setattr, questions, "all_is_well", True)
        self._ask_often(SETTLED, CALM_UNTIL)
        self._at(CALM_UNTIL, setattr, questions, "all_is_well", False)
        self._mishaps.plan(CALM_UNTIL, self._last_mishap)
        self._at(self._peace, self._mishaps.make_peace)
        self._each(LOOK_AMISS, 0, self._peace, self._is_forgotten)
        end = self._peace + GIVEN_UP_WITHIN
        self._asked_amiss = [
            *self._each(SEARCH_AMISS, CALM_UNTIL, end, questions.search),
            *self._each(BURST_AMISS, CALM_UNTIL, end, questions.burst),
            *self._each(HOLDERS_AMISS, CALM_UNTIL, end, questions.holders),
        ]

    def _become_well(self) -> None:
        """Have peace last until all has been as it should for a while."""
        amiss = self._time.now
        while self._time.now < max(self._peace + PEACE, amiss + STEADY):
            self._time.run_until(self._time.now + LOOK)
            unknown = self._promises.unknown(self._group.alive())
            peace = self._time.now - self._peace
            if unknown:
                self._known_within = peace + LOOK
                if peace >= KNOWN_WITHIN:
                    raise Broken(f"{len(unknown)} unknown after {peace} s: {unknown[:5]}")
            if unknown or not self._is_forgotten():
                amiss = self._time.now
        for question in self._asked_amiss:
            if question.active():
                question.cancel()

    def _is_forgotten(self) -> bool:
        """Whether all is that is no longer so; raises Broken where it is so no longer for long."""
        forgotten, given_up = self._promises.forgotten(), self._promises.given_up()
        return forgotten and given_up

    def _ask_at_last(self) -> None:
        """Ask for what all have, and in the end for what an older peer has, and be answered."""
        until = self._time.now + ASKING
        self._questions.all_is_well = True
        self._at(self._time.now, self._questions.holders)
        self._ask_often(self._time.now, until)
        if self._older is not None:
            since, until = until, until + ASKING_OLDER
            self._each(BURST_OLDER, since, until, self._questions.burst, self._older)
        self._time.run_until(until)
        # What is asked from now on may stay open.
        self._questions.all_is_well = False
        self._time.run_until(until + LAST)

    def _ask_often(self, since: float, until: float) -> None:
        self._each(SEARCH, since, until, self._questions.search)
        self._each(BURST, since, until, self._questions.burst)

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

    def _look_for_errors(self) -> None:
        """Those that nobody took; a Deferred in a ring logs its own only when it is collected."""
        # Collecting all would take a fifth of a history's time.
        for one in gc.get_objects():
            if type(one) is DebugInfo and one.failResult is not None:
                self._fail(one.failResult.getTraceback())
                one.failResult = None

    def _fail(self, problem: str) -> None:
        if len(self._problems) < PROBLEMS_TOLD:
            self._problems.append(f"at {self._time.now:.3f} s: {problem}")

    # -- bits

    def _fork(self) -> Random:
        """Chances of its own, so that one part's don't change another's."""
        return Random(self._random.getrandbits(64))

    def _at(self, seconds: float, what: Callable[..., object], *arguments: object) -> IDelayedCall:
        return self._clock.callLater(seconds - self._time.now, what, *arguments)

    def _each(
        self,
        interval: float,
        since: float,
        until: float,
        what: Callable[..., object],
        *arguments: object,
    ) -> list[IDelayedCall]:
        """From then until before then, again and again."""
        return [
            self._at(since + number * interval, what, *arguments)
            for number in range(round((until - since) / interval))
        ]
