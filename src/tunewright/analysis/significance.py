"""Significance of differences: paired tests, critical differences, probability of improvement.

Over several benchmarks there are two statements. That a setup is better *on these benchmarks* needs many runs: benchmarks
are given, and seeds are drawn. That it is better *on benchmarks like these* needs many benchmarks: then these are drawn
as well, and the values are their means over seeds ([Demsar2006]_, section 3.1.3). With five benchmarks or fewer nothing about others can be
significant.

References
----------
.. [Demsar2006] Demsar: Statistical Comparisons of Classifiers over Multiple Data Sets. JMLR 7, 2006.
"""

# Adapter of scipy.stats, which has no stubs.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any, Final, final

import numpy as np

from tunewright.analysis.aggregate import crossed_draws
from tunewright.analysis.columns import Floats
from tunewright.analysis.comparison import check_same_setups, mean_ranks, normalised_regret
from tunewright.analysis.curves import Curves
from tunewright.exceptions import UnknownNameError
from tunewright.models.arrays import from_scipy
from tunewright.models.ranks import signed_rank_p

ALPHA: Final = 0.05
"""Level of significance, after Holm's correction."""
MIN_PAIRS: Final = 6
"""With fewer pairs the two-sided signed-rank test cannot give p < 0.05, whatever the values are."""
_MOST_EXACT: Final = 50  # differences


class Over(StrEnum):
    """Pairs of values that a test takes as independent draws."""

    BENCHMARKS = "benchmarks"
    """Benchmarks, with means over seeds: the result holds for benchmarks like these."""
    RUNS = "runs"
    """Runs with equal benchmark and seed: the result holds for these benchmarks."""
    SEEDS = "seeds"
    """Seeds, with means over benchmarks, as RUNS if one seed draws the same random numbers on all benchmarks."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """One pair of setups."""

    first: str
    second: str
    over: Over
    n_pairs: int
    difference: float
    """Median over pairs of first minus second, as losses (on one benchmark) or normalised regret (over several)."""
    wins: int
    """Pairs in which the first is better."""
    losses: int
    effect: float
    """From -1 (the first is better in all pairs) to 1: the sum of positive less that of negative ranks, as a share of all
    (matched-pairs rank-biserial correlation; Kerby, 2014). It has the direction of the test, which counts of wins need not
    have."""
    p: float
    """Two-sided p-value of Wilcoxon's signed-rank test."""
    p_holm: float
    """Corrected for the number of tests made together (Holm, 1979)."""

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p-value is below `ALPHA`."""
        return self.p_holm < ALPHA

    @property
    def better(self) -> str | None:
        """The setup that is significantly better, or None."""
        if not self.is_significant:
            return None
        return self.first if self.effect < 0 else self.second


def wilcoxon(differences: Floats) -> float:
    """The two-sided p-value that differences are symmetric around 0 (Wilcoxon, 1945); zeros are left out.

    Of up to 50 differences it is exact, given their ties: each of the ``2 ** n`` ways to sign the ranks is as likely
    (SciPy enumerates them all if there are ties, which takes seconds for 13). Of more it comes from the normal
    approximation.
    """
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 1.0
    if len(nonzero) > _MOST_EXACT:
        found: Any = from_scipy("stats", "wilcoxon")(nonzero, method="asymptotic")
        return float(found.pvalue)
    return min(1.0, 2.0 * signed_rank_p(nonzero), 2.0 * signed_rank_p(-nonzero))


def signed_effect(differences: Floats) -> float:
    """The sum of positive less that of negative signed ranks, as a share of all; zeros are left out. 0: no direction."""
    nonzero = differences[differences != 0]
    ranks = from_scipy("stats", "rankdata")(np.abs(nonzero))
    return float((ranks * np.sign(nonzero)).sum() / ranks.sum()) if len(nonzero) else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that hold for all tests together."""
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [0.0] * len(p_values), 0.0
    for step, position in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[position]))
        corrected[position] = highest
    return corrected


def paired_tests(curves: Curves, *, reference: str | None = None) -> list[PairedTest]:
    """Compare the setups of a benchmark at the end of the grid, seed by seed.

    Parameters
    ----------
    curves
        Seeds without a partner are left out.
    reference
        Compare this setup with each other one; None: all pairs.

    Raises
    ------
    UnknownNameError
        There is no such setup.
    SettingsError
        No seed is common to all.
    """
    paired = curves.paired()
    final = {label: _worst_if_missing(setup.losses[:, -1]) for label, setup in paired.setups.items()}
    pairs = _pairs(list(final), reference)
    return _tests(pairs, [_difference(final[a], final[b]) for a, b in pairs], Over.RUNS)


