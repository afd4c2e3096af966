"""Callbacks that watch an experiment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tunewright.callbacks import PlainProgress, ProgressFacts
from tunewright.experiments.experiment import Experiment
from tunewright.interfaces import Callback
from tunewright.methods import constraints_of
from tunewright.storage import ExperimentFolder

Watch: TypeAlias = Callable[[Experiment, ExperimentFolder], Sequence[Callback]]
"""Makes the callbacks of an experiment."""


def unwatched(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """Return no callbacks."""
    del experiment, folder
    return ()


def print_progress(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
    """Return a callback that prints on stderr: progress every ten seconds, failures at once, the result at the end."""
    return [PlainProgress(progress_facts(experiment, folder), _to_stderr, is_verbose=False)]


def progress_facts(experiment: Experiment, folder: ExperimentFolder) -> ProgressFacts:
    """Return the facts that progress shows."""
    benchmark, backend = experiment.benchmark, experiment.backend
    return ProgressFacts(
        title=f"{experiment.label} on {benchmark.name}, seed {experiment.seed}, {backend.backend_name} backend",
        metric=benchmark.metrics[0],
        others=benchmark.metrics[1:],
        space=benchmark.space,
        n_workers=benchmark.n_workers,
        max_time=experiment.limits.max_wallclock_time,
        resource=benchmark.resource_attr or "report",
        path=str(folder.path),
        name=folder.name,
        is_estimate=not backend.is_billed,
        constraints=constraints_of(experiment.method, experiment.settings),
    )


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
