"""Call a Python function as a script: the child process of a run whose order names a function."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from .absent_parts import absent_parts
from .contract import LOADING, METRIC_VARIABLE
from .run_order import place_and_function
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
    sys.argv[:] = [place_and_function(spec)[0]]
    return call(load_function(spec), config_file)


def call(function: Callable[..., Any], config_file: str) -> int:
    """Call a function with the configuration of a JSON file, and report what it returns; return the exit code.

    The traceback of its exception begins with its own frame.
    """
    config = json.loads(Path(config_file).read_text(encoding="utf-8"))
    try:
        returned = function(**config)
    except Exception as error:
        own = error.__traceback__
        theirs = own.tb_next if own is not None and own.tb_next is not None else own
        sys.excepthook(type(error), error.with_traceback(theirs), theirs)
        return 1
    if returned is not None:
        report_returned(returned, os.environ.get(METRIC_VARIABLE, ""))
    return 0


def report_returned(returned: Any, metric: str) -> None:
    """Report what the function returned, unless it has reported something itself.

    Parameters
    ----------
    returned
        A mapping of metrics, or the number of the one that is tuned.
    metric
        Name of that metric; empty if there are several.

    Raises
    ------
    TypeError
        It is something else.
    """
    own = sys.modules.get("tunewright.report")
    if own is not None and own.Reporter.n_reports:
        return
    values: dict[str, Any]
    if isinstance(returned, Mapping):
        values = dict(cast("Mapping[str, Any]", returned))
    elif metric and (isinstance(returned, (int, float)) or hasattr(returned, "item")):
        values = {metric: returned}
    else:
        wanted = "a number, a mapping of metrics" if metric else "a mapping of metrics"
        raise TypeError(
            f"The function returned {returned!r:.80}: it should return {wanted}, or nothing and report"
        )
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
    text = json.dumps(plain)
    sys.stdout.write(f"[tune-metric]: {text}\n")
    sys.stdout.flush()


def load_function(spec: str) -> Callable[..., Any]:
    """The function of ``module:name`` or ``path/file.py:name``.

    Raises
    ------
    ImportError
        The module cannot be imported or has no function of that name.
    """
    place, name = place_and_function(spec)
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
        with absent_parts():
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
