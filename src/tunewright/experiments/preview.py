"""Preview of an experiment: trials, runs, time and cost of a method, before anything runs."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.backends.simulated import SimulatedBackend, SimulatedConfig
from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments.limits import Limits
from tunewright.history import History
from tunewright.journal import MemoryJournal
from tunewright.methods import BuildFunction, MethodSpec, build_scheduler
from tunewright.stopping import MaxEvaluations
from tunewright.trial import TrialStatus
from tunewright.tuner import Tuner
from tunewright.types import Config

MOST_REPORTS: Final = 100_000
"""Reports after which a preview ends, whatever the limits are."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Size of an experiment."""

    reached: Mapping[int, int]
    """Number of trials by their highest resource, ascending."""
    statuses: Mapping[str, int]
    """Number of trials by status at the end; trials that a limit cuts off are ``running``."""
    n_trials: int
    n_runs: int
    n_reports: int
    time: float
    """Seconds from the first start to the end."""
    worker_seconds: float
    """Seconds in which workers are busy, including starts and stops."""
    cost: float
    """Dollars."""
    is_cut: bool
    """Whether `MOST_REPORTS` ended it."""

    def at_least(self, resource: int) -> int:
        """Return the number of trials that reach a resource."""
        return sum(n for level, n in self.reached.items() if level >= resource)

    @property
    def resource(self) -> int:
        """Units of resource that all trials train together."""
        return sum(level * n for level, n in self.reached.items())


def preview(
    method: MethodSpec | BuildFunction,
    benchmark: Benchmark,
    *,
    limits: Limits,
    seconds_per_unit: float,
    config: SimulatedConfig | None = None,
    seed: int = 0,
) -> Preview:
    """Run an experiment in simulated time, with the same time for each unit of resource.

    Each trial has a random quality that does not change: the number of trials by resource depends on the method, and
    hardly on the problem.

    Parameters
    ----------
    method
        The method.
    benchmark
        Gives space, workers, metrics and the resource of a full run; without such a resource, trials report once.
    limits
        Limits of the experiment.
    seconds_per_unit
        Seconds of training for one unit of resource, > 0.
    config
        Delays and price of workers; None: the defaults.
    seed
        Of all random numbers.

    Raises
    ------
    SettingsError
        The method does not fit the benchmark, or the time is not positive.
    """
    if not seconds_per_unit > 0:
        raise SettingsError(f"seconds_per_unit must be > 0, not {seconds_per_unit}")
    names = [metric.name for metric in benchmark.metrics]

    def train(config: Config, resource: int) -> tuple[Mapping[str, Any], float]:
        value = zlib.crc32(json.dumps(dict(config), sort_keys=True).encode()) / 2**32 + 1 / resource
        return dict.fromkeys(names, value), seconds_per_unit

    backend = SimulatedBackend(
        train, n_workers=benchmark.n_workers, max_resource=benchmark.max_resource or 1, config=config
    )
    history = Tuner(
        build_scheduler(method, benchmark, seed, {}),
        backend,
        metrics=benchmark.metrics,
        stop_when=limits.criterion() | MaxEvaluations(MOST_REPORTS),
        journal=MemoryJournal(),
    ).run()
    return _summed_up(history, backend)


def _summed_up(history: History, backend: SimulatedBackend) -> Preview:
    lasts = [history.last(trial_id) for trial_id in range(history.n_trials)]
    reached = Counter(0 if last is None else last.resource for last in lasts)
    summary = backend.summary()
    return Preview(
        reached=dict(sorted(reached.items())),
        statuses={str(status): n for status in TrialStatus if (n := len(history.ids(status)))},
        n_trials=history.n_trials,
        n_runs=history.n_runs,
        n_reports=history.n_results,
        time=backend.clock.now(),
        worker_seconds=summary.billable_seconds,
        cost=summary.cost,
        is_cut=history.n_results >= MOST_REPORTS,
    )
