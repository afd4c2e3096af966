"""Command lines: flags come from functions and from records (dataclasses) and are parsed by cyclopts.

Flags are written with underscores or hyphens alike; switches take 1, 0, true, false, or nothing; the last of two values
of one flag counts; a TOML file given with ``--config`` holds flags as well. All errors are :class:`SettingsError`: one
line that names the nearest flag.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import math
import textwrap
import tomllib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, Union, cast, final, get_args, get_origin, get_type_hints

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.exceptions import (
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from cyclopts.types import NonNegativeInt, PositiveFloat, PositiveInt

from tunewright.cli.help_page import HelpPage
from tunewright.exceptions import SettingsError, UnknownNameError, nearest_hint

__all__ = [
    "POSITIONAL",
    "Given",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "RecordCommand",
    "chosen_value",
    "command_app",
    "flag_names",
    "flag_value",
    "pairs",
    "run_app",
]

Record = TypeVar("Record")

POSITIONAL: Final = types.MappingProxyType({"positional": True})
"""Field metadata of an argument that is given without a flag."""

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

_ARGUMENTS: Final = Group.create_ordered("Arguments")  # the first heading of each help
_FLAGS: Final = Group.create_ordered("Flags")
_TRUE: Final = ("1", "true", "yes", "y", "t")
_FALSE: Final = ("0", "false", "no", "n", "f")


def command_app(name: str, summary: str, *, version: str | None = None) -> App:
    """Make the app of one command.

    Parameters
    ----------
    name
        Of the command or program.
    summary
        First line of its help.
    version
        Printed by ``--version``; without it there is no such flag.
    """
    app = App(
        name=name,
        help=summary,
        help_format="plaintext",
        help_formatter=HelpPage(),
        default_parameter=Parameter(negative=(), name_transform=str, show_default=_shown_default),
        version=version,
        version_flags=("--version",) if version else (),
        suppress_keyboard_interrupt=False,
        group_arguments=_ARGUMENTS,
        group_parameters=_FLAGS,
    )
    for flag in app.help_flags or ():
        app[flag].show = False
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


@final
@dataclass(frozen=True, slots=True)
class Given:
    """The flags of one command line.

    Records are built from them; flags that were not given keep the defaults of the record.
    """

    values: Mapping[str, Any]
    """Values of the given flags by name, without hyphens."""
    defaults: Mapping[str, Any]
    """Defaults of all flags of the command."""

    @property
    def all_values(self) -> dict[str, Any]:
        """Values of all flags, given or not."""
        return {**self.defaults, **self.values}

    def record(self, kind: type[Record]) -> Record:
        """Build a record from the flags that are named as its fields.

        Raises
        ------
        SettingsError
            A value is not legal for the record.
        """
        return kind(**self._arguments(kind))

    def over(self, default: Record) -> Record:
        """Return a record with the given flags changed.

        Raises
        ------
        SettingsError
            A value is not legal for the record.
        """
        changes = self._arguments(type(default))
        return cast("Record", dataclasses.replace(cast("Any", default), **changes))

    def command_line(self, names: Iterable[str], replaced: Mapping[str, Any]) -> list[str]:
        """Write flags as a command line that gives the same values.

        Parameters
        ----------
        names
            Flags that the other command takes.
        replaced
            Other values for some of them; None leaves a flag out.
        """
        values = {name: self.values.get(name) for name in names} | dict(replaced)
        return [
            text for name, value in values.items() for part in _texts(value) for text in (f"--{name}", part)
        ]

    def _arguments(self, kind: type) -> dict[str, Any]:
        return {
            flag.field: _converted(flag, self.values[flag.name])
            for flag in _flags(kind)
            if flag.name in self.values
        }


@final
class RecordCommand:
    """A command whose flags are the fields of records.

    Parameters
    ----------
    run
        Takes the given flags, returns the exit code.
    groups
        Heading of the help -> records whose fields are flags under that heading, or single parameters.
    explain
        Says why a flag is unknown; None: it is just unknown.
    read_table
        Flags of a table of a ``--config`` file, by the table's name and content.
    docs
        Help of flags whose text depends on more than their record.
    converters
        Conversions of single flags, by name.
    """

    def __init__(
        self,
        run: Callable[[Given], int],
        groups: Mapping[str, Sequence[type | inspect.Parameter]],
        *,
        explain: Callable[[str], str | None] = lambda _: None,
        read_table: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] | None = None,
        docs: Mapping[str, str] = types.MappingProxyType({}),
        converters: Mapping[str, Callable[[Any], Any]] = types.MappingProxyType({}),
    ) -> None:
        self._run = run
        self._records = [one for members in groups.values() for one in members if isinstance(one, type)]
        self._docs = docs
        self._converters = converters
        self.explain = explain
        self.read_table = read_table or _no_table
        taken: set[str] = set()
        parameters = [one for title, members in groups.items() for one in _parameters(title, members, taken)]
        parameters.sort(key=lambda one: one.kind)
        self.__name__ = "command"
        self.__signature__ = inspect.Signature(parameters)
        self.__annotations__ = {one.name: one.annotation for one in parameters}

    def __call__(self, *arguments: Any, **flags: Any) -> int:
        """Run the command."""
        given = self.__signature__.bind_partial(*arguments, **flags).arguments
        for name in self._converters.keys() & given.keys():
            try:
                given[name] = self._converters[name](given[name])
            except ValueError as error:
                raise SettingsError(f"Invalid value {given[name]!r} for --{name}: {error}") from None
        return self._run(Given(given, self.defaults))

    @property
    def defaults(self) -> dict[str, Any]:
        """All flags by name, without hyphens, with their defaults."""
        parameters = self.__signature__.parameters.values()
        return {one.name: None if one.default is one.empty else one.default for one in parameters}

    def app(self, name: str, summary: str) -> App:
        """Make the app of this command; its help has the docstrings of the fields."""
        app = command_app(name, summary)
        app.help_formatter = HelpPage(self._describe)
        app.default(self)
        return app

    def _describe(self, name: str) -> str | None:
        if name in self._docs:
            return self._docs[name]
        for record in self._records:
            for flag in _flags(record):
                if flag.name == name:
                    return _attribute_docs(record).get(flag.field)
        return None


def flag_names(record: type) -> list[str]:
    """Names of the flags of a record, without hyphens."""
    return [flag.name for flag in _flags(record)]


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


def pairs(flag: str, texts: Iterable[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` texts as a mapping.

    Raises
    ------
    SettingsError
        A text has another form.
    """
    parts = [text.partition("=") for text in texts]
    for name, equals, value in parts:
        if not name or not equals:
            raise SettingsError(f"--{flag} takes NAME=VALUE, not {name + value!r}")
    return {name: value for name, _, value in parts}


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


