"""Best-so-far curves of many experiments on one grid of times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from tunewright.analysis.columns import Columns, Floats
from tunewright.analysis.results import ExperimentInfo, Results
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.metric import Constraint, Goal, Metric
from tunewright.trial import FINISHED, ExperimentStatus

N_TIMES: Final = 200
"""Default number of points of a grid."""
_MUCH: Final = 2.0  # ratio of longest and shortest experiment above which a note is added
_SHOWN: Final = 4  # experiments named in a message


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Best loss of one experiment over time, at its exact times of improvement."""

    times: Floats
    """Seconds of the improvements."""
    losses: Floats
    """Best loss from then on; lower is better."""

    def at(self, times: Floats) -> Floats:
        """The best loss at given times; NaN before the first."""
        if not len(self.times):
            return np.full(len(times), np.nan)
        position = np.searchsorted(self.times, times, side="right") - 1
        return np.where(position >= 0, self.losses[position], np.nan)

    def reached(self, loss: float) -> float:
        """First time at which the best loss is ``loss`` or lower; inf if it never is."""
        below = np.flatnonzero(self.losses <= loss)
        return float(self.times[below[0]]) if len(below) else float("inf")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SetupCurves:
    """All seeds of one setup on one benchmark."""

    seeds: tuple[int, ...]
    """Ascending."""
    losses: Floats
    """Shape (seeds, times): the best loss so far; NaN before an experiment's first result."""
    steps: tuple[Steps, ...]
    """One per seed."""

    def chosen(self, seeds: Sequence[int]) -> SetupCurves:
        """Only these seeds, in this order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return SetupCurves(
            seeds=tuple(seeds), losses=self.losses[rows], steps=tuple(self.steps[row] for row in rows)
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Curves of the setups of one benchmark."""

    benchmark: str
    metric: Metric
    clock: str
    values: str
    """``measured``, ``recorded`` or ``surrogate``."""
    times: Floats
    """Seconds, ascending; the last is the end of the shortest experiment."""
    setups: Mapping[str, SetupCurves]
    notes: tuple[str, ...] = ()
    """Limitations: seeds that are not common, experiments that were interrupted or repeated."""

    def display(self, losses: Floats) -> Floats:
        """Losses as values of the metric."""
        return -losses if self.metric.goal is Goal.MAXIMIZE else losses

    @property
    def common_seeds(self) -> tuple[int, ...]:
        """Seeds that every setup has."""
        sets = [set(setup.seeds) for setup in self.setups.values()]
        first, *others = sets
        return tuple(sorted(first.intersection(*others)))

    def paired(self) -> Curves:
        """Only the seeds that every setup has; a note lists the others.

        Raises
        ------
        SettingsError
            There are no common seeds.
        """
        common = self.common_seeds
        if not common:
            raise SettingsError(f"On {self.benchmark} no seed was run with every setup: run the missing ones")
        left_out = {label: sorted(set(setup.seeds) - set(common)) for label, setup in self.setups.items()}
        notes = [
            f"{self.benchmark}: seeds {_ranges(seeds)} of {label} have no partner and are not in the tests"
            for label, seeds in left_out.items()
            if seeds
        ]
        chosen = {label: setup.chosen(common) for label, setup in self.setups.items()}
        return replace(self, setups=chosen, notes=(*self.notes, *notes))


def best_so_far(columns: Columns, metric: Metric) -> Steps:
    """Best loss of an experiment over time; non-finite values are ignored."""
    values = columns.metrics.get(metric.name)
    if values is None or not len(values):
        return Steps(times=np.empty(0), losses=np.empty(0))
    losses = np.where(np.isfinite(values), values if metric.goal is Goal.MINIMIZE else -values, np.inf)
    best = np.minimum.accumulate(losses)
    is_better = best < np.concatenate(([np.inf], best[:-1]))
    return Steps(times=columns.time[is_better], losses=best[is_better])


def curves(
    results: Results,
    benchmark: str,
    *,
    metric: str | None = None,
    setups: Iterable[str] | None = None,
    until: float | None = None,
    n_times: int = N_TIMES,
) -> Curves:
    """The curves of a benchmark's experiments.

    If a seed was run several times with a setup, the newest finished experiment is used. Constraints of one experiment
    hold for all, so that methods which know of them and those which do not are compared by the same results.

    Parameters
    ----------
    results
        Loaded experiments.
    benchmark
        Whose experiments.
    metric
        Another reported value than the first tuned metric.
    setups
        Methods to compare, in this order; None: all, by name.
    until
        Seconds at which the grid ends, if no experiment ends before.
    n_times
        Points of the grid.

    Raises
    ------
    SettingsError
        Wall-clock and simulated experiments are mixed, or an experiment does not report the metric.
    UnknownNameError
        The benchmark, the metric or a setup is unknown.
    """
    chosen = results.metric(benchmark, metric)
    mine = [
        (info, columns)
        for info, columns in zip(results.infos, results.columns, strict=True)
        if info.benchmark == benchmark
    ]
    labels = sorted({info.method for info, _ in mine}, key=str.lower)
    if setups is not None:
        wanted = list(setups)
        for label in wanted:
            if label not in labels:
                raise UnknownNameError(f"setup on {benchmark}", label, labels)
        labels = wanted
    mine = [pair for pair in mine if pair[0].method in labels]
    _check(benchmark, chosen, mine)
    newest, notes = _newest(benchmark, mine)
    times = _grid([info for info, _ in newest.values()], until, n_times)
    notes += _short_notes(benchmark, [info for info, _ in newest.values()], until)
    return Curves(
        benchmark=benchmark,
        metric=chosen,
        clock=mine[0][0].clock,
        values=_values(mine),
        times=times,
        setups={label: _setup(label, newest, chosen, times) for label in labels},
        notes=tuple(notes),
    )


