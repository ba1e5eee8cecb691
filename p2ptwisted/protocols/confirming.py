"""
Which locations of untagged replies are asked what they have. Anybody can send
such replies, so it is bounded how often. Pure; time is an argument.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice

from p2ptwisted.bucket import TokenBucket

#: Locations asked a second, and at once; each is a call over HTTP.
CONFIRM_RATE, CONFIRM_BURST = 100, 200

#: Seconds until the same location is asked for the same id again.
ASK_AGAIN = 1.0

#: Ids that one reply may be about.
IDS_MAX = 64


class Confirming:
    """The memory of what was asked, and the bound on it."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(CONFIRM_RATE, CONFIRM_BURST)
        #: When, by what was asked, the oldest first; the bucket bounds how many.
        self._asked: OrderedDict[tuple[str, str], float] = OrderedDict()

    def ids_to_ask(self, location: str, ids: Iterable[str], now: float) -> Iterator[str]:
        """Those of these ids that `location` is now to be asked for, each as it is taken."""
        while self._asked and next(iter(self._asked.values())) <= now - ASK_AGAIN:
            self._asked.popitem(last=False)
        for id in islice(ids, IDS_MAX):
            if (location, id) in self._asked:
                continue
            if not self._bucket.take(now):
                return
            self._asked[location, id] = now
            yield id
