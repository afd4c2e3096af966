"""Several objectives: Pareto sets, and the volume that they dominate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunewright.analysis.columns import Columns, Floats
from tunewright.analysis.extras import need
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.metric import Metric
from tunewright.models.pareto import dominated_volume, pareto_mask

__all__ = ["hypervolume", "hypervolume_curve", "losses_of", "pareto_mask"]

_OWN_OBJECTIVES = 3
"""Up to so many objectives need no library."""


def losses_of(columns: Columns, metrics: Sequence[Metric]) -> Floats:
    """All reports as losses, shape (reports, metrics); a non-finite value is inf.

    Raises
    ------
    UnknownNameError
        A metric was not reported.
    """
    losses: list[Floats] = []
    for metric in metrics:
        if metric.name not in columns.metrics:
            raise UnknownNameError("metric", metric.name, columns.metrics)
        values = columns.metrics[metric.name]
        sign = metric.loss(1.0)
        losses.append(np.where(np.isfinite(values), sign * values, np.inf))
    return np.column_stack(losses)


def hypervolume(losses: Floats, reference: Sequence[float]) -> float:
    """The volume that the rows dominate up to a reference point.

    Parameters
    ----------
    losses
        Shape (n, objectives).
    reference
        A point that is worse than all of interest.

    Raises
    ------
    SettingsError
        The reference has another number of objectives.
    MissingExtraError
        There are more than three objectives, and moocore is not installed.
    """
    if len(reference) != losses.shape[1]:
        raise SettingsError(
            f"The reference point has {len(reference)} values, but there are {losses.shape[1]} objectives"
        )
    if len(reference) <= _OWN_OBJECTIVES:
        return dominated_volume(losses, np.asarray(reference, dtype=np.float64))
    moocore: Any = need("moocore", "Hypervolume of more than three objectives", extra="moo")
    finite = losses[np.isfinite(losses).all(axis=1)]
    return float(moocore.hypervolume(finite, ref=np.asarray(reference))) if len(finite) else 0.0


def hypervolume_curve(
    columns: Columns, metrics: Sequence[Metric], reference: Sequence[float], times: Floats
) -> Floats:
    """The hypervolume of all reports up to each time.

    Raises
    ------
    SettingsError, UnknownNameError, MissingExtraError
        As `hypervolume` and `losses_of`.
    """
    losses = losses_of(columns, metrics)
    counts = np.searchsorted(columns.time, times, side="right")
    known = {0: 0.0}
    for count in np.unique(counts).tolist():
        if count:
            known[count] = hypervolume(losses[:count], reference)
    return np.array([known[count] for count in counts.tolist()])
