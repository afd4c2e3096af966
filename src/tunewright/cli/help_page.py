"""The help of a command: plain text in two columns, the flags under headings."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

_WIDEST: Final = 110
"""Columns of text; longer lines are hard to read."""
_LABELS: Final = 34
"""Columns of the flags; the text of a longer one begins on the next line."""


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
        del options
        if not panel.entries:
            return
        console.print(f"{_plain(panel.title)}", style="bold", highlight=False, markup=False)
        rows = [(_label(entry), self._text(entry)) for entry in panel.entries]
        fitting = [len(label) for label, _ in rows if len(label) <= _LABELS]
        column = max(fitting, default=_LABELS) + 4
        for label, text in rows:
            lines = textwrap.wrap(text, min(console.width, _WIDEST) - column, break_on_hyphens=False) or [""]
            if len(label) > column - 4:
                _print(console, f"  {label}")
            else:
                _print(console, f"  {label:<{column - 2}}{lines.pop(0)}")
            for line in lines:
                _print(console, f"{'':<{column}}{line}")
        _print(console, "")

    def render_usage(self, console: Console, options: ConsoleOptions, usage: object) -> None:
        """Print how the command is called."""
        del options
        _print(console, f"Usage: {_plain(usage).removeprefix('Usage: ')}\n")

    def render_description(self, console: Console, options: ConsoleOptions, description: object) -> None:
        """Print what the command does."""
        del options
        if text := _plain(description):
            _print(console, textwrap.fill(text, min(console.width, _WIDEST)) + "\n")

    def _text(self, entry: HelpEntry) -> str:
        """Help of a flag with its default."""
        names = [name.removeprefix("--") for name in entry.names] or [str(entry.positional_label).lower()]
        text = _plain(entry.description) or self._describe(names[0]) or ""
        first = " ".join(text.split("\n\n")[0].split()).removesuffix(".")
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
