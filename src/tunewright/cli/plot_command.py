"""``tunewright plot``: figures of one experiment, or of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tunewright.analysis.figures import (
    plot_importance,
    plot_learning_curves,
    plot_parallel,
    plot_pareto,
    plot_workers,
    save,
)
from tunewright.analysis.importance import importance
from tunewright.analysis.one_run import OneRun, one_run
from tunewright.cli.writing import writing
from tunewright.exceptions import SettingsError
from tunewright.launchers.console import say
from tunewright.launchers.parser import Parser
from tunewright.launchers.selecting import select

_FIGURES: Final[Mapping[str, Callable[[OneRun], Any]]] = {
    "curves": plot_learning_curves,
    "workers": plot_workers,
    "parallel": plot_parallel,
    "importance": lambda run: plot_importance(importance(run), run),
    "pareto": plot_pareto,
}
_SUFFIXES: Final = ("png", "pdf", "svg")


def run(arguments: Sequence[str]) -> int:
    """Write the figures and say where they are."""
    parser = Parser(
        "tunewright plot", "Draw an experiment: learning curves, workers, configurations, importance."
    )
    parser.positional("experiment", "its name, a unique beginning of it, or the path of its folder")
    parser.flag("figure", f"which, with commas: {', '.join(_FIGURES)} (default: all)")
    parser.flag("metric", "another reported value than the tuned one")
    parser.flag("out", "folder for the files (default: here)", default=".")
    parser.flag("format", "of the files", choices=_SUFFIXES, default="png")
    given = parser.read(arguments)
    found = one_run(given.experiment, metric=given.metric)
    usual = [name for name in _FIGURES if name != "pareto" or len(found.info.metrics) > 1]
    wanted = usual if given.figure is None else select("figure", given.figure, list(_FIGURES))
    folder = Path(given.out)
    for name in wanted:
        try:
            figure = _FIGURES[name](found)
        except SettingsError as error:
            if given.figure is not None:
                raise
            say(f"Left out {name}: {error}")
            continue
        path = folder / f"{found.info.name}-{name}.{given.format}"
        with writing(path, "folder"):
            folder.mkdir(parents=True, exist_ok=True)
            save(figure, path)
        say(str(path.absolute()))
    return 0
