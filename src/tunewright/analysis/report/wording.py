"""Texts of numbers and findings, for pages and terminals."""

from __future__ import annotations

import math

from tunewright.analysis.aggregate import Band
from tunewright.analysis.comparison import TimeToTarget
from tunewright.analysis.curves import Curves
from tunewright.analysis.report.summary import BenchmarkComparison, Comparison, SetupRow
from tunewright.analysis.significance import MIN_PAIRS, CriticalDifference, Improvement, Over, PairedTest
from tunewright.formatting import duration, listed, plural
from tunewright.metric import Goal


def value_text(curves: Curves, loss: float) -> str:
    """A loss as a value of the metric; a dash if it is not finite."""
    if not math.isfinite(loss):
        return "-"
    return f"{-loss if curves.metric.goal is Goal.MAXIMIZE else loss:.5g}"


def band_text(curves: Curves, band: Band, n_seeds: int) -> str:
    """A centre with its interval, the smaller end first; without an interval for one seed."""
    centre, low, high = (float(part[0]) for part in (band.centre, band.low, band.high))
    if n_seeds == 1 or not math.isfinite(centre):
        return value_text(curves, centre)
    ends = sorted((low, high), key=lambda loss: -loss if curves.metric.goal is Goal.MAXIMIZE else loss)
    return f"{value_text(curves, centre)} [{value_text(curves, ends[0])}, {value_text(curves, ends[1])}]"


def time_text(seconds: float) -> str:
    """Seconds, or "never"."""
    if not math.isfinite(seconds):
        return "never"
    return f"{seconds:.3g} s" if seconds < 100 else duration(seconds)


def speed_text(target: TimeToTarget) -> str:
    """A speed-up with its interval; without an interval for one seed."""
    if math.isnan(target.speed_up) or not math.isfinite(target.median):
        return "-"
    if len(target.times) == 1:
        return _factor(target.speed_up)
    return f"{_factor(target.speed_up)} [{_factor(target.low)}, {_factor(target.high)}]"


def p_text(p: float) -> str:
    """A p-value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def verdict_text(test: PairedTest | None, label: str) -> str:
    """Result of a test for one of its setups; a setup without a test is the reference."""
    if test is None:
        return "reference"
    if test.better is None:
        return "not significant"
    return "better" if test.better == label else "worse"


def row_verdict_text(row: SetupRow) -> str:
    """Result of the test of a setup on one benchmark, by the setup that stands for it."""
    if row.equal_to is not None:
        return f"as {row.equal_to}"
    return verdict_text(row.test, row.label)


def chance_text(found: Improvement | None, n_runs: int) -> str:
    """Probability of a better run with its interval (none for one run); empty without a probability."""
    if found is None:
        return ""
    text = f"{100 * found.probability:.0f} %"
    if n_runs == 1:
        return text
    return f"{text} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def headline(comparison: Comparison) -> str:
    """The main finding in one or two sentences."""
    critical = comparison.critical
    if critical is None:
        n_setups, n_benchmarks = len(comparison.labels), len(comparison.benchmarks)
        return f"{plural(n_setups, 'setup')} on {plural(n_benchmarks, 'benchmark')}; no ranks over all."
    first, *others = critical.ranks
    if all(critical.ranks[label] == critical.ranks[first] for label in others):
        return "At the end no setup is ahead of another."
    beaten = [t.second if t.first == first else t.first for t in critical.tests if t.better == first]
    where = scope_text(critical)
    text = f"{first} has the best mean rank at the end ({critical.ranks[first]:.2f} of {len(critical.ranks)})"
    if beaten:
        text += f" and{where and f', {where},'} is significantly better than {listed(beaten)}"
    return text + _undecided([label for label in others if label not in beaten], critical)


def scope_text(critical: CriticalDifference) -> str:
    """Benchmarks that the tests hold for; empty if it is one, or if they hold for others as well."""
    if critical.n_benchmarks == 1 or critical.over is Over.BENCHMARKS:
        return ""
    return f"on these {critical.n_benchmarks} benchmarks"


def pairs_text(critical: CriticalDifference) -> str:
    """Number and kind of the pairs of the tests."""
    if critical.over is Over.RUNS:
        return f"{plural(critical.n_pairs, 'pair')} of benchmark and seed"
    return plural(critical.n_pairs, "benchmark" if critical.over is Over.BENCHMARKS else "seed")


def _undecided(labels: list[str], critical: CriticalDifference) -> str:
    """Setups without a significant difference to the first, or that there are too few pairs for a test."""
    if not labels:
        return "."
    if critical.n_pairs < MIN_PAIRS:
        are = "is" if critical.n_pairs == 1 else "are"
        return f"; {pairs_text(critical)} {are} too few to tell it from chance."
    where = scope_text(critical)
    if len(labels) == len(critical.ranks) - 1:
        return f";{where and f' {where}'} it differs significantly from none of the others."
    return f"; from {listed(labels)} it does not differ significantly."


def interval_text(band: Band, form: str = ".3f") -> str:
    """A centre with its interval."""
    centre, low, high = (float(part[-1]) for part in (band.centre, band.low, band.high))
    return f"{centre:{form}} [{low:{form}}, {high:{form}}]"


def budget_text(comparison: Comparison) -> str:
    """Clock, workers and time limits, in one sentence."""
    infos = comparison.results.infos
    clocks = sorted({"simulated" if info.clock == "simulated" else "wall-clock" for info in infos})
    workers = sorted({info.n_workers for info in infos if info.n_workers is not None})
    ends = [part.curves.times[-1] for part in comparison.benchmarks]
    longest, shortest = float(max(ends)), float(min(ends))
    time = " to ".join(dict.fromkeys([time_text(shortest), time_text(longest)]))
    of_workers = f" with {_numbers(workers)} workers" if workers else ""
    worker_hours = [
        end * info.n_workers / 3600
        for info in infos
        for end in [info.totals.end_time]
        if info.n_workers is not None
    ]
    total = f"; {sum(worker_hours):,.1f} worker hours in all" if worker_hours else ""
    return f"Compared after {time} of {' and '.join(clocks)} time{of_workers}{total}."


def seeds_text(part: BenchmarkComparison) -> str:
    """Number of seeds of a benchmark's setups, and of common seeds."""
    counts = sorted({len(setup.seeds) for setup in part.curves.setups.values()})
    n_common = len(part.curves.common_seeds)
    return (
        f"{_numbers(counts)} seeds, {n_common} common to all"
        if counts != [n_common]
        else plural(n_common, "seed")
    )


def _factor(number: float) -> str:
    if math.isnan(number):
        return "-"
    return f"{number:.2f}x" if math.isfinite(number) else "inf"


def _numbers(numbers: list[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
