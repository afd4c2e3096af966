"""Stand-ins for the parts of Tunewright that a job has not got, while it loads the file of a function.

The trial side of Tunewright is its Reporter. A file that defines a function may also describe and begin the experiment, with names such as
``Float`` or ``SageMakerConfig``. On an image without Tunewright these names are stand-ins, which end the loading of the file at the call that
begins an experiment.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import final

from .contract import LOADING, stop_loading

PACKAGE = "tunewright"
BEGINNINGS = frozenset({"launch_remote", "main", "run", "run_experiment", "run_plan", "tune"})
"""Names of functions that begin experiments."""


@final
class Absent:
    """Stand-in for a name: while a file is loaded its calls and attributes are stand-ins, later they are errors."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: object, **options: object) -> Absent:
        """Stop loading if the name begins an experiment."""
        del arguments, options
        self._check()
        if self._name.rpartition(".")[2] in BEGINNINGS:
            stop_loading()
        return self

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        self._check()
        return Absent(f"{self._name}.{name}")

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        """Base classes in its place."""
        del bases
        return ()

    def _check(self) -> None:
        if LOADING not in sys.modules:
            raise ImportError(
                f"{self._name} is not on this machine, where Tunewright is not installed: a trial has tunewright.report and "
                "tunewright.integrations only"
            )


class _AbsentModule(ModuleType):
    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")


class _Finder(MetaPathFinder, Loader):
    """Finds modules of Tunewright that the other finders do not."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        del path, target
        is_ours = fullname.startswith(f"{PACKAGE}.")
        return importlib.util.spec_from_loader(fullname, self, is_package=True) if is_ours else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: it has no code."""


def _is_trial_side() -> bool:
    try:
        return importlib.util.find_spec(f"{PACKAGE}.tuner") is None
    except ModuleNotFoundError:  # no part of it is here
        return False


@contextmanager
def absent_parts() -> Generator[None]:
    """Import stand-ins for absent modules of Tunewright within the block, if only its trial side is here."""
    if not _is_trial_side():
        yield
        return
    finder = _Finder()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _AbsentModule)]:
            del sys.modules[name]
