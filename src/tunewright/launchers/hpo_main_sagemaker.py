"""``main`` of the ``hpo_main.py`` whose trials are SageMaker training jobs."""

from __future__ import annotations

from argparse import Namespace

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.experiments import BackendChoice
from tunewright.launchers.exits import run_command
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap
from tunewright.launchers.flags import add_sagemaker_flags
from tunewright.launchers.launch import Definitions, Launch, Methods, run_launch