# --- Records as flags ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Flag:
    name: str
    field: str
    annotation: Any
    default: Any
    metavar: str | None
    is_positional: bool
    is_pairs: bool
    """Whether it takes ``NAME=VALUE`` texts."""
    is_json: bool
    """Whether it takes a JSON object."""


def _flags(record: type) -> Iterator[_Flag]:
    """Flags of a record: one for each field.

    The metadata of a field may have ``flag`` (another name, or False for none), ``metavar`` and ``positional``.
    """
    hints = get_type_hints(record, include_extras=True)
    for field in dataclasses.fields(record):
        name = field.metadata.get("flag", field.name)
        if not name or not field.init:
            continue
        hint, default = _with_floats(hints[field.name]), field.default
        kind = get_origin(_bare(hint))
        is_mapping = isinstance(kind, type) and issubclass(kind, Mapping)
        is_pairs = is_mapping and get_args(_bare(hint))[1] is str
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        yield _Flag(
            name=name,
            field=field.name,
            annotation=tuple[str, ...] if is_pairs else str | None if is_mapping else hint,
            default=() if is_pairs else None if is_mapping else default,
            metavar=field.metadata.get(
                "metavar", "NAME=VALUE" if is_pairs else "JSON" if is_mapping else None
            ),
            is_positional="positional" in field.metadata,
            is_pairs=is_pairs,
            is_json=is_mapping and not is_pairs,
        )


def _with_floats(hint: Any) -> Any:
    """A type whose numbers are floats if they may be both: 60 and 60.0 of a command line are the same setting."""
    members = set(get_args(hint)) if get_origin(hint) in {Union, types.UnionType} else set()
    if members - {types.NoneType} != {int, float}:
        return hint
    return float | None if types.NoneType in members else float


