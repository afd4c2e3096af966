"""Experiments in short: best losses at shares of the time limit, in a file that a repository can keep.

A comparison of thousands of experiments needs a few numbers of each; their journals are far larger.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, final

import msgspec
import numpy as np
from msgspec import Struct

from tunewright.analysis.curves import (
    Curves,
    SetupCurves,
    Steps,
    alphabetical,
    curves,
    newest_infos,
    scale_of,
)
from tunewright.analysis.results import Results
from tunewright.exceptions import SettingsError
from tunewright.metric import Goal, Metric
from tunewright.seeding import effective_seed
from tunewright.trial import FINISHED

SHARES: Final = (0.1, 0.25, 0.5, 1.0)
"""Shares of the time limit at which losses are kept."""
_DIGITS: Final = 7


@final
class RunSummary(Struct, frozen=True, array_like=True):
    """One experiment; a row of numbers in the file."""

    seed: int
    n_trials: int
    seconds: float
    """On the experiment's clock, to its end."""
    deciding: float
    """Milliseconds of deciding per trial."""
    losses: tuple[float | None, ...]
    """Best loss at each of `SHARES`; None before the first result."""


@final
class SetupSummary(Struct, frozen=True, kw_only=True):
    """The experiments of one setup on one benchmark."""

    is_mixed: bool = True
    """Whether the benchmark's name is mixed into the seed, so that runs on two benchmarks are independent draws."""
    runs: tuple[RunSummary, ...]
    """By seed."""


@final
class BenchmarkSummary(Struct, frozen=True, kw_only=True):
    """All experiments on one benchmark."""

    metric: str
    goal: Goal
    values: str
    """``measured``, ``recorded`` or ``surrogate``."""
    until: float
    """Time limit in seconds; 0 if there is none, and then all losses are those at the end."""
    untrained: float | None = None
    """Loss of an untrained model, if it is known."""
    setups: dict[str, SetupSummary]


Summaries = dict[str, BenchmarkSummary]
"""By benchmark."""


def summarise(results: Results, benchmark: str, *, shown: Curves | None = None) -> BenchmarkSummary:
    """Summarise the finished experiments of a benchmark, the newest of each setup and seed.

    Parameters
    ----------
    results
        Loaded experiments.
    benchmark
        Whose experiments.
    shown
        Curves in place of the best losses of the first metric, such as `hypervolume_curves`.

    Raises
    ------
    SettingsError
        Time limits of the experiments differ, or as `curves`.
    UnknownNameError
        There is no such benchmark.
    """
    found = curves(results, benchmark) if shown is None else shown
    infos = newest_infos(results, benchmark)
    limits = {info.max_time or 0.0 for info in infos.values()}
    if len(limits) > 1:
        raise SettingsError(f"On {benchmark} experiments differ in their time limits: {sorted(limits)}")
    (until,) = limits
    setups: dict[str, SetupSummary] = {}
    for label, setup in found.setups.items():
        runs: list[RunSummary] = []
        for seed, steps in zip(setup.seeds, setup.steps, strict=True):
            totals = infos[label, seed].totals
            if totals.status not in FINISHED:
                continue
            times = until * np.array(SHARES) if until else np.full(len(SHARES), np.inf)
            losses = tuple(None if math.isnan(x) else _short(x) for x in steps.at(times).tolist())
            deciding = 1000 * totals.suggest_time / max(1, totals.n_trials)
            runs.append(
                RunSummary(seed, totals.n_trials, _short(totals.end_time), round(deciding, 2), losses)
            )
        if runs:
            is_mixed = all(infos[label, run.seed].effective_seed != run.seed for run in runs)
            setups[label] = SetupSummary(is_mixed=is_mixed, runs=tuple(runs))
    cap = found.scale.cap
    return BenchmarkSummary(
        metric=found.metric.name,
        goal=found.metric.goal,
        values=found.values,
        until=until,
        untrained=_short(cap) if math.isfinite(cap) else None,
        setups=setups,
    )


