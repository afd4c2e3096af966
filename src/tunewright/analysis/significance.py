"""Significance of differences: paired tests, critical differences, probability of improvement."""

# Adapter of scipy.stats, which has no stubs.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, final

import numpy as np
from scipy import stats

from tunewright.analysis.aggregate import resamples
from tunewright.analysis.columns import Floats
from tunewright.analysis.comparison import check_same_setups, mean_ranks, normalised_regret, scale_of
from tunewright.analysis.curves import Curves
from tunewright.exceptions import UnknownNameError

ALPHA: Final = 0.05
"""Level of significance, after Holm's correction."""
MIN_PAIRS: Final = 6
"""With fewer pairs the two-sided signed-rank test cannot give p < 0.05, whatever the values are."""
_MOST_EXACT: Final = 50  # differences


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """One pair of setups."""

    first: str
    second: str
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

    Of up to 50 differences it is exact, given their ties: each of the ``2 ** n`` ways to sign the ranks is as likely.
    Of more it comes from the normal approximation.
    """
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 1.0
    if len(nonzero) > _MOST_EXACT:
        found: Any = stats.wilcoxon(nonzero, method="asymptotic")
        return float(found.pvalue)
    ranks = (2 * stats.rankdata(np.abs(nonzero))).astype(np.int64)  # tied ranks are halves
    ways = np.zeros(ranks.sum() + 1, dtype=np.int64)  # to reach each sum of positive ranks
    ways[0] = 1
    for rank in ranks:
        ways[rank:] += ways[:-rank].copy()
    positive = ranks[nonzero > 0].sum()
    tail = min(ways[: positive + 1].sum(), ways[positive:].sum())
    return min(1.0, 2 * float(tail) / 2.0 ** len(ranks))


def signed_effect(differences: Floats) -> float:
    """The sum of positive less that of negative signed ranks, as a share of all; zeros are left out. 0: no direction."""
    nonzero = differences[differences != 0]
    ranks = stats.rankdata(np.abs(nonzero))
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
    return _tests(final, reference)


def overall_tests(every: Sequence[Curves], *, reference: str | None = None) -> list[PairedTest]:
    """Compare over all benchmarks: the pairs are benchmark and seed, the values normalised regrets.

    Seeds of one benchmark are not independent of one another, so this says that a setup is better on these benchmarks,
    and less about others.

    Raises
    ------
    UnknownNameError, SettingsError
        As `paired_tests`, or benchmarks differ in their setups.
    """
    check_same_setups(every)
    parts: dict[str, list[Floats]] = {}
    for curves in every:
        paired = curves.paired()
        for label, regret in normalised_regret(paired, scale_of(curves)).items():
            parts.setdefault(label, []).append(_worst_if_missing(regret[:, -1]))
    return _tests({label: np.concatenate(found) for label, found in parts.items()}, reference)


def _tests(final: Mapping[str, Floats], reference: str | None) -> list[PairedTest]:
    if reference is not None and reference not in final:
        raise UnknownNameError("setup", reference, final)
    pairs = [
        pair
        for pair in (combinations(final, 2) if reference is None else ((reference, other) for other in final))
        if pair[0] != pair[1]
    ]
    differences = [_difference(final[first], final[second]) for first, second in pairs]
    p_values = [wilcoxon(d) for d in differences]
    return [
        PairedTest(
            first=first,
            second=second,
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
    groups: tuple[tuple[str, ...], ...]
    """Maximal groups of setups with adjacent ranks and no significant difference."""
    n_blocks: int
    p_friedman: float
    """p-value of the hypothesis that all setups are equal (Friedman, 1937); NaN with two setups."""
    tests: tuple[PairedTest, ...]


def critical_difference(every: Sequence[Curves]) -> CriticalDifference:
    """Mean ranks over benchmarks and seeds, and which setups differ (Wilcoxon's test with Holm's correction).

    Nemenyi's test is not used, as it makes the result for a pair depend on the other setups (Benavoli, Corani, Mangili,
    JMLR 2016).

    Raises
    ------
    SettingsError
        As `mean_ranks`.
    """
    ranks = mean_ranks(every)
    mean = {label: float(final.mean()) for label, final in ranks.final.items()}
    ordered = sorted(mean, key=lambda label: mean[label])
    tests = overall_tests(every)
    different = {frozenset((test.first, test.second)) for test in tests if test.is_significant}
    return CriticalDifference(
        ranks={label: mean[label] for label in ordered},
        groups=_groups(ordered, different),
        n_blocks=len(ranks.blocks),
        p_friedman=_friedman(list(ranks.final.values())),
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


def _friedman(ranks: Sequence[Floats]) -> float:
    if len(ranks) < 3 or len(ranks[0]) < 2:
        return float("nan")
    if all(np.array_equal(ranks[0], other) for other in ranks):
        return 1.0
    found: Any = stats.friedmanchisquare(*ranks)
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

    Equal values count half (Agarwal et al., NeurIPS 2021). Seeds are resampled within each benchmark.

    Raises
    ------
    UnknownNameError
        There is no such setup.
    """
    means: list[Floats] = []
    for number, curves in enumerate(every):
        for label in (first, second):
            if label not in curves.setups:
                raise UnknownNameError(f"setup on {curves.benchmark}", label, curves.setups)
        a = _worst_if_missing(curves.setups[first].losses[:, -1])
        b = _worst_if_missing(curves.setups[second].losses[:, -1])
        better = (a[:, None] < b[None, :]) + 0.5 * (a[:, None] == b[None, :])
        rows = resamples(len(a), seed=2 * number)
        columns = resamples(len(b), seed=2 * number + 1)
        drawn = [better[np.ix_(i, j)].mean() for i, j in zip(rows, columns, strict=True)]
        means.append(np.array([better.mean(), *drawn]))
    whole = np.mean(means, axis=0)
    low, high = np.quantile(whole[1:], [0.025, 0.975])
    return Improvement(probability=float(whole[0]), low=float(low), high=float(high))
