"""Late import of the optional packages of analysis."""

from __future__ import annotations

import importlib
from typing import Any

from tunewright.exceptions import MissingExtraError


def need(module: str, feature: str, *, extra: str = "analysis") -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    module
        Such as ``pandas`` or ``matplotlib.figure``.
    feature
        Name of the feature that needs the module, for the error.
    extra
        Extra of Tunewright that installs it.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise MissingExtraError(extra, feature) from None