def all_curves(
    results: Results, *, setups: Iterable[str] | None = None, n_times: int = N_TIMES
) -> list[Curves]:
    """The curves of every benchmark.

    Raises
    ------
    SettingsError, UnknownNameError
        As `curves`.
    """
    labels = None if setups is None else list(setups)
    return [curves(results, name, setups=labels, n_times=n_times) for name in results.benchmarks]


def _check(benchmark: str, metric: Metric, mine: Sequence[tuple[ExperimentInfo, Columns]]) -> None:
    clocks = {info.clock for info, _ in mine}
    if len(clocks) > 1:
        raise SettingsError(
            f"On {benchmark} some experiments ran in simulated and some in real time, which cannot be compared: "
            "choose with where={'clock': 'simulated'} or 'wall'"
        )
    lacking = [info.name for info, columns in mine if columns.size and metric.name not in columns.metrics]
    if lacking:
        more = ", ..." if len(lacking) > _SHOWN else ""
        raise SettingsError(
            f"{len(lacking)} experiments on {benchmark} do not report {metric.name!r}: "
            f"{', '.join(lacking[:_SHOWN])}{more}. Leave them out with 'where'"
        )


def newest_columns(results: Results, benchmark: str) -> dict[tuple[str, int], Columns]:
    """The reports of the experiment that counts for each pair of setup and seed, as in `curves`."""
    pairs = zip(results.infos, results.columns, strict=True)
    newest, _ = _newest(benchmark, [pair for pair in pairs if pair[0].benchmark == benchmark])
    return {key: columns for key, (_, columns) in newest.items()}


def _newest(
    benchmark: str, mine: Sequence[tuple[ExperimentInfo, Columns]]
) -> tuple[dict[tuple[str, int], tuple[ExperimentInfo, Columns]], list[str]]:
    """One experiment for each setup and seed, and notes about the others."""
    newest: dict[tuple[str, int], tuple[ExperimentInfo, Columns]] = {}
    n_repeated = 0
    for info, columns in mine:
        key = info.method, info.seed
        n_repeated += key in newest
        is_finished = info.totals.status in FINISHED
        if key not in newest or is_finished or newest[key][0].totals.status not in FINISHED:
            newest[key] = info, columns
    cut = [info.name for info, _ in newest.values() if info.totals.status not in FINISHED]
    notes: list[str] = []
    if n_repeated:
        notes.append(f"{benchmark}: {n_repeated} older experiments of the same setup and seed are left out")
    if cut:
        more = ", ..." if len(cut) > _SHOWN else ""
        notes.append(f"{benchmark}: {len(cut)} experiments are not finished: {', '.join(cut[:_SHOWN])}{more}")
    bounds = tuple(dict.fromkeys(bound for info, _ in mine for bound in info.constraints))
    if bounds:
        text = ", ".join(map(str, bounds))
        notes.append(f"{benchmark}: results that break {text} do not count, whatever setup had them")
    return {key: (info, _counting(part, bounds)) for key, (info, part) in newest.items()}, notes


def _counting(columns: Columns, constraints: Sequence[Constraint]) -> Columns:
    """The reports, with NaN for those that violate a constraint or lack its metric."""
    is_kept = np.ones(columns.size, dtype=np.bool_)
    for constraint in constraints:
        values = columns.metrics.get(constraint.name, np.full(columns.size, np.nan))
        is_kept &= values <= constraint.bound if constraint.is_upper else values >= constraint.bound
    if is_kept.all():
        return columns
    metrics = {name: np.where(is_kept, values, np.nan) for name, values in columns.metrics.items()}
    return replace(columns, metrics=metrics)


def _grid(infos: Sequence[ExperimentInfo], until: float | None, n_times: int) -> Floats:
    """Grid from 0 to the end of the shortest experiment; completed experiments count as endless."""
    ends = [info.totals.end_time for info in infos]
    limited = [info.totals.end_time for info in infos if info.totals.status != ExperimentStatus.COMPLETED]
    end = min(limited) if limited else max(ends)
    return np.linspace(0.0, end if until is None else min(until, end), n_times)


def _short_notes(benchmark: str, infos: Sequence[ExperimentInfo], until: float | None) -> list[str]:
    """Note that a much shorter experiment limits the compared time."""
    longest = max(info.totals.end_time for info in infos)
    limited = [info for info in infos if info.totals.status != ExperimentStatus.COMPLETED]
    shortest = min(limited, key=lambda info: info.totals.end_time, default=None)
    wanted = longest if until is None else min(until, longest)
    if shortest is None or shortest.totals.end_time >= wanted / _MUCH:
        return []
    text = f"compared after {shortest.totals.end_time:.4g} s, where {shortest.name} ended, although others ran for up to"
    return [f"{benchmark}: {text} {longest:.4g} s: leave it out, or continue it"]


def _setup(
    label: str,
    newest: Mapping[tuple[str, int], tuple[ExperimentInfo, Columns]],
    metric: Metric,
    times: Floats,
) -> SetupCurves:
    seeds = sorted(seed for method, seed in newest if method == label)
    steps = tuple(best_so_far(newest[label, seed][1], metric) for seed in seeds)
    return SetupCurves(seeds=tuple(seeds), losses=np.array([s.at(times) for s in steps]), steps=steps)


def _values(mine: Sequence[tuple[ExperimentInfo, Columns]]) -> str:
    kinds = {info.values for info, _ in mine}
    return "surrogate" if "surrogate" in kinds else kinds.pop()


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in short: ``0-3, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
