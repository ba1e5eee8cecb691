"""The commands of docs/other-clients.md, and what runs them as they stand there."""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .daemons import CHECKOUT, default_signals

PAGE = CHECKOUT / "docs" / "other-clients.md"

#: A heading, and the first commands below it.
_RECIPE = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```sh\n(.+?)^```$", re.MULTILINE | re.DOTALL)


def recipes() -> Mapping[str, str]:
    """The commands on the page, by the headings that they are under."""
    return dict(_RECIPE.findall(PAGE.read_text()))


#: Seconds that a program may take to end when it is interrupted.
INTERRUPTED_WITHIN = 5.0


class Ran(NamedTuple):
    """What has become of some commands."""

    status: int
    output: str


class Running:
    """Commands that are being run by a shell, in a folder that is their home, too."""

    def __init__(self, commands: str, folder: Path, variables: Mapping[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._output = folder.with_name(f"{folder.name}.out")
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "-c", commands],
                cwd=folder,
                env={**os.environ, **variables, "HOME": str(folder.with_name("home"))},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=default_signals,  # noqa: PLW1509  # there are no threads
                # A group of its own, so that all of it can be ended.
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What they have printed so far."""
        return self._output.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def has_begun(self, file: str) -> bool:
        """Whether some of that file is there."""
        path = self.folder / file
        # wget2 writes complete parts only, and says when it begins.
        is_there = path.exists() and path.stat().st_size > 0
        return is_there or "downloading part" in self.output

    def wait(self, within: float) -> Ran:
        """What has become of them, so many seconds later at the most."""
        try:
            status = self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not within {within} s; printed: {self.output}") from None
        return Ran(status, self.output)

    def interrupt(self) -> None:
        """End them as Ctrl-C does."""
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(INTERRUPTED_WITHIN)
        except subprocess.TimeoutExpired:
            # axel waits for itself once in a while.
            self.kill()

    def kill(self) -> None:
        """End them, wherever they are."""
        if self.is_running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
