"""Callbacks of training frameworks: a checkpoint and a report for each epoch or round.

Each module imports its framework, this file and ``report``. The package travels into jobs with ``report``: Python >= 3.9.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, final

from tunewright.report import RESOURCE_ATTR, RESUME_FROM, UNTIL, checkpoint_dir, report

METRIC = "TUNEWRIGHT_METRIC"
"""Environment variable: the tuned metric."""

_logger = logging.getLogger(__name__)


def import_framework(package: str, *modules: str) -> Any:
    """Import the first of several modules of a framework; one that is loaded already comes first.

    Raises
    ------
    ModuleNotFoundError
        None is installed. The message names the package to install.
    """
    for name in sorted(modules, key=lambda name: name not in sys.modules):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name.split(".")[0]:
                raise  # the framework is there, and something else is missing
    raise ModuleNotFoundError(f"This callback needs {package}: pip install {package}", name=package)


@final
class TrialReports:
    """Reports of a callback, from a framework's logged values.

    Parameters
    ----------
    metrics
        Logged values to report: one name, several, or a mapping from names in reports to logged names. None: all numbers.

    Attributes
    ----------
    is_active
        Whether this process is a trial; if not, callbacks do nothing.
    """

    def __init__(self, metrics: str | Sequence[str] | Mapping[str, str] | None) -> None:
        names = [metrics] if isinstance(metrics, str) else metrics
        self._names = (
            None if names is None else names if isinstance(names, Mapping) else {name: name for name in names}
        )
        self._count = int(os.environ.get(RESUME_FROM) or 0)
        self.is_active = checkpoint_dir() is not None
        self._until = int(os.environ.get(UNTIL) or sys.maxsize)
        if not self.is_active:
            _logger.info(
                "This is not a trial of Tunewright: nothing is reported, and no checkpoint is written"
            )

    def select(self, logged: Mapping[str, object], progress: Mapping[str, float]) -> dict[str, Any]:
        """Values of the next report.

        Parameters
        ----------
        logged
            Values that the framework has logged.
        progress
            Epochs or rounds done, under the names of reports.

        Raises
        ------
        ValueError
            A metric was not logged; the message names those that were.
        """
        if self._names is None:
            values = {name: value for name, value in logged.items() if _is_number(value)}
            missing = (
                [os.environ[METRIC]] if os.environ.get(METRIC, "") not in {"", *values, *progress} else []
            )
        else:
            missing = [name for name in self._names.values() if name not in logged]
            values = {name: logged[source] for name, source in self._names.items() if source in logged}
        if missing:
            known = ", ".join(repr(name) for name in sorted(logged)) or "nothing"
            raise ValueError(f"The metric {missing[0]!r} was not logged. Logged: {known}")
        return {**values, **progress}

    def resource(self, values: Mapping[str, Any]) -> int:
        """Resource of the next report: its value if it is among the values, otherwise the number of reports.

        The runner counts in the same way (`Reporter`).
        """
        value = values.get(os.environ.get(RESOURCE_ATTR, ""))
        if isinstance(value, (int, float)) and math.isfinite(value):
            whole = round(value)
            if whole >= 1 and math.isclose(value, whole, rel_tol=1e-6):
                return whole
        return self._count + 1

    def is_last(self, values: Mapping[str, Any]) -> bool:
        """Whether the run ends with this report, before the end of training."""
        return self.resource(values) >= self._until

    def send(self, values: Mapping[str, Any]) -> None:
        """Report; this does not return if the run ends here, so save the checkpoint first."""
        self._count += 1
        report(**values)


def newest_first(resources: Mapping[str, int]) -> list[str]:
    """Order checkpoints as `load_newest` does: the newest that was reported, then older ones, then those not reported.

    Parameters
    ----------
    resources
        Resource of each checkpoint by its name.
    """
    resume_from = int(os.environ.get(RESUME_FROM) or 0)
    newest = sorted(resources, key=lambda name: -resources[name])
    return sorted(newest, key=lambda name: bool(resume_from) and resources[name] > resume_from)


def wrong_start(done: int, begun: int, unit: str, remedy: str) -> RuntimeError:
    """The error of a resumed trial whose training does not begin at its checkpoint."""
    return RuntimeError(
        f"This trial has trained {done} {unit} already, but training begins after {begun}: {remedy}"
    )


def _is_number(value: object) -> bool:
    """Whether a value is a number, or an array or tensor of one."""
    if isinstance(value, (int, float)):
        return True
    count = getattr(value, "numel", None)
    size = count() if callable(count) else getattr(value, "size", 0)
    return size == 1 and callable(getattr(value, "item", None))
