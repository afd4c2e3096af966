"""The parser of every command line here: argparse with the manners that we want.

Flags are written with underscores or hyphens alike; one that is unknown is an error that names the nearest; switches
take 1, 0, true, false, yes, no, or nothing at all.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, final

from tunewright.exceptions import SettingsError, nearest_hint

_TRUE = ("1", "true", "yes", "y", "t")
_FALSE = ("0", "false", "no", "n", "f")

_RETIRED = {
    "--mode": "say --goal min or --goal max",
    "--save_tuner": "the journal keeps everything: continue with --resume or 'tunewright resume'",
    "--start_jobs_without_delay": "n_workers is never exceeded, and a stop is quick",
    "--use_long_tuner_name_prefix": "names always hold tag, method, benchmark and seed",
    "--launched_remotely": "it was internal",
    "--remote_tuning_metrics": "follow an experiment with 'tunewright show --watch'",
    "--estimator_fit_backoff_wait_time": "jobs wait for capacity by themselves",
}
"""Flags of the system before this one that have no use here, and why."""


def parse_bool(text: str) -> bool:
    """Read a switch; argparse reports what is none."""
    word = text.lower()
    if word not in _TRUE + _FALSE:
        raise argparse.ArgumentTypeError(f"takes 1, 0, true or false, not {text!r}")
    return word in _TRUE


@final
class Parser(argparse.ArgumentParser):
    """Parses one command line.

    Parameters
    ----------
    prog
        How the command is called.
    description
        What it does, for ``--help``.
    """

    def __init__(self, prog: str | None, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=32, width=110),
        )
        self._switches: set[str] = set()

    def positional(self, name: str, help: str, *, type: Callable[[str], Any] = str) -> None:  # noqa: A002
        """Add an argument without a flag."""
        self.add_argument(name, type=type, help=help)

    def optional(self, name: str, help: str) -> None:  # noqa: A002
        """Add an argument without a flag that may be left out; then it is None."""
        self.add_argument(name, nargs="?", help=help)

    def flag(
        self,
        name: str,
        help: str,  # noqa: A002
        *,
        type: Callable[[str], Any] = str,  # noqa: A002
        default: Any = None,
        choices: Sequence[str] | None = None,
        required: bool = False,
    ) -> None:
        """Add ``--name VALUE``."""
        self.add_argument(
            f"--{name}",
            type=type,
            default=default,
            choices=choices,
            required=required,
            metavar=None if choices else name.rsplit("_", maxsplit=1)[-1].upper(),
            help=help,
        )

    def switch(self, name: str, help: str) -> None:  # noqa: A002
        """Add ``--name``, which may be followed by 1, 0, true or false; without it, it is off."""
        self._switches.add(f"--{name}")
        self.add_argument(f"--{name}", type=parse_bool, default=False, metavar="{0,1}", help=help)

    def repeated(self, name: str, form: str, help: str) -> None:  # noqa: A002
        """Add ``--name TEXT``, which may be given several times."""
        self.add_argument(
            f"--{name}", action="append", default=[], metavar=form, help=f"{help}; may be repeated"
        )

    def defaults(self) -> dict[str, Any]:
        """All flags by name, without hyphens, with their defaults."""
        return {action.dest: action.default for action in self._actions if action.option_strings}

    def read(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse; prints help and exits where it is asked for.

        Raises
        ------
        SettingsError
            A flag is unknown, a value is missing or wrong.
        """
        given = list(sys.argv[1:] if arguments is None else arguments)
        parsed, unknown = self.parse_known_args(self._normalise(given))
        if unknown:
            raise SettingsError(self._unknown(unknown[0]))
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise what argparse has to say."""
        text = message.removeprefix("argument ")
        raise SettingsError(f"{text[0].upper()}{text[1:]}. See {self.prog} --help")

    def _normalise(self, arguments: Sequence[str]) -> list[str]:
        """Flags with underscores; switches always with a value."""
        flags: list[str] = []
        for position, argument in enumerate(arguments):
            if argument == "--":
                return [*flags, *arguments[position:]]
            if not argument.startswith("--"):
                flags.append(argument)
                continue
            name, equals, value = argument.partition("=")
            name = "--" + name[2:].replace("-", "_")
            flags.append(name + equals + value)
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            if name in self._switches and not equals and following.lower() not in _TRUE + _FALSE:
                flags[-1] = f"{name}=1"
        return flags

    def _unknown(self, argument: str) -> str:
        name = argument.partition("=")[0]
        if name in _RETIRED:
            return f"{name} is gone: {_RETIRED[name]}"
        known = [option for action in self._actions for option in action.option_strings if option != "-h"]
        if not name.startswith("-"):
            return f"Unexpected argument {argument!r}. See {self.prog} --help"
        near = nearest_hint(name, known)
        return f"Unknown flag {name}.{near if near.startswith(' Did') else ''} See {self.prog} --help"


def positive_int(text: str) -> int:
    """Read a whole number >= 1; argparse reports what is none."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, not {text!r}")
    return int(text)


def natural(text: str) -> int:
    """Read a whole number >= 0; argparse reports what is none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number >= 0, not {text!r}")
    return int(text)


def positive(text: str) -> float:
    """Read a number > 0; argparse reports what is none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number > 0, not {text!r}")
    return number
