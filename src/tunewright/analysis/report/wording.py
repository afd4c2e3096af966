"""Texts of numbers and findings, for pages and terminals."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

from tunewright.analysis.aggregate import Band
from tunewright.analysis.comparison import TimeToTarget
from tunewright.analysis.curves import Curves
from tunewright.analysis.importance import WEAK
from tunewright.analysis.report.summary import BenchmarkComparison, Comparison, SetupRow
from tunewright.analysis.significance import MIN_PAIRS, CriticalDifference, Improvement, Over, PairedTest
from tunewright.analysis.single import Failure, SingleReport
from tunewright.formatting import duration, listed, percent, plural, reached_text, spot_text
from tunewright.metric import Goal

_MINOR: Final = 0.1
"""Share of the largest importance below which another one is not named."""
_SHOWN: Final = 8
"""Trials named in a caption."""


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
    text = percent(found.probability)
    if n_runs == 1:
        return text
    return f"{text} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def headline(comparison: Comparison) -> str:
    """The main finding in one or two sentences."""
    critical = comparison.critical
    if len(comparison.labels) == 1:
        return "; ".join(map(_one_setup_text, comparison.benchmarks)) + "."
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


def _one_setup_text(part: BenchmarkComparison) -> str:
    """What one setup reached on a benchmark."""
    (row,) = part.rows
    reached = band_text(part.curves, row.final, row.n_seeds)
    return f"{row.label} reached {part.curves.metric.name} {reached} on {part.curves.benchmark}, {plural(row.n_seeds, 'seed')}"


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
    of_workers = f" with {_counted(workers, 'worker')}" if workers else ""
    worker_hours = [
        end * info.n_workers / 3600
        for info in infos
        for end in [info.totals.end_time]
        if info.n_workers is not None
    ]
    total = f"; {sum(worker_hours):,.1f} worker hours in all" if worker_hours else ""
    after = "Compared after" if len(comparison.labels) > 1 else "After"
    return f"{after} {time} of {' and '.join(clocks)} time{of_workers}{total}."


def seeds_text(part: BenchmarkComparison) -> str:
    """Number of seeds of a benchmark's setups, and of common seeds."""
    counts = sorted({len(setup.seeds) for setup in part.curves.setups.values()})
    n_common = len(part.curves.common_seeds)
    return (
        f"{_counted(counts, 'seed')}, {n_common} common to all"
        if counts != [n_common]
        else plural(n_common, "seed")
    )


# --- one experiment


def single_headline(report: SingleReport) -> str:
    """The best result of an experiment."""
    info, best = report.run.info, report.best
    if best is None:
        return "No result keeps the constraints." if info.constraints else "There is no finite result."
    if len(info.metrics) > 1:
        return f"{plural(len(report.top), 'result')} that no other dominates."
    error = "" if best.standard_error is None else f" ± {best.standard_error:.2g}"
    place = f"trial {best.trial_id}, {info.resource} {best.resource}"
    return f"Best {reached_text(report.run.metric, best.values[report.run.metric.name], error, place)}."


def scope_of_one(report: SingleReport) -> str:
    """Method, benchmark, backend, status, trials and time of an experiment."""
    info = report.run.info
    backend = "" if info.record is None else f", {info.record.backend_name} backend"
    counts = Counter(trial.status for trial in report.run.trials)
    trials = ", ".join(f"{n:,} {status}" for status, n in counts.items())
    results = f"{report.run.columns.size:,} {'result' if report.run.columns.size == 1 else 'results'}"
    clock = "simulated " if info.clock == "simulated" else ""
    return (
        f"{info.method} on {info.benchmark}, seed {info.seed}{backend}: {report.status}; "
        f"{plural(info.totals.n_trials, 'trial')} ({trials}), {results} in {duration(info.totals.end_time)} of {clock}time."
    )


def importance_text(report: SingleReport) -> str:
    """Which hyperparameters matter, and how sure that is."""
    found = report.importance
    if found is None:
        return f"No importance: {report.unknown_importance}."
    top = max(found.mean.values())
    clear = [name for name, mean in found.mean.items() if mean > max(2.0 * found.spread[name], _MINOR * top)]
    explained = (
        f"{percent(max(0.0, found.explained))} of the variance between {found.n_trials:,} trials is explained"
    )
    if found.explained < WEAK:
        return f"The importance is uncertain: {explained}."
    if not clear:
        return f"No hyperparameter stands out: {explained}."
    matter = "matters" if len(clear) == 1 else "matter"
    return f"{listed(clear)} {matter} most; {explained}. Error bars: standard deviation over shuffles."


def workers_text(report: SingleReport) -> str:
    """Shares of the workers' time, and starts."""
    time = report.workers
    shares = {
        "training": time.training,
        "starting": time.starting,
        "uploading": time.uploading,
        "idle": time.idle,
    }
    spent = ", ".join(f"{percent(share)} {name}" for name, share in shares.items() if share >= 0.005)
    starts = [
        f"{plural(n, f'{kind} start')} of {time_text(seconds)}"
        if math.isfinite(seconds)
        else plural(n, f"{kind} start")
        for kind, n, seconds in (
            ("cold", time.n_cold, time.cold_start),
            ("warm", time.n_warm, time.warm_start),
        )
        if n
    ]
    medians = f"; {' and '.join(starts)} (median)" if starts else ""
    return f"{plural(time.n_workers, 'worker')}: {spent}{medians}."


def costs_text(report: SingleReport) -> str:
    """Dollars by purpose, billed seconds and jobs; empty if nothing was or would be billed."""
    account = report.account
    cost = account.get("cost", 0.0) or report.run.info.totals.cost
    if not cost and not account.get("billable_seconds"):
        return ""
    phases = ", ".join(f"${spent:.2f} {phase}" for phase, spent in account.get("cost_phases", {}).items())
    parts = [f"${cost:.2f}" + (f" ({phases})" if phases else "")]
    if prices := account.get("prices"):
        parts.append(f"prices: {prices}")
    if account.get("billable_seconds"):
        parts.append(
            f"{account['billable_seconds']:,.0f} billed seconds of {plural(account.get('jobs', 0), 'job')}"
        )
    if account.get("pool_idle_seconds"):
        parts.append(f"{account['pool_idle_seconds']:,.0f} idle seconds of warm pools")
    spot = (account.get(key, 0) for key in ("spot_saved_seconds", "billable_seconds", "interruptions"))
    if saved := spot_text(*spot):
        parts.append(saved)
    return ", ".join(parts) + "."


def failed_text(failure: Failure) -> str:
    """Trials that failed in one way."""
    ids = list(map(str, failure.trial_ids[:_SHOWN]))
    more = f" and {len(failure.trial_ids) - _SHOWN} more" if len(failure.trial_ids) > _SHOWN else ""
    return f"{'Trial' if len(ids) == 1 else 'Trials'} {', '.join(ids)}{more}"


def _factor(number: float) -> str:
    if math.isnan(number):
        return "-"
    return f"{number:.2f}x" if math.isfinite(number) else "inf"


def _counted(numbers: list[int], noun: str) -> str:
    """A count, or a range of counts, with its noun."""
    return plural(numbers[0], noun) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} {noun}s"
