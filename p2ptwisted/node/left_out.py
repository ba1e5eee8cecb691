"""What can't be read in a shared folder: told once, by its own name and reason."""

from twisted.logger import Logger

from p2ptwisted.support.escaping import shown

#: Names that are remembered as told, and so told; the rest is counted.
TOLD_MAX = 100

_log = Logger()


class LeftOut:
    """What the walks through a folder could not read."""

    def __init__(self) -> None:
        #: By name, the reason that was told.
        self._told: dict[str, str] = {}
        self._met: set[str] = set()
        self._more = 0
        self._more_told = False

    def add(self, name: str, reason: str) -> None:
        """Note that something can't be read, and why; `name` as in `Entry`."""
        if name in self._told or len(self._told) < TOLD_MAX:
            self._met.add(name)
            if self._told.get(name) != reason:
                self._told[name] = reason
                _log.warn("{name} is not shared: {reason}", name=shown(name), reason=shown(reason))
        else:
            self._more += 1

    def walked(self) -> None:
        """Note that all of the folder was walked: what was not met can be read, or is gone."""
        for name in self._told.keys() - self._met:
            del self._told[name]
        if self._more and not self._more_told:
            _log.warn("{count} more can't be read, and are not shared", count=self._more)
        self._more_told = self._more > 0
        self._met, self._more = set(), 0
