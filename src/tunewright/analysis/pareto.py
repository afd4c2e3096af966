"""Several objectives: Pareto sets, and the volume that they dominate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunewright.analysis.columns import Columns, Floats
from tunewright.analysis.extras import need
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.metric import Metric


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


def pareto_mask(losses: Floats) -> NDArray[np.bool_]:
    """Which rows no other row dominates; of equal rows all. Rows with an infinite loss never count.

    Parameters
    ----------
    losses
        Shape (n, objectives); lower is better in every column.
    """
    finite = np.isfinite(losses).all(axis=1)
    order = np.flatnonzero(finite)[np.lexsort(losses[finite].T[::-1])]
    kept: list[int] = []
    front = np.empty((0, losses.shape[1]))
    for row in order.tolist():
        point = losses[row]
        if not ((front <= point).all(axis=1) & (front < point).any(axis=1)).any():
            kept.append(row)
            front = losses[kept]
    mask = np.zeros(len(losses), dtype=np.bool_)
    mask[kept] = True
    return mask


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
        moocore is not installed.
    """
    if len(reference) != losses.shape[1]:
        raise SettingsError(
            f"The reference point has {len(reference)} values, but there are {losses.shape[1]} objectives"
        )
    moocore: Any = need("moocore", "Hypervolume", extra="moo")
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
