"""From the flags of a launch to those of the ``hpo_main.py`` in each tuning job."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from tunewright.launchers.parser import Parser

NOT_FORWARDED: Final = frozenset({"help", "dry_run"})
"""What makes no sense in a tuning job."""


def forwarded_flags(parser: Parser, arguments: Namespace, replaced: Mapping[str, Any]) -> list[str]:
    """The command line that gives the same arguments again.

    Parameters
    ----------
    parser
        Of ``hpo_main.py``.
    arguments
        What was given to the launcher, whose parser knows all of these flags as well.
    replaced
        Values that differ in the tuning job, by name of the flag; None leaves a flag out.

    Returns
    -------
    list of str
        Flags with values, those at their defaults left out.
    """
    flags: list[str] = []
    for name, default in parser.defaults().items():
        if name in NOT_FORWARDED:
            continue
        value = replaced[name] if name in replaced else getattr(arguments, name)
        if value is None or (value == default and name not in replaced):
            continue
        flags += [text for part in _parts(value) for text in (f"--{name}", part)]
    return flags


def _parts(value: Any) -> Sequence[str]:
    """The value as text; of a flag that may be repeated, one text for each time."""
    if isinstance(value, bool):
        return ["1" if value else "0"]
    if isinstance(value, list | tuple):
        return [str(item) for item in cast("Sequence[object]", value)]
    return [str(value)]
