"""Metrics from names and goals, as people give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from tunewright.exceptions import SettingsError
from tunewright.metric import Goal, Metric


def metrics_from(
    names: str | Sequence[str], goals: str | Sequence[str] = Goal.MINIMIZE
) -> tuple[Metric, ...]:
    """One metric for each name.

    Parameters
    ----------
    names
        The keys of reports: one, several with commas (``"error,seconds"``), or a sequence of such texts.
    goals
        ``"min"`` or ``"max"``, in the same form: one for all, or one for each.

    Raises
    ------
    SettingsError
        A name comes twice, a goal is unknown, or there are as many goals as fit neither.
    """
    every, wanted = _parts(names), _parts(goals)
    twice = next((name for name in every if every.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(f"The metric {twice!r} is given twice")
    if len(wanted) not in {1, len(every)}:
        raise SettingsError(
            f"There are {len(wanted)} goals ({', '.join(wanted)}) for {len(every)} metrics ({', '.join(every)}): "
            "give one for all, or one for each"
        )
    if len(wanted) == 1:
        wanted *= len(every)
    return tuple(Metric(name, cast("Goal", goal)) for name, goal in zip(every, wanted, strict=True))


def _parts(given: str | Sequence[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    return [part.strip() for text in texts for part in text.split(",")]
