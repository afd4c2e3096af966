"""Several objectives: Pareto sets, dominated volume and attainment.

References
----------
.. [Grunert2001] Grunert da Fonseca, Fonseca, Hall: Inferential Performance Assessment of Stochastic Optimisers and the
   Attainment Function. EMO 2001.
.. [Knowles2006] Knowles, Thiele, Zitzler: A Tutorial on the Performance Assessment of Stochastic Multiobjective
   Optimizers. TIK Report 214, ETH Zurich (2006).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast, final

import numpy as np
from numpy.typing import NDArray

from tunewright.analysis.columns import Columns, Floats
from tunewright.analysis.curves import Curves, Steps, curves, newest_columns, scale_of
from tunewright.analysis.extras import need
from tunewright.analysis.results import Results
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.metric import Goal, Metric
from tunewright.models.pareto import dominated_volume, pareto_mask

_OWN_OBJECTIVES = 3
"""Maximum number of objectives without moocore."""


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


HYPERVOLUME: Final = Metric("hypervolume", Goal.MAXIMIZE)
"""Metric of comparisons of experiments with several objectives."""
MARGIN: Final = 0.1
"""How far the reference point lies beyond the worst corner, as a part of the range of each objective."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoSets:
    """The Pareto sets that the runs of one benchmark ended with."""

    benchmark: str
    metrics: tuple[Metric, ...]
    values: str
    """``measured``, ``recorded`` or ``surrogate``."""
    setups: Mapping[str, Sequence[Floats]]
    """For each seed the losses of its Pareto set, shape (n, objectives)."""

    def display(self, losses: Floats) -> Floats:
        """Losses, shape (n, objectives), as values of the metrics."""
        return losses * np.array([metric.loss(1.0) for metric in self.metrics])

    def corners(self) -> tuple[Floats, Floats]:
        """Best and worst loss of each objective among all sets; the range is 1 if they are equal.

        Raises
        ------
        SettingsError
            No run has a report with finite values of all objectives.
        """
        every = [found for sets in self.setups.values() for found in sets if len(found)]
        if not every:
            raise SettingsError(f"On {self.benchmark} no report has finite values of all objectives")
        points = np.concatenate(every)
        best, worst = points.min(axis=0), points.max(axis=0)
        return best, cast("NDArray[np.float64]", np.where(worst > best, worst, best + 1.0))


def objectives_of(results: Results, benchmark: str) -> tuple[Metric, ...]:
    """The metrics that a benchmark's experiments tune.

    Raises
    ------
    UnknownNameError, SettingsError
        As `Results.metric`.
    """
    results.metric(benchmark)
    return next(info.metrics for info in results.infos if info.benchmark == benchmark)


def pareto_sets(results: Results, benchmark: str, *, metrics: Sequence[str] | None = None) -> ParetoSets:
    """The Pareto set of every run, of the newest experiment of each setup and seed.

    Parameters
    ----------
    results
        Loaded experiments.
    benchmark
        Whose experiments.
    metrics
        Other reported values than the tuned metrics; one that is not tuned is minimised.

    Raises
    ------
    SettingsError
        There are fewer than two objectives, or as `curves`.
    UnknownNameError
        There is no such benchmark or metric.
    """
    chosen = _objectives(results, benchmark, metrics)
    base = curves(results, benchmark, n_times=2)
    newest = newest_columns(results, benchmark)
    setups = {
        label: [_front(losses_of(newest[label, seed], chosen)) for seed in setup.seeds]
        for label, setup in base.setups.items()
    }
    return ParetoSets(benchmark=benchmark, metrics=chosen, values=base.values, setups=setups)


