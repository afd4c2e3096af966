"""The command line ``tunewright``. Its commands are loaded when they are used, so that the overview is quick.

Importing this package settles how many threads NumPy uses in this process.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Final, cast

from tunewright.cli.exits import run_command, say
from tunewright.exceptions import UnknownNameError
from tunewright.threads import use_one_thread
from tunewright.types import package_version

use_one_thread()  # read when BLAS is loaded, which the import of a command does

COMMANDS: Final = {
    "Tune": {
        "tune": ("tune:app_for", "Tune a training script or a Python function"),
        "resume": ("tune:resume_app", "Continue an experiment after a crash, or with more time"),
        "init": ("init:app", "Write an experiment folder for a training script"),
        "request": ("request:app", "Stop, pause, resume or add trials, or change limits, while it runs"),
        "preview": ("preview:app", "Simulate which trials a method would run, and for how long"),
    },
    "Look at results": {
        "list": ("stored:list_app", "List the stored experiments"),
        "show": ("stored:show_app", "Show an experiment: status, best configuration, trials"),
        "dashboard": ("dashboard:dashboard_app", "Show experiments live in the browser"),
        "best": ("best:best_app", "Print, copy or train to the end the best configuration"),
        "logs": ("stored:logs_app", "Print the output of a trial"),
        "compare": ("comparing:compare_app", "Compare setups on the terminal"),
        "report": ("comparing:report_app", "Compare the experiments of a tag as one HTML page"),
        "plot": ("comparing:plot_app", "Draw an experiment: learning curves, workers, importance"),
        "note": ("housekeeping:note_app", "Write a note on an experiment"),
        "rename": ("housekeeping:rename_app", "Give experiments another tag"),
        "export": (
            "housekeeping:export_app",
            "Write an experiment as a table, or into MLflow, W&B or Optuna",
        ),
        "import": (
            "housekeeping:import_app",
            "Store a study of Optuna or results of Syne Tune as an experiment",
        ),
        "repair": ("housekeeping:repair_app", "Make an experiment with a damaged journal usable again"),
        "delete": ("housekeeping:delete_app", "Delete experiments"),
    },
    "Choose": {
        "methods": ("catalogue:methods_app", "List the methods, or show the settings of one"),
        "benchmarks": ("catalogue:benchmarks_app", "List the benchmarks, or show one"),
        "tables": (
            "catalogue:tables_app",
            "List, get, describe, add or record the tables of simulated experiments",
        ),
    },
    "Launched jobs": {
        "remote": ("remote:app", "Follow, stop or fetch remote experiments"),
        "sagemaker": (
            "sagemaker:app",
            "Permissions, quotas, checks of an account, and jobs that a crash left",
        ),
    },
    "This machine": {
        "doctor": ("housekeeping:doctor_app_for", "Check versions, credentials, disk, GPUs and experiments"),
        "completion": ("program:completion_app", "Print or install the completion of commands and flags"),
    },
}
"""Heading -> command -> (the app as ``module:name`` below this package, or its maker, and a summary)."""

_NAMES: Final = {name: target for commands in COMMANDS.values() for name, target in commands.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0, 1 if an experiment failed, 2 for invalid input, 130 after Ctrl-C."""
    run_command(_dispatch, arguments)


def _dispatch(tokens: Sequence[str]) -> int:
    if not tokens or tokens[0] in {"-h", "--help", "help"}:
        say(_overview())
        return 0
    if tokens[0] == "--version":
        say(f"tunewright {package_version()}")
        return 0
    if tokens[0] == "--install-completion":
        tokens = ["completion", "--install", *tokens[1:]]
    if tokens[0] not in _NAMES:
        raise UnknownNameError("command", tokens[0], _NAMES)
    return _load_program()(tokens)


def _load_program() -> Callable[[Sequence[str]], int]:
    """The parser of all commands, whose import takes longer than the overview."""
    module = importlib.import_module("tunewright.cli.program")
    return cast("Callable[[Sequence[str]], int]", module.run)


def _overview() -> str:
    width = max(map(len, _NAMES))
    lines = ["Usage: tunewright COMMAND ...", ""]
    lines += ["Distributed hyperparameter optimisation whose trials are real training jobs.", ""]
    for heading, commands in COMMANDS.items():
        lines += [heading, *(f"  {name:<{width}}  {summary}" for name, (_, summary) in commands.items()), ""]
    lines.append("tunewright COMMAND --help shows its flags; tunewright --version the version.")
    return "\n".join(lines)
