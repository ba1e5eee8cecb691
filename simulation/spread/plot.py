"""
The time until the last node has the file against the number of nodes, simulated and drawn:
`python -m simulation.spread.plot`, with what `make bench` needs installed.
"""

import sys
from functools import partial
from pathlib import Path

import matplotlib

from simulation.spread import large
from simulation.spread.__main__ import CPU_MAX, PIECE_SIZE, PIECES
from simulation.spread.history import Outcome
from simulation.spread.large import Bars
from simulation.spread.spread import Figures
from simulation.spread.tiny_file import TinyFile
from simulation.workers import Job, run_all

matplotlib.use("Agg")
# The same drawing gives the same file, with text that can be searched.
matplotlib.rcParams.update({"svg.hashsalt": "p2ptwisted", "svg.fonttype": "none"})

from matplotlib import pyplot  # noqa: E402  after the back end has been chosen

NODES = (8, 32, 128, 512, 1_024)

#: Where it goes.
DOCS = Path(__file__).resolve().parents[2] / "docs"


def simulate(file: TinyFile) -> dict[int, Figures]:
    """Returns the figures for each number of nodes."""
    jobs = [
        Job(partial(large.live, 1, nodes, file, Bars()), partial(Outcome, 1))
        for nodes in reversed(NODES)
    ]
    figures = {}
    for outcome in run_all(jobs, CPU_MAX):
        print(outcome.figures or outcome.problem, flush=True)
        if outcome.figures is not None:
            figures[outcome.figures.nodes] = outcome.figures
    return dict(sorted(figures.items()))


def draw(figures: dict[int, Figures], file: TinyFile, folder: Path) -> None:
    """Write `spread.png` and `spread.svg`."""
    plot, axes = pyplot.subplots(figsize=(7.2, 4.5), layout="constrained")
    counts, times = list(figures), [one.copy_times for one in figures.values()]
    axes.plot(counts, times, "o-", color="#0b6e4f", label="the last node has the file")
    for count, value in zip(counts, times, strict=True):
        axes.annotate(
            f"{value:.2f}", (count, value), xytext=(0, 8), textcoords="offset points", ha="center"
        )
    axes.axhline(1.0, color="#adb5bd", linestyle=":", label="one copy fills the link")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_ylim(0, max(1.5, *(1.15 * value for value in times)))
    axes.set_xlabel("nodes that get the file")
    axes.set_ylabel("time, in times of one copy over one link")
    axes.set_title(f"{file.size >> 20} MiB from one holder, links of 1 Gbit/s (simulated)")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    plot.savefig(folder / "spread.png", dpi=150, metadata={"Software": None})
    plot.savefig(folder / "spread.svg", metadata={"Date": None, "Creator": None})
    pyplot.close(plot)


def main() -> int:
    """Simulate and draw; returns the exit status."""
    file = TinyFile(PIECES, PIECE_SIZE)
    draw(simulate(file), file, DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
