"""argparse flags from the fields of a config class."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import textwrap
from argparse import Namespace
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tunewright.exceptions import SettingsError
from tunewright.launchers.parser import Parser, parse_bool
from tunewright.plugins import Dataclass

D = TypeVar("D", bound=Dataclass)


def add_config_flags(parser: Parser, kind: type[Dataclass], known: Collection[str] = ()) -> None:
    """Add a flag for each field: its name, its docstring as help, its default. Names in ``known`` are left out."""
    hints = get_type_hints(kind)
    docs = field_docs(kind)
    for field in dataclasses.fields(kind):
        if field.name in known:
            continue
        help_text = docs.get(field.name, "").rstrip(".")
        help_text = (help_text[:1].lower() + help_text[1:]).replace("%", "%%")
        hint, default = _without_none(hints[field.name]), _default(field)
        if hint is bool and default is False:
            parser.switch(field.name, help_text)
        elif hint is bool:
            parser.flag(field.name, help_text, type=parse_bool, default=default)
        elif get_origin(hint) is Literal:
            parser.flag(field.name, help_text, choices=get_args(hint), default=default)
        elif _is_mapping(hint) and get_args(hint)[1] is str:
            parser.repeated(field.name, "NAME=VALUE", help_text)
        elif _is_mapping(hint):
            parser.flag(field.name, help_text)
        elif get_origin(hint) is tuple:
            parser.repeated(field.name, field.name.upper(), help_text)
        else:
            parser.flag(field.name, help_text, type=hint, default=default)


def config_from(kind: type[D], arguments: Namespace) -> D:
    """A config from the flags.

    Raises
    ------
    SettingsError
        A value cannot work.
    """
    hints = get_type_hints(kind)
    values = {
        field.name: _value(field.name, _without_none(hints[field.name]), getattr(arguments, field.name))
        for field in dataclasses.fields(kind)
    }
    given = {name: value for name, value in values.items() if value is not None}
    return kind(**given)


def name_value_pairs(flag: str, given: Collection[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts as a mapping.

    Raises
    ------
    SettingsError
        A text has another form.
    """
    parts = [text.partition("=") for text in given]
    for name, equals, value in parts:
        if not name or not equals:
            raise SettingsError(f"--{flag} takes NAME=VALUE, not {name + value!r}")
    return {name: value for name, _, value in parts}


def field_docs(kind: type[Any]) -> dict[str, str]:
    """The docstrings below the fields of a dataclass and of its bases, each in one line."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):
            continue
        statements = cast("ast.ClassDef", tree.body[0]).body
        for field, doc in pairwise(statements):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
                docs[field.target.id] = " ".join(str(doc.value.value).split())
    return docs


def _value(name: str, hint: Any, given: Any) -> Any:
    if _is_mapping(hint) and isinstance(given, list):
        return name_value_pairs(name, cast("list[str]", given))
    if _is_mapping(hint) and isinstance(given, str):
        try:
            return json.loads(given)
        except ValueError as error:
            raise SettingsError(f"--{name} takes JSON: {error}") from None
    if get_origin(hint) is tuple:
        kind = get_args(hint)[0]
        return tuple(kind(one) for one in given) or None
    return given


def _default(field: dataclasses.Field[Any]) -> Any:
    return None if field.default is dataclasses.MISSING else field.default


def _without_none(hint: Any) -> Any:
    """The type of a field that may be None."""
    if get_origin(hint) is Union or type(hint).__name__ == "UnionType":
        (hint,) = (one for one in get_args(hint) if one is not type(None))
    return hint


def _is_mapping(hint: Any) -> bool:
    return get_origin(hint) in {Mapping, dict}
