"""How much of something bounded is in use, and by whom. Pure."""


class Quota:
    """
    Lets use begin while there is room, for each user and in all. What has
    begun may go beyond it: of one user no more than its share counts in all,
    so that one alone never fills it.
    """

    def __init__(self, most: int, share: int) -> None:
        self._most = most
        self._share = share
        self._used = 0
        self._by_user: dict[str, int] = {}

    def begin(self, user: str, count: int, bounded: bool = True) -> bool:
        """Begin to use so much, where there is room; `bounded`: with no more than a share."""
        used = self._by_user.get(user, 0)
        if self._used >= self._most or (bounded and used >= self._share):
            return False
        self._add(user, count, bounded)
        return True

    def end(self, user: str, count: int, bounded: bool = True) -> None:
        """It is used no longer; the same as was said at the beginning."""
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
