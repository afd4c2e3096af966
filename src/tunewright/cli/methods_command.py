"""``tunewright methods``: what there is to tune with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser
from tunewright.methods import Method, aliases, find_method, method_names


def run(arguments: Sequence[str]) -> int:
    """List all methods, or show one with its settings."""
    parser = Parser("tunewright methods", "List the methods, or show the settings of one.")
    parser.optional("method", "its name or alias")
    given = parser.read(arguments)
    if given.method is not None:
        _show(find_method(given.method))
        return 0
    rows = [(name, ", ".join(aliases(name)), find_method(name).summary) for name in method_names()]
    print_table(("method", "alias", "what it does"), rows)
    return 0


def _show(method: Method[Any]) -> None:
    say(f"{method.name}: {method.summary}")
    settings = method.parameters.values()
    if settings:
        rows = [(one.name, one.type_text, _text(one.default)) for one in settings]
        print_table(("setting", "type", "default"), rows)
    else:
        say("It has no settings")


def _text(default: object) -> str:
    return "-" if default is None else str(default)
