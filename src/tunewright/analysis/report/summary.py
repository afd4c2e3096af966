"""Comparison: figures, tests and warnings about the setups of a set of experiments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, final

import numpy as np

from tunewright.analysis.aggregate import Aggregate, Band, aggregate
from tunewright.analysis.columns import Floats
from tunewright.analysis.comparison import (
    FinalRegret,
    Ranks,
    TimeToTarget,
    anytime_area,
    final_regrets,
    mean_ranks,
    target_of,
    times_to_target,
)
from tunewright.analysis.curves import Curves, alphabetical, curves, equal_setups
from tunewright.analysis.objectives import ParetoSets, hypervolume_curves, objectives_of, pareto_sets
from tunewright.analysis.results import Results
from tunewright.analysis.significance import (
    MIN_PAIRS,
    CriticalDifference,
    Improvement,
    Over,
    PairedTest,
    critical_difference,
    draws_differ,
    paired_tests,
    probability_of_improvement,
)
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.formatting import listed, plural

_BASELINES: Final = ("RS", "RandomSearch", "Random", "random")
"""Default references."""
_SHOWN: Final = 4
"""More benchmarks than these are "all benchmarks" in a remark about all of them."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SetupRow:
    """One setup on one benchmark, at the end of the grid."""

    label: str
    n_seeds: int
    final: Band
    """Of losses, at one time."""
    median: float
    """Median loss of all seeds; inf if half of the seeds have no result."""
    best: float
    """Best loss of all seeds until then; NaN without a result."""
    area: float
    """Interquartile mean of the anytime area."""
    target: TimeToTarget
    test: PairedTest | None
    """Against the reference; None for the reference itself and its equals, and without common seeds."""
    equal_to: str | None = None
    """Setup that stands for this one in ranks and tests, as both had equal curves in every run on all benchmarks."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkComparison:
    """All setups on one benchmark."""

    curves: Curves
    areas: Mapping[str, Floats]
    target: float
    """Loss that the reference reached in half of its runs."""
    rows: Sequence[SetupRow]
    """The best first."""
    tests: Sequence[PairedTest]
    """All pairs of setups that differ."""
    sets: ParetoSets | None = None
    """Pareto sets at the end, with several objectives."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Comparison on all benchmarks."""

    results: Results
    labels: Sequence[str]
    reference: str
    benchmarks: Sequence[BenchmarkComparison]
    ranks: Ranks | None
    """None if ranks are not possible; the warnings have the cause."""
    critical: CriticalDifference | None
    improvements: Mapping[str, Improvement]
    """How likely a run of each setup is better than one of the reference."""
    regrets: Mapping[str, FinalRegret]
    """Normalised regrets at the end, of all setups that were run on every benchmark; empty without ranks."""
    warnings: Sequence[str]
    """Limitations of the comparison."""


def compare(
    results: Results, *, reference: str | None = None, setups: Iterable[str] | None = None
) -> Comparison:
    """Draw all comparisons.

    Parameters
    ----------
    results
        Loaded experiments.
    reference
        Setup that the others are compared with; None: random search if present, else the first.
    setups
        Labels to include; None: all.

    Raises
    ------
    UnknownNameError
        The reference or a setup is unknown.
    SettingsError
        Clocks are mixed, or a metric is missing.

    Notes
    -----
    Scales of regrets and reference points of hypervolumes come from all of ``results``, whichever setups are included.
    """
    chosen = results if setups is None else results.where(method=_known(setups, results))
    labels = alphabetical(chosen.methods)
    base = reference or next((label for label in _BASELINES if label in labels), labels[0])
    if base not in labels:
        raise UnknownNameError("setup", base, labels)
    names = alphabetical(chosen.benchmarks)
    sets = {name: pareto_sets(chosen, name) for name in names if len(objectives_of(chosen, name)) > 1}
    every = [
        (hypervolume_curves if name in sets else curves)(
            results, name, setups=alphabetical(chosen.where(benchmark=name).methods)
        )
        for name in names
    ]
    warnings: list[str] = []
    overall = _overall(every, base, warnings)
    warnings.extend(_few_seeds_warnings(every))
    equal = equal_setups(every, prefer=base)
    warnings.extend(_equal_text(label, others) for label, others in equal.items() if others)
    warnings.extend(_surrogate_warnings(chosen))
    warnings.extend(note for found in every for note in found.notes)
    benchmarks = [
        replace(_benchmark(found, base, equal, warnings), sets=sets.get(found.benchmark)) for found in every
    ]
    shared = [found for found in every if base in found.setups]
    return Comparison(
        results=chosen,
        labels=labels,
        reference=base,
        benchmarks=benchmarks,
        ranks=overall.ranks,
        critical=overall.critical,
        regrets=overall.regrets,
        improvements={
            label: probability_of_improvement([c for c in shared if label in c.setups], label, base)
            for label in labels
            if label != base and any(label in c.setups for c in shared)
        },
        warnings=list(dict.fromkeys(warnings)),
    )


def _known(setups: Iterable[str], results: Results) -> list[str]:
    wanted = list(setups)
    for label in wanted:
        if label not in results.methods:
            raise UnknownNameError("setup", label, results.methods)
    return wanted


