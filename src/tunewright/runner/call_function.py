"""Call a Python function as a script: the child process of a run whose order names a function."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from .contract import LOADING
from .script_launch import foreign_paths


class StopLoading(BaseException):
    """The file begins an experiment here: the functions above are all that its trials need."""


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
    if place.endswith(".py"):
        path = Path(place).absolute()
        sys.path.insert(0, str(path.parent))
        module = _loaded(importlib.util.spec_from_file_location(path.stem, path), place)
    else:
        module = sys.modules.get(place) or _loaded(importlib.util.find_spec(place), place)
    function = getattr(module, name, None)
    if callable(function):
        return function
    raise ImportError(f"{place} has no function {name!r}: define it at the top level of the module")


def _loaded(spec: ModuleSpec | None, place: str) -> ModuleType:
    """The module of a spec, loaded until it begins an experiment, which is not begun."""
    if spec is None or spec.loader is None:
        raise ImportError(f"There is no Python module {place}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    loading = sys.modules[LOADING] = ModuleType(LOADING)
    loading.__dict__["StopLoading"] = StopLoading
    try:
        spec.loader.exec_module(module)
    except StopLoading:
        pass
    except BaseException:
        del sys.modules[spec.name]
        raise
    finally:
        del sys.modules[LOADING]
    package, _, name = spec.name.rpartition(".")
    if package:
        setattr(sys.modules[package], name, module)
    return module
