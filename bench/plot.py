"""The time until the last node has the file against the number of nodes, drawn."""

from pathlib import Path

import matplotlib

from bench.scenarios import MANY, SCENARIOS
from bench.spreading import HTTP, OURS, TORRENT, UFTP, Spreads, shortest_time

matplotlib.use("Agg")
# The same drawing gives the same file, with text that can be searched.
matplotlib.rcParams.update({"svg.hashsalt": "p2ptwisted", "svg.fonttype": "none"})

from matplotlib import pyplot  # noqa: E402  after the back end has been chosen

COLOURS = {OURS: "#0b6e4f", TORRENT: "#c8553d", UFTP: "#3d6bc8", HTTP: "#6c757d"}
MARKS = {OURS: "o", TORRENT: "s", UFTP: "D", HTTP: "^"}

#: The height of a line of text, as a part of the largest value.
LINE = 0.05


def draw(spreads: Spreads, folder: Path) -> list[Path]:
    """Write `completion.png` and `completion.svg`; gives where they are."""
    scenario = SCENARIOS[MANY]
    most = max(scenario.nodes)
    figure, axes = pyplot.subplots(figsize=(7.2, 4.5), layout="constrained")
    for name, measured in spreads.items():
        counts, shortest = list(measured), [shortest_time(some) for some in measured.values()]
        axes.plot(counts, shortest, MARKS[name] + "-", color=COLOURS[name], label=name)
    ends = {name: shortest_time(measured[most]) for name, measured in spreads.items()}
    height = -max(ends.values())
    for name, end in sorted(ends.items(), key=lambda one: one[1]):
        # Those that are close to each other are written one above the other.
        height = max(end, height + max(ends.values()) * LINE)
        axes.annotate(
            f"{end:.1f} s",
            (most, height),
            xytext=(8, -3),
            textcoords="offset points",
            color=COLOURS[name],
        )
    axes.axhline(
        scenario.size * 8 / scenario.mbit / 1e6,
        color="#adb5bd",
        linestyle=":",
        label="one copy fills the link",
    )
    axes.set_xticks(scenario.nodes)
    axes.set_xlim(right=most + 0.8)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("nodes that get the file")
    axes.set_ylabel("seconds until the last one has it")
    axes.set_title(f"{scenario.size >> 20} MiB from one holder, every link {scenario.mbit} Mbit/s")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    files = [folder / "completion.png", folder / "completion.svg"]
    figure.savefig(files[0], dpi=150, metadata={"Software": None})
    figure.savefig(files[1], metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return files
