"""
One history: a group starts, mishaps chosen by a seed happen to it, and then it is
left in peace.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from twisted.internet.interfaces import IDelayedCall

from simulation.clock import ProcessClock, Time
from simulation.group import Group
from simulation.mishaps import Mishaps
from simulation.network import Network, Weather
from simulation.older_peer import OlderPeer
from simulation.problems import Problems
from simulation.promises import GIVEN_UP_WITHIN, KNOWN_WITHIN, BrokenPromise, Promises
from simulation.questions import Questions

#: Seconds of a history: until all have joined, until the first mishap can come.
SETTLED, CALM_UNTIL = 4.0, 5.0

#: Seconds of a history until the last mishap; and the same of a long one, in which
#: everything happens that happens once a minute.
MISHAPS_UNTIL, LONG_UNTIL = 20.0, 120.0

#: One in so many seeds has a group with a peer of an older program.
OLDER_EVERY = 5

#: Seconds from the last mishap until peace; then, at the end, of asking for what all have, of
#: asking for what an older peer has, and of waiting for the last answers.
MENDING, ASKING, ASKING_OLDER, LAST = 2.0, 3.0, 2.0, 1.0

#: Seconds of peace, at least, before the last questions: until then a supernode may not have
#: heard of another (multicast.REFRESH). And for how many of these all must be well: a sweep's
#: and a heartbeat's 5 s, and some more.
PEACE, STEADY = 11.0, 6.0

#: Seconds between two checks that the dead and what was given up are forgotten and, in peace,
#: that all living nodes are known: in peace, and before it.
LOOK, LOOK_AMISS = 1, 2

#: Seconds between two questions of a kind: while all is well, and while mishaps happen.
SEARCH, BURST = 0.1, 0.5
SEARCH_AMISS, BURST_AMISS, HOLDERS_AMISS = 0.5, 2.5, 5.0

#: Seconds between two bursts with something of an older peer's.
BURST_OLDER = 0.2

#: The usual weather at its worst; in parts of 1, and seconds.
USUAL_LOSS, USUAL_DUPLICATED, USUAL_LATEST = 0.002, 0.005, 0.005

#: The part of what is asked for and there that must be found, whatever happens.
FOUND = 0.6


@dataclass(frozen=True)
class Outcome:
    """The result of a history; times in seconds."""

    seed: int
    #: Why it is a failure; empty where it is none.
    problem: str
    #: How many ids were asked for that somebody had; how many were found, and how many not.
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
        #: The clock of the mishaps and the questions.
        self._clock = ProcessClock(self._time)
        self._network = Network(self._time, self._fork())
        self._trace = hashlib.sha256()
        self._problems = Problems(self._time)
        self._known_within = 0.0
        #: The calls of the questions that are asked amid mishaps.
        self._asked_amiss: list[IDelayedCall] = []
        self._last_mishap = LONG_UNTIL if long else MISHAPS_UNTIL
        self._peace = self._last_mishap + MENDING
        self._group = Group(self._time, self._network, self._fork(), supernodes, nodes)
        self._older: OlderPeer | None = None
        self._mishaps = Mishaps(self._clock, self._network, self._group, self._fork(), self._peace)
        self._promises = Promises(self._group.truth, self._group.supernodes, self._fork())
        self._questions = Questions(
            self._group, self._promises, self._fork(), self._problems.add, self._record
        )
        for _ in range(nodes):
            self._at(self._random.uniform(0, SETTLED / 2), self._group.add_node)

    def run(self) -> Outcome:
        """Run it all, and return the outcome; never raises."""
        with self._problems.looked_for():
            self._plan()
            self._time.run_until(self._peace)
            self._become_well()
            self._ask_at_last()
            self._end()
        self._group.close()
        return Outcome(
            self.seed,
            str(self._problems),
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
        """Schedule all that happens until peace, and what is asked until then and later."""
        random, questions = self._random, self._questions
        self._network.usual = Weather(
            random.uniform(0, USUAL_LOSS),
            random.uniform(0, USUAL_DUPLICATED),
            latest=random.uniform(0.001, USUAL_LATEST),
        )
        if self.seed % OLDER_EVERY == 2:
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
        """Let peace last until all has been well for a while."""
        amiss = self._time.now
        while self._time.now < max(self._peace + PEACE, amiss + STEADY):
            self._time.run_until(self._time.now + LOOK)
            unknown = self._promises.unknown(self._group.alive())
            peace = self._time.now - self._peace
            if unknown:
                self._known_within = peace + LOOK
                if peace >= KNOWN_WITHIN:
                    raise BrokenPromise(f"{len(unknown)} unknown after {peace} s: {unknown[:5]}")
            if unknown or not self._is_forgotten():
                amiss = self._time.now
        for question in self._asked_amiss:
            if question.active():
                question.cancel()

    def _is_forgotten(self) -> bool:
        """
        Whether all supernodes have forgotten the dead and what was given up.

        Raises BrokenPromise if any should have long ago.
        """
        forgotten, given_up = self._promises.forgotten(), self._promises.given_up()
        return forgotten and given_up

    def _ask_at_last(self) -> None:
        """Ask for what all have, then for what an older peer has, and wait for the answers."""
        until = self._time.now + ASKING
        self._questions.all_is_well = True
        self._at(self._time.now, self._questions.holders)
        self._ask_often(self._time.now, until)
        if self._older is not None:
            since, until = until, until + ASKING_OLDER
            self._each(BURST_OLDER, since, until, self._questions.burst, self._older)
        self._time.run_until(until)
        # Questions asked from now on may stay open.
        self._questions.all_is_well = False
        self._time.run_until(until + LAST)

    def _ask_often(self, since: float, until: float) -> None:
        self._each(SEARCH, since, until, self._questions.search)
        self._each(BURST, since, until, self._questions.burst)

    def _end(self) -> None:
        asked, answers = self._questions.asked, self._questions.answers
        if self._questions.open:
            raise BrokenPromise(f"{self._questions.open} questions are not answered")
        if answers < asked * FOUND:
            raise BrokenPromise(f"only {answers} of {asked} were found")

    # -- what is noticed

    def _record(self, found: object) -> None:
        self._trace.update(f"{self._time.now} {found}\n".encode())

    # -- bits

    def _fork(self) -> Random:
        """Returns another random generator, so that no part changes the chances of another."""
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
        """Make calls at an interval, from `since` until before `until`."""
        return [
            self._at(since + number * interval, what, *arguments)
            for number in range(round((until - since) / interval))
        ]
