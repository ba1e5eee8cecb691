"""
Which of the wanted pieces a holder sends next: the one that it has sent least
often, so that a file on its way to many nodes leaves its first holder about
once, and the nodes have something to give each other. Pure.
"""

#: How often a piece was sent is counted up to here.
LEVELS = 16

#: Pieces sent in one answer at the most.
RUN_MAX = 128


class PieceSelector:
    """How often each piece of one resource has been sent, and to how many it is being sent."""

    def __init__(self) -> None:
        #: sent[n]: the pieces that were sent more than n times.
        self._sent = [0] * LEVELS
        #: Answers that are under way.
        self._active = 0
        #: The last client, and how many pieces it was to get.
        self._last: tuple[str, int] = "", 0

    def choose(self, pieces: int, client: str, most: int | None = None) -> int:
        """
        The set of consecutive pieces, of these, to send to `client` now; they count as sent.

        There are at most `most`. Of clients that don't say how many they want, many get one piece
        at a time; the only one gets twice as many each time, for every answer costs it a pause.
        """
        for sent in self._sent:
            least = pieces & ~sent
            if least:
                break
        else:
            least = pieces
        run = min(most, RUN_MAX) if most is not None else self._run(client)
        chosen = piece = least & -least
        for _ in range(run - 1):
            piece <<= 1
            if not piece & least:
                break
            chosen |= piece
        self._count(chosen)
        return chosen

    def _run(self, client: str) -> int:
        client_before, run = self._last
        run = min(run * 2, RUN_MAX) if client_before == client and not self._active else 1
        self._last = client, run
        return run

    def _count(self, pieces: int) -> None:
        for level in range(LEVELS - 1, 0, -1):
            self._sent[level] |= self._sent[level - 1] & pieces
        self._sent[0] |= pieces

    def began(self) -> None:
        """Count an answer that is on its way."""
        self._active += 1

    def ended(self) -> None:
        """Count an answer as ended: it is sent, or its client has gone."""
        self._active -= 1
