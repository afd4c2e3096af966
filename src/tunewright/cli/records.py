"""Flags as the fields of records: frozen dataclasses with attribute docstrings.

A :class:`RecordCommand` takes the flags of several records. cyclopts converts and validates their values, and
:class:`Given` builds the records.
"""

# Adapter of cyclopts, whose types are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import math
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, Union, cast, final, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter

from tunewright.exceptions import SettingsError
from tunewright.formatting import seconds_of

Record = TypeVar("Record")

POSITIONAL: Final = types.MappingProxyType({"positional": True})
"""Field metadata of an argument that is given without a flag."""
TIME: Final = "TIME"
"""Metavar in the metadata of a field of seconds, which a command line may give as ``10m``."""
ARGUMENTS: Final = Group.create_ordered("Arguments")
"""Heading of arguments; groups of a help page are in the order in which they are made, so it is the first."""
_JSON_BEGINS: Final = frozenset('{["')
FLAGS: Final = Group.create_ordered("Flags")
"""Heading of flags without a heading of their own."""


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
            text for name, value in values.items() for part in texts_of(value) for text in (f"--{name}", part)
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

    def describe(self, name: str) -> str | None:
        """Help of a flag, by its name without hyphens: the docstring of its field."""
        if name in self._docs:
            return self._docs[name]
        for record in self._records:
            docs = _flag_docs(record)
            if name in docs:
                return docs[name]
        return None


def flag_names(record: type) -> list[str]:
    """Names of the flags of a record, without hyphens."""
    return [flag.name for flag in _flags(record)]


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


def texts_of(value: object) -> list[str]:
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
    """Whether it takes a JSON object, or a file of one."""
    is_time: bool
    """Whether it takes seconds, or a time such as ``10m``."""
    alias: str | None
    """Another name."""


def _flags(record: type) -> Iterator[_Flag]:
    """Flags of a record: one for each field.

    The metadata of a field may have ``flag`` (another name, or False for none), ``alias``, ``metavar`` and ``positional``.
    """
    hints = get_type_hints(record, include_extras=True)
    for field in dataclasses.fields(record):
        name = field.metadata.get("flag", field.name)
        if not name or not field.init:
            continue
        hint, default = _with_floats(hints[field.name]), field.default
        kind = get_origin(bare_type(hint))
        is_mapping = isinstance(kind, type) and issubclass(kind, Mapping)
        is_pairs = is_mapping and get_args(bare_type(hint))[1] is str
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
            is_time=field.metadata.get("metavar") == TIME,
            alias=field.metadata.get("alias"),
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
        raise SettingsError(f"--{flag.name} takes a JSON object, not {value.strip()}")
    return cast("dict[str, Any]", found)


def bare_type(hint: Any) -> Any:
    """A type without its annotations and without None."""
    if get_origin(hint) is Annotated:
        return bare_type(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        members = [member for member in get_args(hint) if member is not types.NoneType]
        return bare_type(members[0]) if len(members) == 1 else hint
    return hint


def _parameters(
    title: str, members: Sequence[type | inspect.Parameter], taken: set[str]
) -> Iterator[inspect.Parameter]:
    """Parameters of a command's signature under one heading of its help; records share flags of the same name."""
    group = FLAGS if title == FLAGS.name else Group.create_ordered(title)
    for member in members:
        if isinstance(member, inspect.Parameter):
            yield member.replace(annotation=Annotated[member.annotation, Parameter(group=group)])
            continue
        for flag in _flags(member):
            if flag.name in taken:
                continue
            taken.add(flag.name)
            options: dict[str, Any] = {} if flag.is_positional else {"group": group}
            if metavar := flag.metavar or _metavar_of_text(flag):
                options["metavar"] = metavar
            if flag.alias:
                options["alias"] = f"--{flag.alias}"
            if flag.is_time:
                options["converter"] = _seconds
            if flag.is_json:
                options["converter"] = _json_text
            if bare_type(flag.annotation) is float:
                options["validator"] = _check_finite
            yield inspect.Parameter(
                flag.name,
                inspect.Parameter.POSITIONAL_ONLY if flag.is_positional else inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if flag.default is dataclasses.MISSING else flag.default,
                annotation=Annotated[flag.annotation, Parameter(**options)],
            )


def _metavar_of_text(flag: _Flag) -> str | None:
    """Name of a text in the usage line: the last word of the flag; None for values of other types."""
    is_text = bare_type(flag.annotation) is str and not flag.is_positional
    return flag.name.rpartition("_")[2].upper() if is_text else None


@cache
def _flag_docs(record: type) -> dict[str, str | None]:
    """Docstrings of the fields of a record by the names of their flags; read once, as it means parsing modules."""
    docs = attribute_docs(record)
    return {flag.name: docs.get(flag.field) for flag in _flags(record)}


def attribute_docs(record: type) -> dict[str, str]:
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


def _seconds(kind: object, tokens: Sequence[Any]) -> float | int:
    """The seconds of a time."""
    value = seconds_of(tokens[0].value)
    return round(value) if bare_type(kind) is int else value


def _json_text(kind: object, tokens: Sequence[Any]) -> str:
    """JSON as it is, or from the file that is named."""
    del kind
    text: str = tokens[0].value
    if text.lstrip()[:1] in _JSON_BEGINS:
        return text
    try:
        read = Path(text).expanduser().read_text(encoding="utf-8")
        json.loads(read)
    except OSError as error:
        raise ValueError(f"{text}: {error.strerror}; give a JSON file, or JSON") from None
    except UnicodeDecodeError:
        raise ValueError(f"{text} is not a JSON file") from None
    except ValueError as error:
        raise ValueError(f"{text} is not a JSON file: {error}") from None
    return read


def _check_finite(kind: object, value: float | None) -> None:
    del kind
    if value is not None and not math.isfinite(value):
        raise ValueError("It is not a finite number")


def _no_table(name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    raise SettingsError(f"The table [{name}] does not belong here: it has the keys {', '.join(table)}")
