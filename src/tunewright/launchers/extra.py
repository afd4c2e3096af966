"""``extra_args``: flags of an experiment folder's own, and how they reach the settings of methods."""

from __future__ import annotations

from argparse import ArgumentError, Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tunewright.exceptions import SettingsError
from tunewright.launchers.parser import Parser
from tunewright.methods import BuildFunction, MethodSpec, find_method
from tunewright.types import Json

ExtraArgs: TypeAlias = Sequence[Mapping[str, Any]]
"""One mapping per flag: ``name`` without hyphens, and what argparse takes (``type``, ``default``, ``help``, ...)."""

MethodArgsMap: TypeAlias = Callable[[Namespace, str, dict[str, Json]], dict[str, Json]]
"""``(arguments, method's name, settings so far) -> settings``."""


def add_extra_flags(parser: Parser, extra_args: ExtraArgs) -> None:
    """Add the folder's own flags.

    Raises
    ------
    SettingsError
        A flag has no name, begins with a hyphen, or is there already.
    """
    for extra in extra_args:
        options = dict(extra)
        name = str(options.pop("name", ""))
        if not name or name.startswith("-"):
            raise SettingsError(f"extra_args: give the flag's name without hyphens, not {name!r}")
        try:
            parser.add_argument(f"--{name}", **options)
        except (TypeError, ValueError, ArgumentError) as error:
            raise SettingsError(f"extra_args: the flag {name!r} cannot be added: {error}") from None


def extra_settings(
    arguments: Namespace, method: MethodSpec | BuildFunction, extra_args: ExtraArgs
) -> dict[str, Json]:
    """The flags that were given and are named as a setting of the method; to a function of the user's, all of them."""
    given = {str(extra["name"]): getattr(arguments, str(extra["name"])) for extra in extra_args}
    given = {name: value for name, value in given.items() if value is not None}
    if not isinstance(method, MethodSpec):
        return given
    known = find_method(method.name).parameters
    return {name: value for name, value in given.items() if name in known}
