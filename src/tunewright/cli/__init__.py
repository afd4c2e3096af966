"""The command line ``tunewright``: one file per command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

from tunewright.cli._registry import COMMANDS, load_command
from tunewright.exceptions import UnknownNameError
from tunewright.launchers.exits import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0, 1 where an experiment failed, 2 for bad input, 130 after Ctrl-C."""
    run_command(_dispatch, arguments)


def _dispatch(given: Sequence[str]) -> int:
    if not given or given[0] in {"-h", "--help", "help"}:
        sys.stdout.write(_overview())
        return 0
    name, *rest = given
    if name == "--version":
        sys.stdout.write(f"tunewright {version('tunewright')}\n")
        return 0
    if name not in COMMANDS:
        raise UnknownNameError("command", name, COMMANDS)
    return load_command(name)(rest)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: tunewright COMMAND ...",
            "",
            "Distributed hyperparameter optimisation whose trials are real training jobs.",
            "",
            *lines,
            "",
            "tunewright COMMAND --help tells more; tunewright --version the version.",
            "",
        ]
    )