def _short(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")


def curves_of(
    summary: BenchmarkSummary, benchmark: str, *, share: float = 1.0, setups: Iterable[str] | None = None
) -> Curves:
    """Curves of a summary, which all comparisons take: their grid is that of `SHARES`.

    Parameters
    ----------
    summary
        Of the benchmark.
    benchmark
        Its name.
    share
        Share of the time at which the grid ends, one of `SHARES`.
    setups
        Setups, in this order; None: all, by name. The scale is that of all setups and all of the time.
    """
    until = summary.until or 1.0
    labels = alphabetical(summary.setups) if setups is None else [s for s in setups if s in summary.setups]
    times = until * np.array([part for part in SHARES if part <= share])
    every = {
        label: [_steps(run.losses, until) for run in setup.runs] for label, setup in summary.setups.items()
    }
    found: dict[str, SetupCurves] = {}
    for label in labels:
        seeds = [run.seed for run in summary.setups[label].runs]
        drawn = [effective_seed(s, 0, benchmark) for s in seeds] if summary.setups[label].is_mixed else seeds
        found[label] = SetupCurves(
            seeds=tuple(seeds),
            effective_seeds=tuple(drawn),
            losses=np.array([steps.at(times) for steps in every[label]]),
            steps=tuple(every[label]),
        )
    return Curves(
        benchmark=benchmark,
        metric=Metric(summary.metric, summary.goal),
        clock="simulated",
        values=summary.values,
        times=times,
        setups=found,
        scale=scale_of((every[label] for label in alphabetical(every)), summary.untrained),
    )


def _steps(losses: Sequence[float | None], until: float) -> Steps:
    known = [(until * share, loss) for share, loss in zip(SHARES, losses, strict=True) if loss is not None]
    return Steps(times=np.array([at for at, _ in known]), losses=np.array([loss for _, loss in known]))


def merged(old: Mapping[str, BenchmarkSummary], new: Mapping[str, BenchmarkSummary]) -> Summaries:
    """Join summaries; of two runs of one benchmark, setup and seed the new one counts.

    Raises
    ------
    SettingsError
        A benchmark has another metric or time limit in one of them.
    """
    joined = dict(old)
    for name, summary in new.items():
        before = joined.get(name, summary)
        if (before.metric, before.goal, before.until) != (summary.metric, summary.goal, summary.until):
            raise SettingsError(f"{name}: the summaries have different metrics or time limits")
        setups = dict(before.setups)
        for label, setup in summary.setups.items():
            runs = {run.seed: run for part in (setups.get(label, setup), setup) for run in part.runs}
            setups[label] = msgspec.structs.replace(setup, runs=tuple(runs[seed] for seed in sorted(runs)))
        known = before if summary.untrained is None else summary
        joined[name] = msgspec.structs.replace(known, setups=setups)
    return joined


def write_summaries(path: Path, summaries: Mapping[str, BenchmarkSummary]) -> None:
    """Write a file: a line per benchmark and setup, in alphabetical order, so that equal runs give equal bytes."""
    parts: list[str] = []
    for name in alphabetical(summaries):
        summary = summaries[name]
        head = msgspec.to_builtins(msgspec.structs.replace(summary, setups={}))
        head.pop("setups")
        lines = [
            f"  {json.dumps(label)}: {msgspec.json.encode(summary.setups[label]).decode()}"
            for label in alphabetical(summary.setups)
        ]
        text = json.dumps(head)[:-1]
        parts.append(f'{json.dumps(name)}: {text}, "setups": {{\n' + ",\n".join(lines) + "\n}}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def read_summaries(path: Path) -> Summaries:
    """Read a file; empty if it does not exist.

    Raises
    ------
    SettingsError
        It holds something else.
    """
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=Summaries)
    except msgspec.MsgspecError as error:
        raise SettingsError(f"{path} holds no summaries: {error}") from None