def overall_tests(
    every: Sequence[Curves], *, reference: str | None = None, over: Over | str | None = None
) -> list[PairedTest]:
    """Compare over all benchmarks, by normalised regrets at the end.

    Parameters
    ----------
    every
        Curves of all benchmarks, with the same setups; seeds without a partner are left out.
    reference
        Compare this setup with each other one; None: all pairs.
    over
        Pairs of the tests. None: seeds if one seed draws the same random numbers on several benchmarks, as neither these nor
        runs are independent then; else benchmarks if they are enough for a significant difference after Holm's correction, else runs.

    Raises
    ------
    UnknownNameError, SettingsError
        As `paired_tests`, or benchmarks differ in their setups.
    """
    check_same_setups(every)
    paired = [curves.paired() for curves in every]
    pairs = _pairs(list(paired[0].setups), reference)
    unit = _unit(paired, len(pairs)) if over is None else Over(over)
    final = [
        {label: _worst_if_missing(regret[:, -1]) for label, regret in normalised_regret(curves).items()}
        for curves in paired
    ]
    seeds = [curves.common_seeds for curves in paired]
    differences = [_values([_difference(part[a], part[b]) for part in final], seeds, unit) for a, b in pairs]
    return _tests(pairs, differences, unit)


def _unit(every: Sequence[Curves], n_tests: int) -> Over:
    if not draws_differ(every):
        return Over.SEEDS
    lowest = n_tests * 2.0 ** (1 - len(every))  # p-value over benchmarks, after Holm's correction
    return Over.BENCHMARKS if lowest < ALPHA else Over.RUNS


def draws_differ(every: Sequence[Curves]) -> bool:
    """Return whether runs on different benchmarks have no random numbers in common, as in plans of this version."""
    drawn = [{seed for setup in curves.setups.values() for seed in setup.effective_seeds} for curves in every]
    return all(first.isdisjoint(second) for first, second in combinations(drawn, 2))


def _values(differences: Sequence[Floats], seeds: Sequence[Sequence[int]], over: Over) -> Floats:
    """Differences of each benchmark, shape (seeds,), as the values of a test."""
    if over is Over.BENCHMARKS:
        return np.array([_mean(part) for part in differences])
    values, numbers = np.concatenate(differences), np.concatenate(seeds)
    if over is Over.RUNS:
        return values
    return np.array([_mean(values[numbers == seed]) for seed in np.unique(numbers)])


def _mean(values: Floats) -> float:
    """Mean; 0 if it takes in inf and -inf."""
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(values.mean(), nan=0.0, posinf=np.inf, neginf=-np.inf))


