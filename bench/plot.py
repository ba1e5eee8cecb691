"""The time until the last node has the file against the number of nodes, drawn."""

from pathlib import Path

import matplotlib

from bench.spreading import HTTP, LINK, NODES, OURS, TO_MANY, TORRENT, Times

matplotlib.use("Agg")
# The same drawing gives the same file, with text that can be searched.
matplotlib.rcParams.update({"svg.hashsalt": "p2ptwisted", "svg.fonttype": "none"})

from matplotlib import pyplot  # noqa: E402  after the back end has been chosen

COLOURS = {OURS: "#0b6e4f", TORRENT: "#c8553d", HTTP: "#6c757d"}
MARKS = {OURS: "o", TORRENT: "s", HTTP: "^"}


def draw(times: Times, folder: Path) -> list[Path]:
    """Write `completion.png` and `completion.svg`; gives where they are."""
    figure, axes = pyplot.subplots(figsize=(7.2, 4.5), layout="constrained")
    for name, measured in times.items():
        counts, shortest = list(measured), [min(taken) for taken in measured.values()]
        axes.plot(counts, shortest, MARKS[name] + "-", color=COLOURS[name], label=name)
        axes.annotate(
            f"{shortest[-1]:.1f} s",
            (counts[-1], shortest[-1]),
            xytext=(8, -3),
            textcoords="offset points",
            color=COLOURS[name],
        )
    axes.axhline(
        TO_MANY * 8 / LINK / 1e6, color="#adb5bd", linestyle=":", label="one copy fills the link"
    )
    axes.set_xticks(NODES)
    axes.set_xlim(right=max(NODES) + 0.8)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("nodes that get the file")
    axes.set_ylabel("seconds until the last one has it")
    axes.set_title(f"{TO_MANY >> 20} MiB from one holder, every link {LINK} Mbit/s")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    files = [folder / "completion.png", folder / "completion.svg"]
    figure.savefig(files[0], dpi=150, metadata={"Software": None})
    figure.savefig(files[1], metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return files
