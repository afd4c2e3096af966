"""The commands by name. A command's module is loaded when the command is used, so that ``--help`` costs nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

COMMANDS: Final[Mapping[str, str]] = {
    "tune": "Tune a training script or a Python function",
    "init": "Write an experiment folder for a training script",
    "list": "List the stored experiments",
    "show": "Show an experiment: status, best configuration, trials",
    "logs": "Print what a trial printed",
    "resume": "Continue an experiment after a crash, or with more time",
    "report": "Compare what was run under a tag, as one HTML page",
    "compare": "Compare setups on the terminal",
    "plot": "Draw an experiment: learning curves, workers, configurations, importance",
    "preview": "Tell what a method would run, and for how long, before anything runs",
    "methods": "List the methods, or show the settings of one",
    "benchmarks": "List the benchmarks, or show one",
    "remote": "Follow, stop or fetch what was launched remotely",
    "sagemaker": "Permissions, and clearing away what a crash left running",
    "tables": "List, get, describe or add the recorded tables of simulated experiments",
}
"""Name -> what it does. The command is ``run`` of the module of that name in this package."""


def load_command(name: str) -> Callable[[Sequence[str]], int]:
    """``run(arguments) -> exit code`` of a command."""
    module = importlib.import_module(f"tunewright.cli.{name}_command")
    return cast("Callable[[Sequence[str]], int]", module.run)
