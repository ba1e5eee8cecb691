"""
Passes through a shared folder, or through what has changed in it: what they find, and what is gone.

While a pass is under way the folder itself may go, or become another one. Then what is not found
is not gone, and what is found may be elsewhere's: so the pass ends there, and says nothing of the
rest.
"""

from collections.abc import Callable, Generator, Iterator

from p2ptwisted.node.folder_walk import Entry
from p2ptwisted.transfer.shared_folder import SharedFolder


class Passes:
    """The passes that are under way."""

    def __init__(
        self,
        folder: SharedFolder,
        found: Callable[[Entry], bool],
        take_over: Callable[[set[str], list[str]], Iterator[None]],
        gone: Callable[[str], None],
    ) -> None:
        """
        `found` is called with each file, and returns whether it is a new one. `take_over` is called
        with what a pass has not found and with what is new, which may be the same under other
        names. `gone` is called with each name that is gone then.
        """
        self._folder = folder
        self._found = found
        self._take_over = take_over
        self._gone = gone
        #: Of each, the names that it has not come across so far.
        self._unseen: list[set[str]] = []

    def seen(self, name: str) -> None:
        """Note that a file is here, whatever pass is under way."""
        for unseen in self._unseen:
            unseen.discard(name)

    def go_through(
        self, find: Callable[[], Iterator[Entry | None]], unseen: set[str]
    ) -> Generator[None, None, bool]:
        """
        Take what is found; what is `unseen` in the end is gone.

        Returns whether it came to its end: not where the folder went or changed meanwhile.
        """
        # In the same step as it is opened.
        if self._folder.look() is not None:
            return False
        changes = self._folder.changes
        self._unseen.append(unseen)
        new: list[str] = []
        try:
            for entry in find():
                if self._folder.changes != changes:
                    return False
                if entry is not None:
                    self.seen(entry.name)
                    if self._found(entry):
                        new.append(entry.name)
                yield
            if unseen:
                self._folder.look()
                if self._folder.changes == changes:
                    yield from self._take_over(unseen, new)
            for name in list(unseen):
                if self._folder.changes != changes:
                    return False
                # It may have come back meanwhile.
                if name in unseen:
                    self._gone(name)
                yield
            return self._folder.changes == changes
        finally:
            self._unseen = [other for other in self._unseen if other is not unseen]
