"""Best-so-far curves of many experiments on one grid of times, and the scale of a benchmark's losses."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from tunewright.analysis.columns import Columns, Floats
from tunewright.analysis.results import ExperimentInfo, Results
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.formatting import plural
from tunewright.metric import Constraint, Goal, Metric
from tunewright.trial import FINISHED, ExperimentStatus

N_TIMES: Final = 200
"""Default number of points of a grid."""
_MUCH: Final = 1.25  # ratio of longest and shortest experiment above which a note is added
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

    def key(self) -> tuple[bytes, bytes]:
        """Equal for equal curves."""
        return self.times.tobytes(), self.losses.tobytes()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Losses at 0 and 1 of a benchmark's normalised regret."""

    best: float
    """Best loss of all runs; NaN without any."""
    start: float
    """Loss of an untrained model; median loss of the first results of all runs if the benchmark's table does not know it. If
    that is not above ``best``, the highest loss of a first result."""
    cap: float = float("inf")
    """Loss above which losses are alike: that of an untrained model; inf if it is not known."""

    def regret(self, losses: Floats) -> Floats:
        """Distance from the best loss, as a share of the scale; NaN remains."""
        width = self.start - self.best or 1.0  # without a difference all regrets are 0 for any width
        return (np.minimum(losses, self.cap) - self.best) / width


