"""What was measured, as the one table that a run ends with."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True)
class Row:
    """A figure beside its bar, each as it is printed."""

    what: str
    ours: str
    yardstick: str
    figure: str
    bar: str
    verdict: str


def rate_row(what: str, ours: float, unit: str, least: float) -> Row:
    """A rate that is judged by itself."""
    shown = f"{ours:,.0f} {unit}"
    return Row(what, shown, "", shown, f"at least {least:,.0f}", _verdict(ours >= least))


def time_row(what: str, ours: float, below: float) -> Row:
    """A time in seconds."""
    shown = f"{ours * 1e3:.2f} ms"
    return Row(what, shown, "", shown, f"under {below * 1e3:g} ms", _verdict(ours < below))


def ratio_row(what: str, ours: float, name: str, yardstick: float, unit: str, least: float) -> Row:
    """A rate that is judged by what it is to that of the yardstick called `name`."""
    ratio = ours / yardstick
    return Row(
        what,
        f"{_short(ours)} {unit}",
        f"{name}: {_short(yardstick)} {unit}",
        f"{ratio:.2f}",
        f"at least {least:g}",
        _verdict(ratio >= least),
    )


def times_row(
    what: str, ours: float, name: str, yardstick: float, most: float | None, below: bool = False
) -> Row:
    """
    A time in seconds, judged by what it is to that of the yardstick.

    `most` is None where there is no bar; `below`: it must be under that.
    """
    ratio = ours / yardstick
    shown = (what, f"{ours:.2f} s", f"{name}: {yardstick:.2f} s", f"{ratio:.2f}")
    if most is None:
        return Row(*shown, "", "")
    met = ratio < most if below else ratio <= most
    return Row(*shown, f"{'under' if below else 'at most'} {most:g}", _verdict(met))


def copies_row(what: str, ours: float, name: str, yardstick: float, most: float | None) -> Row:
    """A number of copies, judged by itself and shown beside that of the yardstick."""
    shown = (what, f"{ours:.2f} copies", f"{name}: {yardstick:.2f} copies", f"{ours:.2f}")
    if most is None:
        return Row(*shown, "", "")
    return Row(*shown, f"at most {most:g}", _verdict(ours <= most))


def seconds_row(what: str, ours: float) -> Row:
    """Seconds without a yardstick and a bar."""
    return Row(what, f"{ours:.2f} s", "", f"{ours:.2f} s", "", "")


def text(rows: Sequence[Row]) -> str:
    """The table, with its columns aligned."""
    lines = [tuple(field.name for field in fields(Row)), *map(astuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.2f}"
