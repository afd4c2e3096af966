"""Experiments: methods by name, what an experiment is, running one or a plan of them."""

from __future__ import annotations

from tunewright.experiments.experiment import SEED_NAMES, BenchmarkDefinition, Experiment, retrainings
from tunewright.experiments.limits import Limits
from tunewright.experiments.outcome import Best, Outcome, load_outcome
from tunewright.experiments.plan import (
    CellResult,
    ExperimentPlan,
    PlanProgress,
    run_plan,
    seeds_differ_by_benchmark,
)
from tunewright.experiments.run import (
    Watch,
    announce_choices,
    print_progress,
    progress_facts,
    resume_experiment,
    run_experiment,
    unwatched,
)
from tunewright.experiments.tuning import TuneOptions, tune, tune_function
from tunewright.methods import BuildFunction, Method, MethodSpec, method, method_names

__all__ = [
    "SEED_NAMES",
    "BenchmarkDefinition",
    "Best",
    "BuildFunction",
    "CellResult",
    "Experiment",
    "ExperimentPlan",
    "Limits",
    "Method",
    "MethodSpec",
    "Outcome",
    "PlanProgress",
    "TuneOptions",
    "Watch",
    "announce_choices",
    "load_outcome",
    "method",
    "method_names",
    "print_progress",
    "progress_facts",
    "resume_experiment",
    "retrainings",
    "run_experiment",
    "run_plan",
    "seeds_differ_by_benchmark",
    "tune",
    "tune_function",
    "unwatched",
]