def _surrogate_warnings(results: Results) -> list[str]:
    """Each remark once, with the benchmarks that it is about."""
    about: dict[str, dict[str, None]] = {}
    for info in results.infos:
        if info.values == "surrogate":
            for remark in (info.note or "surrogate values").split("; "):
                about.setdefault(remark, {})[info.benchmark] = None
    return [
        f"{_names(benchmarks, len(results.benchmarks))}: {remark}" for remark, benchmarks in about.items()
    ]


def _names(some: Collection[str], n_benchmarks: int) -> str:
    return "All benchmarks" if len(some) == n_benchmarks > _SHOWN else ", ".join(alphabetical(some))


def _few_seeds_warnings(every: Sequence[Curves]) -> list[str]:
    """One remark for each number of common seeds that is too low for tests, with its benchmarks."""
    about: dict[int, list[str]] = defaultdict(list)
    for found in every:
        if len(found.setups) > 1 and 0 < len(found.common_seeds) < MIN_PAIRS:
            about[len(found.common_seeds)].append(found.benchmark)
    return [
        f"{_names(benchmarks, len(every))}: with {plural(n, 'common seed')} no difference on a single benchmark can be "
        f"significant; {MIN_PAIRS} are needed"
        for n, benchmarks in sorted(about.items())
    ]


def _equal_text(label: str, others: Sequence[str]) -> str:
    return f"{listed(others)} had the same curve as {label} in every run: they count once in ranks, tests and scales"


def _benchmark(
    curves: Curves, reference: str, equal: Mapping[str, Sequence[str]], warnings: list[str]
) -> BenchmarkComparison:
    base = (
        reference if reference in curves.setups else next(label for label in equal if label in curves.setups)
    )
    targets = times_to_target(curves, reference=base)
    areas = anytime_area(curves)
    tests, by_label = _tests(curves, base, equal, warnings)
    rows = [
        SetupRow(
            label=label,
            n_seeds=len(setup.seeds),
            final=aggregate(_finite(setup.losses[:, -1:]), Aggregate.IQM),
            median=float(np.median(_finite(setup.losses[:, -1]))),
            best=float(np.fmin.reduce(setup.losses[:, -1])),
            area=float(aggregate(areas[label][:, None]).centre[0]),
            target=targets[label],
            test=by_label.get(label),
            equal_to=next((one for one, others in equal.items() if label in others), None),
        )
        for label, setup in curves.setups.items()
    ]
    rows.sort(key=lambda row: (np.nan_to_num(row.final.centre[0], nan=np.inf), row.area))
    return BenchmarkComparison(
        curves=curves,
        areas=areas,
        target=target_of(curves, base),
        rows=rows,
        tests=tests,
    )


def _tests(
    curves: Curves, reference: str, equal: Mapping[str, Sequence[str]], warnings: list[str]
) -> tuple[list[PairedTest], dict[str, PairedTest]]:
    """Tests of all pairs of setups that differ, and those against the reference by setup, also by its equals."""
    curves = curves.chosen(equal)
    if len(curves.setups) < 2:
        return [], {}
    try:
        paired = curves.paired()
    except SettingsError as error:
        warnings.append(str(error))
        return [], {}
    warnings.extend(paired.notes)
    tests = paired_tests(curves)
    against = {
        test.second if test.first == reference else test.first: test
        for test in tests
        if reference in (test.first, test.second)
    }
    shared = {other: test for label, test in against.items() for other in equal[label]}
    return tests, against | shared


@final
@dataclass(frozen=True, slots=True)
class _Overall:
    """Comparison over all benchmarks."""

    ranks: Ranks | None = None
    critical: CriticalDifference | None = None
    regrets: Mapping[str, FinalRegret] = field(default_factory=dict[str, FinalRegret])


def _overall(every: Sequence[Curves], reference: str, warnings: list[str]) -> _Overall:
    """Ranks, tests and regrets over the benchmarks that every setup was run on."""
    labels = {label for curves in every for label in curves.setups}
    whole = [curves for curves in every if set(curves.setups) == labels] or every
    if len(whole) < len(every):
        others = sorted({curves.benchmark for curves in every} - {curves.benchmark for curves in whole})
        warnings.append(f"Ranks leave out {', '.join(others)}: not every setup was run there")
    try:
        found = _Overall(
            mean_ranks(whole, prefer=reference),
            critical_difference(whole, prefer=reference),
            final_regrets(whole, reference=reference),
        )
    except SettingsError as error:
        if any(len(curves.setups) > 1 for curves in every):
            warnings.append(f"No ranks: {error}")
        return _Overall()
    if found.critical and len(whole) > 1 and found.critical.over is not Over.BENCHMARKS:
        warnings.append(
            f"{len(whole)} benchmarks are too few for a significant difference on benchmarks in general: tests over all "
            "benchmarks hold for these alone"
        )
    if not draws_differ(whole):
        warnings.append(
            "One seed draws the same random numbers on several benchmarks, so that their runs are not independent: tests "
            "over all benchmarks pair seeds, not runs. New plans give each benchmark draws of its own"
        )
    return found


def _finite(losses: Floats) -> Floats:
    """Runs without any result count as infinitely bad."""
    return np.where(np.isnan(losses), np.inf, losses)
