"""A callback that appends a line per result to a file of the experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

from tunewright.callbacks.plugin import CallbackConfig, CallbackContext, CallbackPlugin
from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.trial import Result, Verdict


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LinesConfig(CallbackConfig):
    """A line per result."""

    callback_name: ClassVar[str] = "lines"

    path: str = "lines.txt"
    """File of the lines; relative to the experiment's folder."""
    digits: int = 3
    """Digits of the values."""


@final
class Lines(Callback):
    """Appends ``trial resource value`` for each result."""

    def __init__(self, path: Path, metric: str, digits: int) -> None:
        self._path, self._metric, self._digits = path, metric, digits

    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        value = f"{result.metrics[self._metric]:.{self._digits}f}"
        with self._path.open("a") as file:
            file.write(f"{trial_id} {result.resource} {value}\n")


@final
class LinesPlugin(CallbackPlugin[LinesConfig]):
    """A line per result."""

    config = LinesConfig

    def build(self, config: LinesConfig, context: CallbackContext) -> Lines:
        metric = context.benchmark.metrics[0].name
        return Lines(context.folder.path / config.path, metric, config.digits)


PLUGIN = LinesPlugin()
