"""Call a Python function as a script: the child process of a run whose order names a function."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .script_launch import foreign_paths


def main(arguments: list[str]) -> int:
    """Call the function with the configuration as keyword arguments.

    Parameters
    ----------
    arguments
        ``module:name`` or ``path/file.py:name``, then the JSON file of the configuration.
    """
    spec, config_file = arguments
    sys.path[:] = foreign_paths()
    load_function(spec)(**json.loads(Path(config_file).read_text(encoding="utf-8")))
    return 0


def load_function(spec: str) -> Callable[..., Any]:
    """The function of ``module:name`` or ``path/file.py:name``.

    Raises
    ------
    ImportError
        The module cannot be imported or has no function of that name.
    """
    place, _, name = spec.rpartition(":")
    module = _load_file(Path(place).absolute()) if place.endswith(".py") else importlib.import_module(place)
    function = getattr(module, name, None)
    if callable(function):
        return function
    raise ImportError(f"{place} has no function {name!r}: define it at the top level of the module")


def _load_file(path: Path) -> Any:
    """Import a file as a module of its own, with its folder on the import path."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
