"""The optional packages of analysis, loaded where they are used."""

from __future__ import annotations

import importlib
from typing import Any

from tunewright.exceptions import MissingExtraError


def need(module: str, what: str, *, extra: str = "analysis") -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    module
        Such as ``pandas`` or ``matplotlib.figure``.
    what
        What needs it, for the error.
    extra
        The extra of Tunewright that brings it.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise MissingExtraError(extra, what) from None
