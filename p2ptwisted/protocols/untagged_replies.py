"""
Found replies without a tag: which searches they answer. Where that isn't clear,
the location in the reply is asked over HTTP whether it holds what is searched for.

How often and how many at once is decided by `confirm_limiter`; docs/protocol.md
has the rules.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.errors import Unavailable
from p2ptwisted.protocols.confirm_limiter import ConfirmLimiter, Question
from p2ptwisted.protocols.search import Search
from p2ptwisted.protocols.searches import Searches

#: Searches that one reply may be about.
CANDIDATES_MAX = 64

_log = Logger()


class Confirms(Protocol):
    """Asks a node whether it holds a resource."""

    def __call__(self, location: str, id: str) -> Deferred[bool]:
        """Fires with whether the node at `location` has `id` itself; fails if it doesn't say."""


class UntaggedReplies:
    """Credits untagged found replies to the searches that they answer."""

    def __init__(
        self,
        clock: IReactorTime,
        searches: Searches,
        confirms: Confirms | None,
        end_if_over: Callable[..., None],
    ) -> None:
        """
        Without `confirms` no location can be asked.

        `end_if_over` is called with searches that may have come to their end.
        """
        self._clock = clock
        self._searches = searches
        self._confirms = confirms
        self._end_if_over = end_if_over
        self._limiter = ConfirmLimiter()
        #: By question, the call under way.
        self._calls: dict[Question, Deferred[bool]] = {}
        #: When the next location can be asked, where that is a matter of time.
        self._timer: IDelayedCall | None = None
        self._is_stopped = False

    def start(self) -> None:
        """Ask when there is something to ask."""
        self._is_stopped = False

    def stop(self) -> None:
        """Cancel all calls; there must be no searches any more."""
        self._is_stopped = True
        self._cancel_timer()
        for call in list(self._calls.values()):
            call.cancel()

    def found(self, name: str, locations: Sequence[str]) -> None:
        """The peer `name` has replied, without a tag, that it found these locations."""
        now = self._clock.seconds()
        only = self._searches.only_candidates(name, now)
        if only:
            for search in only:
                search.credit(locations, name)
            self._end_if_over(*only)
            return
        candidates = list(islice(self._searches.candidates(name), CANDIDATES_MAX + 1))
        if candidates[CANDIDATES_MAX:] or (candidates and self._confirms is None):
            self._searches.unchecked(name, now)
        location, found, unknown = locations[0], [], []
        for search in candidates[:CANDIDATES_MAX] if self._confirms is not None else ():
            holds = self._limiter.answer((location, search.id), now)
            if holds:
                search.credit([location], name)
                found.append(search)
            elif holds is None and not search.is_late:
                unknown.append(search)
        # Of the unknown ones, the one that was searched for first is the likeliest.
        is_explained = bool(found)
        for search in unknown:
            question = location, search.id
            if not search.doubt(location, name) or not self._limiter.want(
                question, now, hold=is_explained
            ):
                self._searches.unchecked(name, now)
            is_explained = True
        self._end_if_over(*found)
        self._ask_next()

    def settle(self, search: Search) -> None:
        """Ask all locations at once that may hold what `search` looks for."""
        now = self._clock.seconds()
        for location, name in search.doubts:
            if not self._limiter.want((location, search.id), now):
                self._searches.unchecked(name, now)
        self._ask_next()

    def is_settling(self, search: Search) -> bool:
        """Whether any location is about to say whether it holds what `search` looks for."""
        if not search.is_late:
            self.settle(search)
        is_open = self._limiter.is_asking if search.is_late else self._limiter.is_open
        return any(is_open((location, search.id)) for location, _ in search.doubts)

    def make_room(self) -> None:
        """If other questions have to wait, cancel the calls that make no difference any more."""
        if self._limiter.is_full:
            # A node of the older program can take long for what it doesn't have.
            for call in [self._calls[one] for one in self._calls if not self._doubtful(one)]:
                call.cancel()

    # -- asking locations

    def _doubtful(self, question: Question) -> list[Search]:
        """Returns the searches to which the answer to the question makes a difference."""
        location, id = question
        return [
            search
            for search in self._searches.of(id)
            if any(location == doubted for doubted, _ in search.doubts)
        ]

    def _is_wanted(self, question: Question) -> bool:
        return any(not search.is_late for search in self._doubtful(question))

    def _ask_next(self) -> None:
        """Ask as many locations as may be asked now, and the others when they may be."""
        self._cancel_timer()
        while question := self._limiter.next(self._clock.seconds(), self._is_wanted):
            self._ask(question)
        wait = self._limiter.wait(self._clock.seconds())
        if wait is not None and not self._is_stopped:
            # A call that was answered at once has set a timer already.
            self._cancel_timer()
            self._timer = self._clock.callLater(wait, self._ask_next)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _ask(self, question: Question) -> None:
        assert self._confirms is not None

        def called(result: bool | Failure) -> None:
            self._calls.pop(question, None)
            holds = None
            if not isinstance(result, Failure):
                holds = result
            elif not result.check(Unavailable, CancelledError):
                _log.failure("Asking {location} failed", result, location=question[0])
            self._answered(question, holds)

        call = self._confirms(*question)
        self._calls[question] = call
        call.addBoth(called)

    def _answered(self, question: Question, holds: bool | None) -> None:
        location, id = question
        self._limiter.answered(question, holds, self._clock.seconds())
        if holds is None:
            # Whoever doesn't answer has not said no.
            self._end_if_over(*self._searches.of(id))
        else:
            self._end_if_over(*self._searches.confirmed(id, location, holds))
        self._ask_next()
