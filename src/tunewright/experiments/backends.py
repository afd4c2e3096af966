"""From a choice to the backend: the one place where backends are built."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from tunewright.backends.local import LocalBackend, LocalSettings
from tunewright.backends.simulated import SimulatedBackend
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.experiments.choices import LocalChoice
from tunewright.experiments.experiment import Experiment
from tunewright.interfaces import Backend
from tunewright.storage import ExperimentFolder


def build_backend(experiment: Experiment, folder: ExperimentFolder) -> Backend:
    """Build the backend of an experiment; nothing is started yet.

    Raises
    ------
    SettingsError
        A setting cannot work, or the script is not there.
    BackendError, MissingExtraError
        The backend cannot work at all.
    """
    choice = experiment.backend
    if isinstance(choice, LocalChoice):
        return _local(experiment.benchmark, choice, folder)
    return _simulated(experiment.benchmark)


def _local(benchmark: RealBenchmarkDefinition, choice: LocalChoice, folder: ExperimentFolder) -> LocalBackend:
    settings = LocalSettings(
        n_workers=benchmark.n_workers,
        resource_attr=benchmark.resource_attr or "",
        max_resource_attr=benchmark.max_resource_attr or "",
        until_as_max_resource=benchmark.until_as_max_resource,
        environment=benchmark.environment,
        gpus=choice.gpus,
        gpus_per_trial=choice.gpus_per_trial,
    )
    return LocalBackend(benchmark.script, folder=folder.trials_path, settings=settings)


def _simulated(benchmark: RealBenchmarkDefinition) -> SimulatedBackend:
    return SimulatedBackend(
        import_function(benchmark.script),
        n_workers=benchmark.n_workers,
        max_resource=benchmark.max_resource or 1,
        resource_attr=benchmark.resource_attr or "",
    )


def import_function(path: str) -> Any:
    """The object of ``module:name``; the working directory is searched first, as for a script.

    Raises
    ------
    SettingsError
        There is none.
    """
    module, _, name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"There is no function {path}: {error}. Give module:name") from None
