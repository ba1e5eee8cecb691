"""Names with `/`, by the folders that they are in. Pure."""

from collections.abc import Iterator


class NameTree:
    """
    A set of names that can be asked for those in one folder.

    A folder is in it too, as long as there is anything in the folder.
    """

    def __init__(self) -> None:
        #: By folder, the complete names of what is directly in it.
        self._inner: dict[str, set[str]] = {}

    def add(self, name: str) -> None:
        """Add a name."""
        while name:
            folder = name.rpartition("/")[0]
            inner = self._inner.get(folder)
            if inner is not None:
                inner.add(name)
                return
            self._inner[folder] = {name}
            name = folder

    def discard(self, name: str) -> None:
        """Remove a name, if it is here; a folder that there is something in stays."""
        while name and name not in self._inner:
            folder = name.rpartition("/")[0]
            inner = self._inner.get(folder, set())
            inner.discard(name)
            if inner:
                return
            self._inner.pop(folder, None)
            name = folder

    def directly_in(self, folder: str) -> Iterator[str]:
        """The names in a folder, without those in the folders in it."""
        for name in list(self._inner.get(folder, ())):
            if name not in self._inner:
                yield name

    def beneath(self, folder: str) -> Iterator[str]:
        """The names in a folder and in all folders in it, these among them."""
        folders = [folder]
        while folders:
            for name in list(self._inner.get(folders.pop(), ())):
                yield name
                if name in self._inner:
                    folders.append(name)
