"""Names, comma lists and globs of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from tunewright.exceptions import SettingsError, UnknownNameError

_WILD: Final = frozenset("*?[")
_SHOWN: Final = 8  # names in a message


def select(what: str, given: str, known: Sequence[str]) -> list[str]:
    """The known names that were chosen, in the order of the choice, none twice.

    Parameters
    ----------
    what
        What is chosen, for errors.
    given
        Names and globs such as ``lcbench-*``, with commas between them; quotes around them do no harm.
    known
        All names.

    Raises
    ------
    SettingsError
        Nothing is chosen, a name is unknown (the nearest is said), or a glob fits none.
    """
    parts = [part.strip().strip("'\"") for part in given.strip().strip("'\"").split(",")]
    chosen: dict[str, None] = {}
    for part in filter(None, parts):
        if part in known:
            chosen[part] = None
        elif _WILD & set(part):
            fitting = [name for name in known if fnmatchcase(name, part)]
            if not fitting:
                some = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
                raise SettingsError(f"No {what} fits {part!r}. There are {some}")
            chosen.update(dict.fromkeys(fitting))
        else:
            raise UnknownNameError(what, part, known)
    if not chosen:
        raise SettingsError(f"Choose a {what}: {given!r} names none")
    return list(chosen)
