"""Experiments: methods by name, what an experiment is, running one or a plan of them."""

from __future__ import annotations

from tunewright.experiments.backends import first_request, sagemaker_endpoint, sagemaker_settings
from tunewright.experiments.choices import (
    EXECUTIONS,
    BackendChoice,
    LocalChoice,
    SageMakerChoice,
    ScriptOptions,
    SimulatedChoice,
)
from tunewright.experiments.execution import settle_execution
from tunewright.experiments.experiment import BenchmarkDefinition, Experiment
from tunewright.experiments.functions import TuneOptions, tune_function
from tunewright.experiments.harness import Cell, CellSummary, run_cells
from tunewright.experiments.limits import Limits
from tunewright.experiments.outcome import Best, Outcome, load_outcome
from tunewright.experiments.plan import CellResult, ExperimentPlan, PlanProgress, run_plan
from tunewright.experiments.run import announce_choices, resume_experiment, run_experiment
from tunewright.experiments.watch import Watch, print_progress, progress_facts, unwatched
from tunewright.methods import BuildFunction, Method, MethodSpec, method, method_names

__all__ = [
    "EXECUTIONS",
    "BackendChoice",
    "BenchmarkDefinition",
    "Best",
    "BuildFunction",
    "Cell",
    "CellResult",
    "CellSummary",
    "Experiment",
    "ExperimentPlan",
    "Limits",
    "LocalChoice",
    "Method",
    "MethodSpec",
    "Outcome",
    "PlanProgress",
    "SageMakerChoice",
    "ScriptOptions",
    "SimulatedChoice",
    "TuneOptions",
    "Watch",
    "announce_choices",
    "first_request",
    "load_outcome",
    "method",
    "method_names",
    "print_progress",
    "progress_facts",
    "resume_experiment",
    "run_cells",
    "run_experiment",
    "run_plan",
    "sagemaker_endpoint",
    "sagemaker_settings",
    "settle_execution",
    "tune_function",
    "unwatched",
]
