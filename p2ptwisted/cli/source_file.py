"""A file that `p2p share` takes: on its own, or in a folder, which nothing may lead out of."""

import os
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple

from p2ptwisted.cli.file_copy import PERMISSIONS
from p2ptwisted.support.safe_open import open_beneath, open_folder
from p2ptwisted.transfer.destination import open_named_file


class SourceFile(NamedTuple):
    """A file to share: on its own, or in the folder `within`, which nothing may lead out of."""

    path: Path
    name: str
    within: Path | None = None

    def open(self) -> BinaryIO:
        """Open it. Raises OSError."""
        if self.within is None:
            # Named by the user: a link, too, is meant.
            return open_named_file(self.path)
        root = open_folder(self.within)
        try:
            name = self.path.relative_to(self.within).as_posix()
            return open(open_beneath(root, name), "rb", buffering=0)
        except OSError as error:
            error.filename = os.fspath(self.path)
            raise
        finally:
            os.close(root)

    def folder_modes(self) -> list[int]:
        """The modes for the folders in its name; their owner can always write to them."""
        if self.within is None:
            return []
        folders = reversed(self.path.relative_to(self.within).parents)
        modes = [(self.within / folder).lstat().st_mode for folder in folders]
        return [mode & PERMISSIONS | stat.S_IRWXU for mode in modes]
