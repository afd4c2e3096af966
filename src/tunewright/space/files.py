"""Space files: TOML with one table per hyperparameter."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tunewright.exceptions import SpaceError
from tunewright.space.search_space import SearchSpace


def space_from_toml(text: str) -> SearchSpace:
    """Build a space from TOML: one table per hyperparameter, with ``type`` and that type's arguments.

    A plain ``name = value`` at the top is a constant.

    Raises
    ------
    SpaceError
        If the text is no TOML or a table is wrong; the message names the table.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"the text is not valid TOML: {error}") from None
    return SearchSpace.from_json(data)


def load_space(path: str | Path) -> SearchSpace:
    """Read a space file, as `space_from_toml` understands it.

    Raises
    ------
    SpaceError
        If the file cannot be read or is wrong; the message names the file and the table.
    """
    try:
        return space_from_toml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SpaceError(f"Cannot read the space file {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SpaceError(f"Cannot read the space file {path}: {error}") from None
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from None
