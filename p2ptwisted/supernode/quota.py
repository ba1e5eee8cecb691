"""Limits how much of something is in use, in all and by each user. Pure."""


class Quota:
    """
    Lets a use begin while there is room, for its user and in all.

    A use that has begun may exceed the limits. Of one user no more than its share counts
    in all, so that one user alone never takes all the room.
    """

    def __init__(self, limit: int, share: int) -> None:
        """`limit` is for all users together, `share` for each user that is bounded."""
        self._limit = limit
        self._share = share
        self._used = 0
        self._by_user: dict[str, int] = {}

    def begin(self, user: str, count: int, bounded: bool = True) -> bool:
        """
        Begin a use of `count`, if there is room. Returns False if there is none.

        A `bounded` user has room only up to its share.
        """
        used = self._by_user.get(user, 0)
        if self._used >= self._limit or (bounded and used >= self._share):
            return False
        self._add(user, count, bounded)
        return True

    def end(self, user: str, count: int, bounded: bool = True) -> None:
        """End a use; the arguments are the same as at its beginning."""
        self._add(user, -count, bounded)

    def _add(self, user: str, count: int, bounded: bool) -> None:
        if not bounded:
            self._used += count
            return
        before = self._by_user.get(user, 0)
        after = before + count
        self._used += min(after, self._share) - min(before, self._share)
        if after:
            self._by_user[user] = after
        else:
            self._by_user.pop(user, None)