def _converted(flag: _Flag, value: Any) -> Any:
    """The value of a field from the value of its flag."""
    if flag.is_pairs:
        return pairs(flag.name, value)
    if not flag.is_json:
        return value
    try:
        found = json.loads(value)
    except ValueError as error:
        raise SettingsError(f"--{flag.name} takes JSON: {error}") from None
    if not isinstance(found, dict):
        raise SettingsError(f"--{flag.name} takes a JSON object, not {value}")
    return cast("dict[str, Any]", found)


def _bare(hint: Any) -> Any:
    """A type without its annotations and without None."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        members = [member for member in get_args(hint) if member is not types.NoneType]
        return _bare(members[0]) if len(members) == 1 else hint
    return hint


def _parameters(
    title: str, members: Sequence[type | inspect.Parameter], taken: set[str]
) -> Iterator[inspect.Parameter]:
    """Parameters of a command's signature under one heading of its help; records share flags of the same name."""
    group = _FLAGS if title == _FLAGS.name else Group.create_ordered(title)
    for member in members:
        if isinstance(member, inspect.Parameter):
            yield member.replace(annotation=Annotated[member.annotation, Parameter(group=group)])
            continue
        for flag in _flags(member):
            if flag.name in taken:
                continue
            taken.add(flag.name)
            options: dict[str, Any] = {} if flag.is_positional else {"group": group}
            if flag.metavar:
                options["metavar"] = flag.metavar
            if _bare(flag.annotation) is float:
                options["validator"] = _check_finite
            yield inspect.Parameter(
                flag.name,
                inspect.Parameter.POSITIONAL_ONLY if flag.is_positional else inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if flag.default is dataclasses.MISSING else flag.default,
                annotation=Annotated[flag.annotation, Parameter(**options)],
            )


def _attribute_docs(record: type) -> dict[str, str]:
    """Docstrings of a dataclass's fields, from its source; empty without source."""
    docs: dict[str, str] = {}
    for kind in reversed(record.__mro__[:-1]):
        with suppress(OSError, TypeError, SyntaxError):
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
            body = cast("ast.ClassDef", definition).body
            for field, text in pairwise(body):
                match field, text:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(doc))),
                    ):
                        docs[name] = inspect.cleandoc(doc)
                    case _:
                        pass
    return docs


def _check_finite(kind: object, value: float | None) -> None:
    del kind
    if value is not None and not math.isfinite(value):
        raise ValueError("It is not a finite number")


def _shown_default(value: object) -> str:
    """Default of a flag as its help shows it; empty if the flag is simply off."""
    if value is None or value is False or value in ((), "", {}):
        return ""
    return "1" if value is True else f"{value:g}" if isinstance(value, float) else str(value)


def _no_table(name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    raise SettingsError(f"The table [{name}] does not belong here: it has the keys {', '.join(table)}")


# --- Command lines ------------------------------------------------------------------------------------------------------


def _is_flag(text: str) -> bool:
    return len(text) > 2 and text.startswith("--")


def _normal(flag: str) -> str:
    return "--" + flag[2:].replace("-", "_")


def _texts(value: object) -> list[str]:
    """A value as a command line has it; one text for each repetition."""
    if value is None:
        return []
    if isinstance(value, bool):
        return ["1" if value else "0"]
    if isinstance(value, Mapping):
        return [f"{key}={part}" for key, part in cast("Mapping[object, object]", value).items()]
    if isinstance(value, list | tuple):
        return [str(part) for part in cast("Sequence[object]", value)]
    return [str(value)]


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
    switches = {name for name, argument in named.items() if _bare(argument.hint) is bool}
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
        words = [*_file_words(words, set(named), command, takes_values=takes_values), *words]
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
    words: Sequence[str], known: set[str], command: RecordCommand, *, takes_values: bool
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
    return [
        f"--{name}={text}"
        for name, value in flags.items()
        if f"--{name}" not in given
        for text in _texts(value)
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
    return SettingsError(f"{text[:1].upper()}{text[1:]}{more}")


def _unknown_flag(flag: str, known: Sequence[str], command: object) -> str:
    if flag in RETIRED:
        return f"{flag} was removed: {RETIRED[flag]}."
    if isinstance(command, RecordCommand) and (reason := command.explain(flag[2:])):
        return f"{flag} {reason}."
    near = nearest_hint(flag, known)
    return f"Unknown flag {flag}.{near if near.startswith(' Did') else ''}"