def hypervolume_curves(
    results: Results,
    benchmark: str,
    *,
    metrics: Sequence[str] | None = None,
    reference: Sequence[float] | None = None,
    setups: Iterable[str] | None = None,
) -> Curves:
    """The dominated hypervolume of every run over time, as curves that all comparisons take: the higher the better.

    Parameters
    ----------
    results, benchmark, metrics
        As `pareto_sets`.
    reference
        Values of the metrics that are worse than all of interest. None: objectives are scaled to the range of all
        Pareto sets, and the reference lies a tenth of it beyond the worst corner; 1 would then be one point that is
        best in everything ([Knowles2006]_, section 4).
    setups
        Setups to compare, in this order; None: all. The reference is that of all setups.

    Raises
    ------
    SettingsError, UnknownNameError
        As `pareto_sets`, or the reference has another number of values.
    MissingExtraError
        There are more than three objectives, and moocore is not installed.
    """
    sets = pareto_sets(results, benchmark, metrics=metrics)
    k = len(sets.metrics)
    if reference is None:
        best, worst = sets.corners()
        span = worst - best
        corner, unit = np.full(k, 1.0 + MARGIN), (1.0 + MARGIN) ** k
    else:
        best, span, unit = np.zeros(k), np.ones(k), 1.0
        if len(reference) != k:
            raise SettingsError(
                f"The reference point has {len(reference)} values, but there are {k} objectives"
            )
        corner = np.array([metric.loss(value) for metric, value in zip(sets.metrics, reference, strict=True)])
    base = curves(results, benchmark, setups=setups)
    steps: dict[str, dict[int, Steps]] = defaultdict(dict)
    for (label, seed), run in sorted(newest_columns(results, benchmark).items(), key=lambda item: item[0]):
        scaled = (losses_of(run, sets.metrics) - best) / span
        steps[label][seed] = _steps(run, scaled, corner, unit)
    volumes = {
        label: replace(
            setup,
            losses=np.array([steps[label][seed].at(base.times) for seed in setup.seeds]),
            steps=tuple(steps[label][seed] for seed in setup.seeds),
        )
        for label, setup in base.setups.items()
    }
    names = ", ".join(metric.name for metric in sets.metrics)
    note = f"{benchmark}: several objectives ({names}), compared by the hypervolume that their Pareto set dominates"
    scale = scale_of(tuple(runs.values()) for runs in steps.values())
    return replace(base, metric=HYPERVOLUME, setups=volumes, scale=scale, notes=(*base.notes, note))


def attainment_surface(sets: Sequence[Floats], share: float = 0.5) -> Floats:
    """The surface of all points that a share of the runs attain, for two objectives ([Grunert2001]_).

    A run attains a point if one of its own is at least as good in both objectives. With ``share=0.5`` this is the
    median run's Pareto set, so to speak.

    Parameters
    ----------
    sets
        For each run the losses of its points, shape (n, 2); not all need be Pareto optimal.
    share
        Above 0 and at most 1; the surface is that of the lowest number of runs that is at least this share.

    Returns
    -------
    array of shape (m, 2)
        The lower left corners of the surface, the first loss ascending, the second descending. Empty if fewer runs
        than that have any point.

    Raises
    ------
    SettingsError
        There are no runs, not two objectives, or the share is out of its range.
    """
    if not sets or any(points.ndim != 2 or points.shape[1] != 2 for points in sets):
        raise SettingsError("Attainment surfaces need runs with two objectives: choose two with 'metrics'")
    if not 0.0 < share <= 1.0:
        raise SettingsError(f"share={share} must be above 0 and at most 1")
    n_needed = int(np.ceil(share * len(sets) - 1e-9))
    fronts = [_front(points) for points in sets]
    first = np.unique(np.concatenate([front[:, 0] for front in fronts]))
    seconds = np.array([_lowest_second(front, first) for front in fronts]).reshape(len(fronts), len(first))
    attained = np.sort(seconds, axis=0)[n_needed - 1]
    return _front(np.column_stack([first, attained]))


def _objectives(results: Results, benchmark: str, names: Sequence[str] | None) -> tuple[Metric, ...]:
    tuned = objectives_of(results, benchmark)
    chosen = tuned if names is None else tuple(results.metric(benchmark, name) for name in names)
    if len(chosen) < 2:
        raise SettingsError(
            f"{benchmark} tunes {tuned[0].name!r} alone: name the objectives with metrics=['{tuned[0].name}', ...]"
        )
    return chosen


def _front(losses: Floats) -> Floats:
    """Pareto optimal rows, each once, the first loss ascending."""
    return np.unique(losses[pareto_mask(losses)], axis=0)


def _lowest_second(front: Floats, first: Floats) -> Floats:
    """Lowest second loss among points whose first loss is at most each of ``first``; inf without such a point."""
    position = np.searchsorted(front[:, 0], first, side="right") - 1
    return np.where(position >= 0, np.append(front[:, 1], np.inf)[position], np.inf)


def _steps(columns: Columns, losses: Floats, corner: Floats, unit: float) -> Steps:
    """Times at which the hypervolume grows, and minus the hypervolume from then on."""
    times: list[float] = []
    volumes: list[float] = []
    front = np.empty((0, len(corner)))
    for row in np.flatnonzero((losses < corner).all(axis=1)).tolist():
        point = losses[row]
        if (front <= point).all(axis=1).any():
            continue
        front = np.vstack([front[~(point <= front).all(axis=1)], point])
        times.append(float(columns.time[row]))
        volumes.append(-hypervolume(front, corner.tolist()) / unit)
    if not times and len(losses):  # reports, but none within the reference
        times, volumes = [float(columns.time[0])], [-0.0]
    return Steps(times=np.array(times), losses=np.array(volumes))
