"""Style of all figures, and their output."""

# Adapter of matplotlib, whose stubs are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from tunewright.analysis.extras import need

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLOURS: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#7F7F7F",
)
"""Okabe and Ito's, ordered for contrast of neighbours; without yellow, which is hardly visible in print."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
STATUS_COLOURS: Final = {
    "completed": "#009E73",
    "paused": "#56B4E9",
    "stopped": "#E69F00",
    "failed": "#D55E00",
    "running": "#7F7F7F",
}
GREY: Final = "#666666"
_RC: Final = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "tunewright",
    "svg.fonttype": "path",
}


def new_figure(
    n_panels: int = 1, *, width: float = 4.4, height: float = 3.2, columns: int = 3
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, one per panel, in rows.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    matplotlib: Any = need("matplotlib", "Figures")
    figures: Any = need("matplotlib.figure", "Figures")
    n_columns = min(columns, n_panels)
    n_rows = -(-n_panels // n_columns)
    with matplotlib.rc_context(_RC):
        figure: Figure = figures.Figure(figsize=(width * n_columns, height * n_rows), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[n_panels:]:
        spare.remove()
    return figure, axes[:n_panels]


class Look(TypedDict):
    """Keywords of matplotlib for the line of a setup."""

    color: str
    marker: str
    linestyle: str


def look_of(labels: Sequence[str], label: str) -> Look:
    """Colour, marker and line of a setup, by its place among all."""
    place = list(labels).index(label)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": ("-", "--", "-.", ":")[place // len(COLOURS) % 4],
    }


def legend_above(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Add a legend above all panels, in as many columns as fit; the figure grows by its rows."""
    if not handles:
        return
    entry = 0.62 + 0.088 * max(map(len, labels))  # inches at 10 points, line and gap included
    per_row = max(1, int(figure.get_figwidth() / entry))
    n_rows = -(-len(labels) // per_row)
    figure.set_figheight(figure.get_figheight() + 0.21 * n_rows)
    figure.legend(
        handles,
        list(map(plain, labels)),
        loc="outside upper center",
        ncols=-(-len(labels) // n_rows),
        fontsize=10,
        frameon=False,
    )


def legend_of_lines(figure: Figure, axes: Sequence[Axes], labels: Sequence[str]) -> None:
    """Add a legend above all panels with the setups that they show, in a given order."""
    handles = {
        text: line for axis in axes for line, text in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    shown = [label for label in labels if plain(label) in handles]
    legend_above(figure, [handles[plain(label)] for label in shown], shown)


def plain(name: str) -> str:
    """A name escaped for matplotlib: dollar signs start no formula, and underscores do not hide it from legends."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def wrapped(name: str, width: int = 36) -> str:
    """A long name on several lines."""
    return "\n".join(plain(name[begin : begin + width]) for begin in range(0, len(name), width))


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format of the suffix (``.pdf``, ``.svg``, ``.png``). The same figure gives the same SVG."""
    matplotlib: Any = need("matplotlib", "Figures")
    is_svg = str(path).endswith(".svg")
    with matplotlib.rc_context(_RC):
        figure.savefig(path, dpi=200, metadata={"Date": None} if is_svg else None)
