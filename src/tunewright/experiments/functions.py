"""``tune_function``: tune a Python function in one call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from tunewright.backends.local.config import LocalConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.limits import Limits
from tunewright.experiments.outcome import Outcome
from tunewright.experiments.run import announce_choices, run_experiment
from tunewright.experiments.warm_start import announce
from tunewright.experiments.watch import print_progress, unwatched
from tunewright.methods import BuildFunction, MethodSpec
from tunewright.methods import method as named_method
from tunewright.metric import Goal, metrics_from
from tunewright.space import Domain, SearchSpace
from tunewright.types import ConfigValue


def function_path(function: str | Callable[..., Any]) -> str:
    """Where a function is found by processes that know only its name: ``module:name`` or ``path/file.py:name``.

    Parameters
    ----------
    function
        A function at the top level of a module or of the running script, or its path, which is returned.

    Raises
    ------
    SettingsError
        It cannot be found by name: a lambda, a nested function, one that was typed at a prompt.
    """
    if isinstance(function, str):
        return function
    name = getattr(function, "__qualname__", "")
    module = inspect.getmodule(function)
    if module is None or not name.isidentifier() or getattr(module, name, None) is not function:
        raise SettingsError(
            f"{name or function!r} runs in processes of its own, which find it by its name: "
            "define it with def at the top level of a module"
        )
    if module.__name__ != "__main__":
        return f"{module.__name__}:{name}"
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:
        raise SettingsError(
            f"{name} was typed at a prompt, where processes cannot find it: put it into a file"
        )
    return f"{Path(file).absolute()}:{name}"


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


class TuneOptions(TypedDict, total=False):
    """What `tune_function` takes beside its named arguments; all may be left out."""

    resource: str
    """Key of the resource in reports, such as ``"epoch"``; without it reports are counted."""
    max_resource: int
    """Resource of a full run."""
    max_resource_attr: str
    """Argument of the function that gets ``max_resource``."""
    n_workers: int
    """Trials at the same time; 4 where nothing is said."""
    seed: int
    max_wallclock_time: float
    """Seconds."""
    max_num_trials: int
    max_num_evaluations: int
    max_failures: int
    """Trials that may fail; 3 where nothing is said."""
    warm_start: str | Sequence[str]
    """Tags or names of earlier experiments to learn from."""
    tag: str
    """Folder of experiments that belong together; the function's name where nothing is said."""
    progress: bool
    """Whether lines on stderr tell how it goes; True where nothing is said."""


def tune_function(
    function: str | Callable[..., Any],
    space: Mapping[str, Domain | ConfigValue],
    *,
    metric: str | Sequence[str],
    goal: str | Sequence[str] = Goal.MINIMIZE,
    method: str | MethodSpec | BuildFunction = "RandomSearch",
    **options: Unpack[TuneOptions],
) -> Outcome:
    """Tune a Python function: each trial is a process that calls it with a configuration as keyword arguments.

    The function reports with ``tunewright.report(epoch=..., loss=...)`` and may keep checkpoints in the folder
    ``$TUNEWRIGHT_CHECKPOINT_DIR``. Nothing is pickled: the processes import it by name.

    Parameters
    ----------
    function
        At the top level of a module or of the running script (whose main part stands under
        ``if __name__ == "__main__"``), or ``"module:name"``.
    space
        Its arguments: domains, and constants as plain values.
    metric
        The reported value that is tuned; several, as ``["error", "seconds"]``, with a method that can do that.
    goal
        ``"min"`` or ``"max"``: one for all metrics, or one for each.
    method
        A name, ``method("ASHA", eta=4)``, or a function ``(benchmark, seed, settings) -> Scheduler``.
    **options
        See `TuneOptions`. A limit is needed unless the method ends by itself.

    Returns
    -------
    Outcome
        ``best`` (trial_id, value, resource, config), ``pareto`` with several metrics, ``history``, ``path`` and more.

    Raises
    ------
    SettingsError
        Something cannot work; nothing was started.
    ExperimentFailedError
        More than ``max_failures`` trials failed.

    Examples
    --------
    ::

        outcome = tune_function("training:train", {"lr": Float(1e-4, 1.0, log=True)}, metric="loss", max_num_trials=20)
        outcome.best.config
    """
    for name in options:
        if name not in TuneOptions.__annotations__:
            raise UnknownNameError("option of tune_function", name, TuneOptions.__annotations__)
    path = function_path(function)
    name = path.rpartition(":")[2]
    chosen = named_method(method) if isinstance(method, str) else method
    benchmark = RealBenchmarkDefinition(
        name=name,
        script=path,
        space=space if isinstance(space, SearchSpace) else SearchSpace(space),
        metrics=metrics_from(metric, goal),
        n_workers=options.get("n_workers", 4),
        resource_attr=options.get("resource"),
        max_resource=options.get("max_resource"),
        max_resource_attr=options.get("max_resource_attr"),
    )
    experiment = Experiment(
        tag=options.get("tag", name),
        benchmark=benchmark,
        method=chosen,
        label=chosen.name if isinstance(chosen, MethodSpec) else chosen.__name__,
        backend=LocalConfig(),
        seed=options.get("seed", 0),
        warm_start=_names(options.get("warm_start", ())),
        limits=Limits(
            max_wallclock_time=options.get("max_wallclock_time"),
            max_num_trials=options.get("max_num_trials"),
            max_num_evaluations=options.get("max_num_evaluations"),
            max_failures=options.get("max_failures", 3),
        ),
    )
    announce([experiment.evaluations()])
    if not options.get("progress", True):
        return run_experiment(experiment, watch=unwatched)
    announce_choices([experiment], lambda line: sys.stderr.write(f"{line}\n"))
    return run_experiment(experiment, watch=print_progress)