def _pairs(labels: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    if reference is None:
        return list(combinations(labels, 2))
    if reference not in labels:
        raise UnknownNameError("setup", reference, labels)
    return [(reference, other) for other in labels if other != reference]


def _tests(pairs: Sequence[tuple[str, str]], differences: Sequence[Floats], over: Over) -> list[PairedTest]:
    p_values = [wilcoxon(d) for d in differences]
    return [
        PairedTest(
            first=first,
            second=second,
            over=over,
            n_pairs=len(d),
            difference=float(np.median(d)),
            wins=int((d < 0).sum()),
            losses=int((d > 0).sum()),
            effect=signed_effect(d),
            p=p,
            p_holm=corrected,
        )
        for (first, second), d, p, corrected in zip(pairs, differences, p_values, holm(p_values), strict=True)
    ]


def _difference(first: Floats, second: Floats) -> Floats:
    both = np.isinf(first) & np.isinf(second)
    return np.where(both, 0.0, np.where(both, 0.0, first) - np.where(both, 0.0, second))


def _worst_if_missing(losses: Floats) -> Floats:
    return np.nan_to_num(losses, nan=np.inf, posinf=np.inf, neginf=-np.inf)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalDifference:
    """Data of a critical-difference diagram."""

    ranks: Mapping[str, float]
    """Mean rank by setup, best first."""
    equal: Mapping[str, tuple[str, ...]]
    """For each ranked setup: others that had equal curves in every run, and are neither ranked nor tested."""
    groups: tuple[tuple[str, ...], ...]
    """Maximal groups of setups with adjacent ranks and no significant difference."""
    n_benchmarks: int
    n_blocks: int
    """Pairs of benchmark and seed."""
    over: Over
    """Pairs of the tests."""
    n_pairs: int
    p_friedman: float
    """p-value of the hypothesis that all setups are equal (Friedman, 1937), on the blocks of the tests; NaN with two setups."""
    tests: tuple[PairedTest, ...]


def critical_difference(every: Sequence[Curves], *, prefer: str | None = None) -> CriticalDifference:
    """Mean ranks over benchmarks and seeds, and which setups differ (`overall_tests` of all pairs).

    Nemenyi's test is not used, as it makes the result for a pair depend on the other setups (Benavoli, Corani, Mangili,
    JMLR 2016). Setups with equal curves count once, as in `mean_ranks`.

    Raises
    ------
    SettingsError
        As `mean_ranks`.
    """
    ranks = mean_ranks(every, prefer=prefer)
    mean = {label: float(band.centre[-1]) for label, band in ranks.bands.items()}
    ordered = sorted(mean, key=lambda label: mean[label])
    distinct = [curves.chosen(ranks.bands).paired() for curves in every]
    tests = overall_tests(distinct)
    different = {frozenset((test.first, test.second)) for test in tests if test.is_significant}
    return CriticalDifference(
        ranks={label: mean[label] for label in ordered},
        equal=ranks.equal,
        groups=_groups(ordered, different),
        n_benchmarks=len(every),
        n_blocks=len(ranks.blocks),
        over=tests[0].over,
        n_pairs=tests[0].n_pairs,
        p_friedman=_friedman(distinct, tests[0].over),
        tests=tuple(tests),
    )


def _groups(ordered: Sequence[str], different: set[frozenset[str]]) -> tuple[tuple[str, ...], ...]:
    groups: list[tuple[str, ...]] = []
    for begin in range(len(ordered)):
        end = begin + 1
        while end < len(ordered) and not any(
            frozenset((ordered[end], other)) in different for other in ordered[begin:end]
        ):
            end += 1
        group = tuple(ordered[begin:end])
        if len(group) > 1 and not any(set(group) <= set(other) for other in groups):
            groups.append(group)
    return tuple(groups)


def _friedman(every: Sequence[Curves], over: Over) -> float:
    final = [
        {k: _worst_if_missing(v[:, -1]) for k, v in normalised_regret(curves).items()} for curves in every
    ]
    seeds = [curves.common_seeds for curves in every]
    values = [_values([part[label] for part in final], seeds, over) for label in final[0]]
    if len(values) < 3 or len(values[0]) < 2:
        return float("nan")
    if all(np.array_equal(values[0], other) for other in values):
        return 1.0
    found: Any = from_scipy("stats", "friedmanchisquare")(*values)
    return float(found.pvalue)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """Probability that a run of one setup is better than a run of another."""

    probability: float
    low: float
    high: float


def probability_of_improvement(every: Sequence[Curves], first: str, second: str) -> Improvement:
    """P(a run of ``first`` ends better than one of ``second``), mean over benchmarks, with a 95 % bootstrap interval.

    Equal values count half (Agarwal et al., NeurIPS 2021). Resamples draw benchmarks, and then seeds (`crossed_draws`).

    Raises
    ------
    UnknownNameError
        There is no such setup.
    """
    better: list[Floats] = []
    for curves in every:
        for label in (first, second):
            if label not in curves.setups:
                raise UnknownNameError(f"setup on {curves.benchmark}", label, curves.setups)
        a = _worst_if_missing(curves.setups[first].losses[:, -1])[:, None]
        b = _worst_if_missing(curves.setups[second].losses[:, -1])
        better.append((a < b) + 0.5 * (a == b))
    benchmarks, seeds = crossed_draws(len(better), [n for part in better for n in part.shape])
    drawn = np.zeros(len(benchmarks))
    for i, part in enumerate(better):
        rows, columns = part.shape
        drawn += benchmarks[:, i] * ((seeds[rows] @ part) * seeds[columns]).sum(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    probability = float(np.mean([part.mean() for part in better]))
    return Improvement(probability=probability, low=float(low), high=float(high))
