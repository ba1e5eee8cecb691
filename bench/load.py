"""Requests by wrk: 8 keep-alive connections, one request after the other in each."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.processes import HOST, BenchError

CONNECTIONS = 8

_SCRIPT = Path(__file__).with_name("paths.lua")


@dataclass(frozen=True)
class Figures:
    """What wrk measured: requests a second, and the seconds that 50 and 99 % took at most."""

    rate: float
    p50: float
    p99: float


class Load:
    """Paths of one server, whose answers all have the same size."""

    def __init__(self, name: str, port: int, paths: Sequence[str], folder: Path) -> None:
        """The list of paths is kept in `folder` as `name`."""
        self.name = name
        self._url = f"http://{HOST}:{port}"
        self._list = folder / f"{name}.paths"
        self._list.write_text("".join(f"{path}\n" for path in paths))
        self._size = _size_on_the_wire(self._url + paths[0])
        self._measured: list[Figures] = []

    def run(self, seconds: int) -> Figures:
        """
        Measure once. Raises BenchError where an answer was not what it must be.

        A search that finds nothing is answered with status 200, so statuses
        prove little: the bytes that came must be those of so many right answers,
        give or take what was on its way at the end.
        """
        command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS)]
        command += ["--duration", f"{seconds}s", "--script", str(_SCRIPT)]
        command += [self._url, "--", str(self._list)]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            raise BenchError(f"{command}: {ran.stderr.strip()}")
        result = json.loads(ran.stdout.splitlines()[-1])
        amiss = result["bytes"] - result["requests"] * self._size
        if result["bad"] or result["broken"] or abs(amiss) > CONNECTIONS * self._size:
            raise BenchError(
                f"{self.name}: of {result['requests']} answers {result['bad']} were errors, "
                f"{result['broken']} did not come; bytes too many or too few: {amiss}"
            )
        rate = result["requests"] / result["microseconds"] * 1e6
        return Figures(rate, result["p50"] / 1e6, result["p99"] / 1e6)

    def measure(self, seconds: int) -> None:
        """Measure once more, and say what came of it."""
        figures = self.run(seconds)
        self._measured.append(figures)
        p50, p99 = figures.p50 * 1e3, figures.p99 * 1e3
        print(
            f"  {self.name}: {figures.rate:,.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True
        )

    @property
    def median(self) -> Figures:
        """The medians of all that was measured."""
        return Figures(
            median(figures.rate for figures in self._measured),
            median(figures.p50 for figures in self._measured),
            median(figures.p99 for figures in self._measured),
        )


def _size_on_the_wire(url: str) -> int:
    """Bytes of an answer with its headers and the frames of its chunks."""
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--include", "--raw", url]
    ran = subprocess.run(command, capture_output=True)
    if ran.returncode:
        raise BenchError(f"{command}: {ran.stderr.decode(errors='replace').strip()}")
    return len(ran.stdout)
