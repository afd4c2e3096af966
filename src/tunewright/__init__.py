"""Tunewright: distributed hyperparameter optimisation whose trials are real training jobs.

Importing this package loads nothing: each name is imported when it is first used. Training jobs hold only this file,
``report``, ``integrations`` and ``compat``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewright.asktell import AskTell as AskTell
    from tunewright.backends.local import LocalBackend as LocalBackend
    from tunewright.backends.local import LocalConfig as LocalConfig
    from tunewright.backends.sagemaker import SageMakerBackend as SageMakerBackend
    from tunewright.backends.simulated import SimulatedBackend as SimulatedBackend
    from tunewright.experiments import tune as tune
    from tunewright.experiments import tune_function as tune_function
    from tunewright.metric import Constraint as Constraint
    from tunewright.metric import Goal as Goal
    from tunewright.metric import Metric as Metric
    from tunewright.replicates import Replicates as Replicates
    from tunewright.report import Reporter as Reporter
    from tunewright.report import report as report
    from tunewright.schedulers.asha import ASHA as ASHA
    from tunewright.schedulers.asha import ASHASettings as ASHASettings
    from tunewright.schedulers.fifo import FIFO as FIFO
    from tunewright.schedulers.racing import Racing as Racing
    from tunewright.schedulers.stopping_rules import RuleStopping as RuleStopping
    from tunewright.searchers.model_free import GridSearcher as GridSearcher
    from tunewright.searchers.model_free import RandomSearcher as RandomSearcher
    from tunewright.space import Categorical as Categorical
    from tunewright.space import FiniteRange as FiniteRange
    from tunewright.space import Float as Float
    from tunewright.space import Integer as Integer
    from tunewright.space import Ordinal as Ordinal
    from tunewright.space import Prior as Prior
    from tunewright.space import SearchSpace as SearchSpace
    from tunewright.stopping import MaxCost as MaxCost
    from tunewright.stopping import MaxEvaluations as MaxEvaluations
    from tunewright.stopping import MaxTrialsCompleted as MaxTrialsCompleted
    from tunewright.stopping import MaxTrialsFinished as MaxTrialsFinished
    from tunewright.stopping import MaxTrialsStarted as MaxTrialsStarted
    from tunewright.stopping import MaxWallclockTime as MaxWallclockTime
    from tunewright.stopping import MetricReached as MetricReached
    from tunewright.stopping import Plateau as Plateau
    from tunewright.tuner import Tuner as Tuner

__version__ = "0.1.0"

_MODULES = {
    "asktell": ("AskTell",),
    "backends.local": ("LocalBackend", "LocalConfig"),
    "backends.sagemaker": ("SageMakerBackend",),
    "backends.simulated": ("SimulatedBackend",),
    "experiments": ("tune", "tune_function"),
    "metric": ("Constraint", "Goal", "Metric"),
    "replicates": ("Replicates",),
    "report": ("Reporter",),
    "schedulers.asha": ("ASHA", "ASHASettings"),
    "schedulers.fifo": ("FIFO",),
    "schedulers.racing": ("Racing",),
    "schedulers.stopping_rules": ("RuleStopping",),
    "searchers.model_free": ("GridSearcher", "RandomSearcher"),
    "space": ("Categorical", "FiniteRange", "Float", "Integer", "Ordinal", "Prior", "SearchSpace"),
    "stopping": (
        "MaxCost",
        "MaxEvaluations",
        "MaxTrialsCompleted",
        "MaxTrialsFinished",
        "MaxTrialsStarted",
        "MaxWallclockTime",
        "MetricReached",
        "Plateau",
    ),
    "tuner": ("Tuner",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name; ``report`` is a module that can be called."""
    if name == "report":
        return importlib.import_module("tunewright.report")
    if name not in _HOMES:
        raise AttributeError(f"module 'tunewright' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tunewright.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*_HOMES, "report", "__version__"])
