"""Command lines: flags come from functions and from records (dataclasses) and are parsed by cyclopts.

Flags are written with underscores or hyphens alike; switches take 1, 0, true, false, or nothing; the last of two values
of one flag counts; a TOML file given with ``--config`` holds flags as well. All errors are :class:`SettingsError`: one
line that names the nearest flag.
"""

# Adapter of cyclopts, whose types are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import json
import textwrap
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast, final

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import (
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from cyclopts.help import HelpEntry, HelpPanel
from rich.console import Console, ConsoleOptions

from tunewright.cli.records import ARGUMENTS, FLAGS, RecordCommand, bare_type, texts_of
from tunewright.exceptions import SettingsError, UnknownNameError, nearest_hint

RETIRED: Final = {
    "--mode": "use --goal min or --goal max",
    "--save_tuner": "the journal keeps everything: continue with --resume or 'tunewright resume'",
    "--start_jobs_without_delay": "n_workers is never exceeded, and a stop is quick",
    "--use_long_tuner_name_prefix": "names always hold tag, method, benchmark and seed",
    "--launched_remotely": "it was internal",
    "--remote_tuning_metrics": "follow an experiment with 'tunewright show --watch'",
    "--estimator_fit_backoff_wait_time": "jobs wait for capacity by themselves",
}
"""Flags of Syne Tune without a counterpart here, and the reason."""

_WIDEST: Final = 110
"""Columns of text; longer lines are hard to read."""
_NARROWEST: Final = 20
"""Columns of the text of a flag in a narrow terminal."""
_LABELS: Final = 34
"""Columns of the flags; the text of a longer one begins on the next line."""
_TRUE: Final = ("1", "true", "yes", "y", "t")
_FALSE: Final = ("0", "false", "no", "n", "f")


def command_app(name: str, summary: str, *, version: str | None = None, usage: str | None = None) -> App:
    """Make the app of one command.

    Parameters
    ----------
    name
        Of the command or program.
    summary
        First line of its help.
    version
        Printed by ``--version``; without it there is no such flag.
    usage
        How the command is called; None: composed of its parameters, with ``[ARGS]`` for optional arguments.
    """
    app = App(
        name=name,
        help=summary,
        help_format="plaintext",
        help_formatter=HelpPage(),
        default_parameter=Parameter(negative=(), name_transform=str, show_default=_shown_default),
        version=version,
        usage=usage,
        version_flags=("--version",) if version else (),
        suppress_keyboard_interrupt=False,
        group_arguments=ARGUMENTS,
        group_parameters=FLAGS,
    )
    for flag in app.help_flags or ():
        app[flag].show = False
    return app


def record_app(command: RecordCommand, name: str, summary: str) -> App:
    """Make the app of a command whose flags are the fields of records; its help has their docstrings."""
    app = command_app(name, summary)
    app.help_formatter = HelpPage(command.describe)
    app.default(command)
    return app


def run_app(app: App, tokens: Sequence[str]) -> int:
    """Parse a command line, run its command and return the exit code.

    Raises
    ------
    SettingsError
        A flag or command is unknown, or a value is missing or wrong.
    """
    try:
        code = app(
            _prepared(app, tokens), exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        raise _settings_error(app, error) from None
    return code if isinstance(code, int) else 0


def flag_value(tokens: Sequence[str], name: str) -> str | None:
    """Find a flag's value before a command line is parsed; None if it is not given."""
    found = None
    for position, word in enumerate(tokens):
        flag, equals, value = word.partition("=")
        if word == "--":
            break
        if _is_flag(flag) and _normal(flag) == f"--{name}":
            following = tokens[position + 1] if position + 1 < len(tokens) else None
            found = value if equals else following
    return found


def chosen_value(tokens: Sequence[str], name: str) -> str | None:
    """Find a flag's value before a command line is parsed, in it or in the file that its ``--config`` names.

    Raises
    ------
    SettingsError
        The file is missing or not TOML.
    """
    found, path = flag_value(tokens, name), flag_value(tokens, "config")
    if found is None and path is not None and is_flag_file(path):
        value = read_flag_file(path).get(name)
        return None if value is None else str(value)
    return found


def read_flag_file(path: str) -> dict[str, Any]:
    """Read a TOML file of flags; tables hold the flags of a backend or the settings of a method.

    Raises
    ------
    SettingsError
        The file is missing or not TOML.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--config {path}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"--config {path} is not a TOML file: {error}") from None
    return {key.replace("-", "_"): value for key, value in data.items()}


def is_flag_file(text: str) -> bool:
    """Return whether a value of ``--config`` names a TOML file (otherwise it is ``NAME=VALUE``)."""
    return text.endswith(".toml") and ("=" not in text or Path(text).is_file())


# --- Command lines ------------------------------------------------------------------------------------------------------


def _is_flag(text: str) -> bool:
    return len(text) > 2 and text.startswith("--")


def _normal(flag: str) -> str:
    return "--" + flag[2:].replace("-", "_")


def _prepared(app: App, tokens: Sequence[str]) -> list[str]:
    """Rewrite a command line as cyclopts takes it: flags of a file included, values after ``=``, no scalar flag twice."""
    if {"--help", "-h", "--version"} & set(tokens):
        return list(tokens)
    chain, apps, rest = app.parse_commands(list(tokens))
    command = apps[-1].default_command
    if command is None:
        return list(tokens)
    arguments = apps[-1].assemble_argument_collection(parse_docstring=False)
    named = {_normal(name): argument for argument in arguments for name in argument.names if _is_flag(name)}
    switches = {name for name, argument in named.items() if bare_type(argument.hint) is bool}
    several = {name for name, argument in named.items() if argument.parameter.consume_multiple}
    repeated = {name for name, argument in named.items() if argument.token_count()[1]}
    words = _joined(rest, switches, set(named) - several)
    given = words[: words.index("--")] if "--" in words else words
    for word in given:
        if _is_flag(word) and (flag := _normal(word.partition("=")[0])) not in named:
            program = " ".join((app.name[0], *chain))
            raise SettingsError(f"{_unknown_flag(flag, list(named), command)} See {program} --help")
    if "--config" in named and isinstance(command, RecordCommand):
        takes_values = "NAME=VALUE" in (named["--config"].parameter.metavar or "")
        words = [
            *_file_words(words, set(named), repeated | several, command, takes_values=takes_values),
            *words,
        ]
    end = words.index("--") if "--" in words else len(words)
    last = {word.partition("=")[0]: position for position, word in enumerate(words[:end])}
    return [
        *chain,
        *(
            word
            for position, word in enumerate(words)
            if position >= end
            or (name := word.partition("=")[0]) not in named
            or name in repeated
            or last[name] == position
        ),
    ]


def _file_words(
    words: Sequence[str], known: set[str], repeated: set[str], command: RecordCommand, *, takes_values: bool
) -> list[str]:
    """Flags of the files that ``--config`` names, without those of the command line.

    With ``takes_values``, ``--config NAME=VALUE`` is left alone: a flag of the command itself.
    """
    given = {word.partition("=")[0] for word in words}
    flags: dict[str, Any] = {}
    for path in (word.partition("=")[2] for word in words if word.startswith("--config=")):
        if not is_flag_file(path):
            if not takes_values:
                raise SettingsError(f"--config takes a file of flags such as flags.toml, not {path!r}")
            continue
        for name, value in read_flag_file(path).items():
            if isinstance(value, dict) and f"--{name}" not in known:
                flags |= command.read_table(name, cast("dict[str, Any]", value))
            else:
                flags[name] = value
        if unknown := [name for name in flags if f"--{name}" not in known]:
            name, near = unknown[0], nearest_hint(unknown[0], [name[2:] for name in known])
            reason = (
                command.explain(name)
                or f"is no flag of this command.{near if near.startswith(' Did') else ''}"
            )
            raise SettingsError(f"--config {path}: {name} {reason}")
        for name, value in flags.items():
            if isinstance(value, dict) and f"--{name}" not in repeated:
                flags[name] = json.dumps(value)
            if isinstance(value, list) and f"--{name}" not in repeated:
                raise SettingsError(f"--config {path}: {name} takes one value, not a list")
    return [
        f"--{name}={text}"
        for name, value in flags.items()
        if f"--{name}" not in given
        for text in texts_of(value)
    ]


def _joined(tokens: Sequence[str], switches: set[str], known: set[str]) -> list[str]:
    """Write known flags with underscores and their value after ``=``."""
    words: list[str] = []
    rest = list(tokens)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*words, word, *rest]
        name, equals, value = word.partition("=")
        if not _is_flag(name) or (flag := _normal(name)) not in known:
            words.append(word)
        elif equals:
            words.append(f"{flag}={value}")
        elif flag in switches:
            has_value = bool(rest) and rest[0].lower() in _TRUE + _FALSE
            words.append(f"{flag}={rest.pop(0) if has_value else '1'}")
        elif rest and not rest[0].startswith("--"):
            words.append(f"{flag}={rest.pop(0)}")
        else:
            words.append(flag)
    return words


def _settings_error(app: App, error: CycloptsError) -> SettingsError:
    """Word an error of the parser in one line, with the command whose help says more."""
    program = " ".join((app.name[0], *(error.command_chain or ())))
    more = f" See {program} --help"
    if isinstance(error, UnknownOptionError):
        flag = error.token.keyword or error.token.value
        known = [name for argument in error.argument_collection for name in argument.names]
        return SettingsError(_unknown_flag(flag, known, error.target) + more)
    if isinstance(error, UnknownCommandError | UnusedCliTokensError):
        unknown = (error.unused_tokens or [""])[0]
        if names := [name for name in error.app or () if not name.startswith("-")]:
            return UnknownNameError(f"command of '{program}'", unknown, names)
        return SettingsError(f"Unexpected argument {unknown!r}.{more}")
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.argument.name
        is_given = bool(error.keyword or error.argument.tokens)
        return SettingsError(f"{name} {'takes a value' if is_given else 'is required'}.{more}")
    error.verbose = False
    text = " ".join(str(error).split()).removeprefix(
        f'Command "{" ".join(error.command_chain or ())}" parameter '
    )
    return SettingsError(f"{text[:1].upper()}{text[1:].removesuffix('.')}.{more}")


def _unknown_flag(flag: str, known: Sequence[str], command: object) -> str:
    if flag in RETIRED:
        return f"{flag} was removed: {RETIRED[flag]}."
    if isinstance(command, RecordCommand) and (reason := command.explain(flag[2:])):
        return f"{flag} {reason}."
    near = nearest_hint(flag, known)
    return f"Unknown flag {flag}.{near if near.startswith(' Did') else ''}"


# --- Help -----------------------------------------------------------------------------------------------------------


def _shown_default(value: object) -> str:
    """Default of a flag as its help shows it; empty if the flag is simply off."""
    if value is None or value is False or value in ((), "", {}):
        return ""
    return "1" if value is True else f"{value:g}" if isinstance(value, float) else str(value)


@final
class HelpPage:
    """Formats the help of cyclopts.

    Parameters
    ----------
    describe
        Help of a flag without its own, by the flag's name without hyphens.
    """

    def __init__(self, describe: Callable[[str], str | None] = lambda _: None) -> None:
        self._describe = describe

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one group of flags or commands."""
        if not panel.entries:
            return
        console.print(f"{_plain(panel.title)}", style="bold", highlight=False, markup=False)
        rows = [(_label(entry), self._text(entry)) for entry in panel.entries]
        fitting = [len(label) for label, _ in rows if len(label) <= _LABELS]
        column = max(fitting, default=_LABELS) + 4
        for label, text in rows:
            width = max(_NARROWEST, min(console.width, _WIDEST) - column)
            lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
            if len(label) > column - 4:
                _print(console, f"  {label}")
            else:
                _print(console, f"  {label:<{column - 2}}{lines.pop(0)}".rstrip())
            for line in lines:
                _print(console, f"{'':<{column}}{line}")
        _print(console, "")

    def render_usage(self, console: Console, options: ConsoleOptions, usage: object) -> None:
        """Print how the command is called."""
        _print(console, f"Usage: {_plain(usage).removeprefix('Usage: ')}\n")

    def render_description(self, console: Console, options: ConsoleOptions, description: object) -> None:
        """Print what the command does."""
        if text := _plain(description):
            _print(console, textwrap.fill(text, min(console.width, _WIDEST)) + "\n")

    def _text(self, entry: HelpEntry) -> str:
        """Help of a flag with its default."""
        names = [name.removeprefix("--") for name in entry.names] or [str(entry.positional_label).lower()]
        text = _plain(entry.description) or self._describe(names[0]) or ""
        first = " ".join(text.split("\n\n")[0].replace("``", "").split()).removesuffix(".")
        notes = ["required"] if entry.required and entry.names else []
        notes += [f"default: {entry.default}"] if entry.default and "(default" not in first else []
        return f"{first} ({', '.join(notes)})".strip() if notes else first


def _label(entry: HelpEntry) -> str:
    """Names of a flag with its choices or the kind of its value: a text is named as the last word of the flag."""
    label = ", ".join(entry.display_labels_with_metavar)
    if entry.choices and label.endswith(" CHOICE"):
        return f"{label.removesuffix('CHOICE')}{{{','.join(entry.choices)}}}"
    if label.endswith((" STR", " STR...")):
        return f"{label.rpartition(' ')[0]} {entry.names[0].rpartition('_')[2].lstrip('-').upper()}"
    return label


def _print(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _plain(value: Any) -> str:
    """Text of a renderable of cyclopts."""
    value = getattr(value, "primary_renderable", value)
    return "" if value is None else str(getattr(value, "plain", value)).strip()