def scale_of(runs: Iterable[Sequence[Steps]], untrained: float | None = None) -> Scale:
    """Scale of a benchmark.

    Parameters
    ----------
    runs
        Runs of each setup, all that are known; setups with equal runs count once.
    untrained
        Loss of an untrained model, if it is known.
    """
    distinct = {tuple(step.key() for step in steps): steps for steps in runs}
    found = [step.losses for steps in distinct.values() for step in steps if len(step.losses)]
    if not found:
        return Scale(best=float("nan"), start=float("nan"))
    best, first = min(float(losses[-1]) for losses in found), [float(losses[0]) for losses in found]
    if untrained is not None and untrained > best:
        return Scale(best=best, start=untrained, cap=untrained)
    start = float(np.median(first))
    return Scale(best=best, start=start if start > best else max(first))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SetupCurves:
    """All seeds of one setup on one benchmark."""

    seeds: tuple[int, ...]
    """Ascending."""
    effective_seeds: tuple[int, ...]
    """One per seed: runs with the same one have their random numbers in common."""
    losses: Floats
    """Shape (seeds, times): the best loss so far; NaN before an experiment's first result."""
    steps: tuple[Steps, ...]
    """One per seed."""

    def chosen(self, seeds: Sequence[int]) -> SetupCurves:
        """Only these seeds, in this order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return SetupCurves(
            seeds=tuple(seeds),
            effective_seeds=tuple(self.effective_seeds[row] for row in rows),
            losses=self.losses[rows],
            steps=tuple(self.steps[row] for row in rows),
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
    """Seconds, ascending; the last is the end of the shortest experiment that more time would change."""
    setups: Mapping[str, SetupCurves]
    scale: Scale
    """Of the benchmark: from all experiments that were loaded, also those of other setups."""
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

    def chosen(self, labels: Iterable[str]) -> Curves:
        """Only these setups, if they were run, in this order; the grid and the scale remain."""
        return replace(self, setups={label: self.setups[label] for label in labels if label in self.setups})

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
    every = _of(results, benchmark)
    labels = alphabetical({info.method for info, _ in every})
    if setups is not None:
        wanted = list(setups)
        for label in wanted:
            if label not in labels:
                raise UnknownNameError(f"setup on {benchmark}", label, labels)
        labels = wanted
    mine = [pair for pair in every if pair[0].method in labels]
    _check(benchmark, chosen, mine)
    newest = _newest(every)
    steps = {key: best_so_far(columns, chosen) for key, (_, columns) in newest.items()}
    shown = {key: info for key, (info, _) in newest.items() if key[0] in labels}
    times = _grid(list(shown.values()), until, n_times)
    notes = _notes(benchmark, mine, shown) + _short_notes(benchmark, list(shown.values()), until)
    return Curves(
        benchmark=benchmark,
        metric=chosen,
        clock=mine[0][0].clock,
        values=_values(mine),
        times=times,
        setups={label: _setup(label, shown, steps, times) for label in labels},
        scale=_scale(every, steps, chosen),
        notes=tuple(notes),
    )


def alphabetical(labels: Iterable[str]) -> list[str]:
    """Labels in the order of their letters and numbers: ``B2`` before ``b10``."""

    def key(label: str) -> tuple[list[tuple[str, int]], str]:
        parts = re.findall(r"(\D*)(\d*)", label.lower())
        return [(text, int(number or -1)) for text, number in parts], label

    return sorted(labels, key=key)


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


def equal_setups(every: Sequence[Curves], *, prefer: str | None = None) -> dict[str, tuple[str, ...]]:
    """Find setups that had equal curves in every run on every benchmark, such as methods that fell back to random search.

    Parameters
    ----------
    every
        Curves of all benchmarks.
    prefer
        Setup that stands for those that are equal to it; of others the first one does.

    Returns
    -------
    dict
        For each setup that stands for itself or others: the others.
    """
    groups: dict[object, list[str]] = {}
    labels = dict.fromkeys(label for found in every for label in found.setups)
    for label in sorted(labels, key=lambda label: (label != prefer, list(labels).index(label))):
        setups = [found.setups.get(label) for found in every]
        runs = tuple(setup and (setup.seeds, *(step.key() for step in setup.steps)) for setup in setups)
        groups.setdefault(runs, []).append(label)
    standing = {first: tuple(others) for first, *others in groups.values()}
    return {label: standing[label] for label in labels if label in standing}


def with_equals(label: str, equal: Mapping[str, Sequence[str]]) -> str:
    """A setup with those that had equal curves in every run."""
    others = equal.get(label, ())
    return f"{label} (= {', '.join(others)})" if others else label


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
            f"{plural(len(lacking), 'experiment')} on {benchmark} {'does' if len(lacking) == 1 else 'do'} not report {metric.name!r}: "
            f"{', '.join(lacking[:_SHOWN])}{more}. Leave them out with 'where'"
        )


def newest_columns(results: Results, benchmark: str) -> dict[tuple[str, int], Columns]:
    """The reports of the experiment that counts for each pair of setup and seed, as in `curves`."""
    return {key: columns for key, (_, columns) in _newest(_of(results, benchmark)).items()}


def newest_infos(results: Results, benchmark: str) -> dict[tuple[str, int], ExperimentInfo]:
    """The experiment that counts for each pair of setup and seed, as in `curves`."""
    return {key: info for key, (info, _) in _newest(_of(results, benchmark)).items()}


def _of(results: Results, benchmark: str) -> list[tuple[ExperimentInfo, Columns]]:
    pairs = zip(results.infos, results.columns, strict=True)
    return [(info, columns) for info, columns in pairs if info.benchmark == benchmark]


def _newest(
    every: Sequence[tuple[ExperimentInfo, Columns]],
) -> dict[tuple[str, int], tuple[ExperimentInfo, Columns]]:
    """One experiment for each setup and seed; reports that violate the constraint of any experiment are NaN."""
    newest: dict[tuple[str, int], tuple[ExperimentInfo, Columns]] = {}
    for info, columns in every:
        key = info.method, info.seed
        is_finished = info.totals.status in FINISHED
        if key not in newest or is_finished or newest[key][0].totals.status not in FINISHED:
            newest[key] = info, columns
    bounds = _bounds(every)
    return {key: (info, _counting(part, bounds)) for key, (info, part) in newest.items()}


def _bounds(every: Sequence[tuple[ExperimentInfo, Columns]]) -> tuple[Constraint, ...]:
    return tuple(dict.fromkeys(bound for info, _ in every for bound in info.constraints))


def _notes(
    benchmark: str,
    mine: Sequence[tuple[ExperimentInfo, Columns]],
    newest: Mapping[tuple[str, int], ExperimentInfo],
) -> list[str]:
    """Experiments that do not count or are not finished, and results that do not count."""
    cut = [info.name for info in newest.values() if info.totals.status not in FINISHED]
    notes: list[str] = []
    if n_repeated := len(mine) - len(newest):
        are = "is" if n_repeated == 1 else "are"
        older = plural(n_repeated, "older experiment")
        notes.append(f"{benchmark}: {older} of the same setup and seed {are} left out")
    if cut:
        more = ", ..." if len(cut) > _SHOWN else ""
        are = "is" if len(cut) == 1 else "are"
        notes.append(
            f"{benchmark}: {plural(len(cut), 'experiment')} {are} not finished: {', '.join(cut[:_SHOWN])}{more}"
        )
    if bounds := _bounds(mine):
        text = ", ".join(map(str, bounds))
        notes.append(f"{benchmark}: results that break {text} do not count, whatever setup had them")
    return notes


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
    """Grid from 0 to the end of the shortest experiment; those without an end do not count."""
    ends = [info.totals.end_time for info in infos]
    limited = [info.totals.end_time for info in infos if not _is_endless(info)]
    end = min(limited) if limited else max(ends)
    return np.linspace(0.0, end if until is None else min(until, end), n_times)


def _is_endless(info: ExperimentInfo) -> bool:
    """Whether more time would not change an experiment: its method had nothing left to try, with trials to spare."""
    limit = info.record.limits.max_num_trials if info.record is not None else None
    return info.totals.status == ExperimentStatus.COMPLETED and (
        limit is None or info.totals.n_trials < limit
    )


def _short_notes(benchmark: str, infos: Sequence[ExperimentInfo], until: float | None) -> list[str]:
    """Note that budgets differ: a much shorter experiment limits the compared time."""
    longest = max(info.totals.end_time for info in infos)
    limited = [info for info in infos if not _is_endless(info)]
    shortest = min(limited, key=lambda info: info.totals.end_time, default=None)
    wanted = longest if until is None else min(until, longest)
    if shortest is None or shortest.totals.end_time >= wanted / _MUCH:
        return []
    text = (
        f"unequal budgets: compared after {shortest.totals.end_time:.4g} s, where {shortest.name} ended, although others ran "
        f"for up to {longest:.4g} s: give all the same time, leave it out, or continue it"
    )
    return [f"{benchmark}: {text}"]


def _setup(
    label: str,
    infos: Mapping[tuple[str, int], ExperimentInfo],
    every: Mapping[tuple[str, int], Steps],
    times: Floats,
) -> SetupCurves:
    seeds = sorted(seed for method, seed in infos if method == label)
    steps = tuple(every[label, seed] for seed in seeds)
    return SetupCurves(
        seeds=tuple(seeds),
        effective_seeds=tuple(infos[label, seed].effective_seed for seed in seeds),
        losses=np.array([s.at(times) for s in steps]),
        steps=steps,
    )


def _scale(
    every: Sequence[tuple[ExperimentInfo, Columns]], steps: Mapping[tuple[str, int], Steps], metric: Metric
) -> Scale:
    """Scale of a benchmark from all its experiments."""
    by_setup: dict[str, list[Steps]] = defaultdict(list)
    for label, seed in sorted(steps):
        by_setup[label].append(steps[label, seed])
    untrained = [
        metric.loss(info.untrained[metric.name]) for info, _ in every if metric.name in info.untrained
    ]
    return scale_of(by_setup.values(), max(untrained, default=None))


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
