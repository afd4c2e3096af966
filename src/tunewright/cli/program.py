"""The program ``tunewright`` as an app of all commands, and the completion of shells."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Final, Literal, cast

from cyclopts import App

from tunewright.cli import COMMANDS
from tunewright.cli.exits import say
from tunewright.cli.parsing import command_app, run_app
from tunewright.exceptions import SettingsError

_OF_BACKENDS: Final = frozenset({"tune", "doctor"})
"""Commands whose flags depend on ``--backend``; their targets are functions that make their apps."""

completion_app = command_app(
    "completion",
    "Print or install the completion of commands and flags for a shell.",
    usage="tunewright completion [OPTIONS] [SHELL]",
)


def run(tokens: Sequence[str]) -> int:
    """Run the command that ``tokens`` begin with; return the exit code.

    Raises
    ------
    SettingsError
        The command line is not valid.
    """
    return run_app(program(tokens), tokens)


def program(tokens: Sequence[str] = ()) -> App:
    """Make the app; the modules of commands are imported when they are used.

    Parameters
    ----------
    tokens
        The command line: flags of some commands depend on its ``--backend``. Empty: the app has all flags.
    """
    app = command_app(
        "tunewright", "Distributed hyperparameter optimisation whose trials are real training jobs."
    )
    for commands in COMMANDS.values():
        for name, (target, _) in commands.items():
            if name not in _OF_BACKENDS:
                app.command(f"{__package__}.{target}", name=name)
            elif not tokens:
                app.command(_load_maker(target)((), all_backends=True))
            elif tokens[0] == name:
                app.command(_load_maker(target)(tokens))
    return app


def _load_maker(target: str) -> Callable[..., App]:
    """The function that makes an app with the flags of a backend."""
    module, _, name = target.partition(":")
    return cast("Callable[..., App]", getattr(importlib.import_module(f"{__package__}.{module}"), name))


@completion_app.default
def completion(shell: Literal["bash", "zsh", "fish"] | None = None, /, *, install: bool = False) -> int:
    """Print a completion script, or install it.

    Parameters
    ----------
    shell
        The shell (default: the one that is used).
    install
        Write the script into the shell's folder and load it from its start-up file.
    """
    app = program()
    if install:
        say(f"Wrote {app.install_completion(shell=shell)}. Open a new shell to use it")
        return 0
    try:
        say(app.generate_completion(shell=shell))
    except RuntimeError as error:  # the shell is not known
        raise SettingsError(f"{error}. Name it: tunewright completion bash") from None
    return 0
