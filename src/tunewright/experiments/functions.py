"""``tune_function``: tune a Python function in one call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from tunewright.backends.local.config import LocalConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.callbacks.plugin import CallbackConfig, callback_from_text
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.limits import Limits
from tunewright.experiments.outcome import Outcome
from tunewright.experiments.run import announce_choices, print_progress, run_experiment
from tunewright.experiments.warm_start import log_notices
from tunewright.interfaces import Callback
from tunewright.methods import BuildFunction, MethodSpec
from tunewright.methods import method as named_method
from tunewright.metric import metrics_from
from tunewright.replicates import Replicates
from tunewright.space import Domain, SearchSpace
from tunewright.types import ConfigValue


def function_path(function: str | Callable[..., Any]) -> str:
    """Return the import path of a function for other processes: ``module:name`` or ``path/file.py:name``.

    Parameters
    ----------
    function
        A function at the top level of a module or of the running script; a path is returned as it is.

    Raises
    ------
    SettingsError
        It cannot be imported by name: a lambda, a nested function, or one typed at a prompt.
    """
    if isinstance(function, str):
        return function
    name = getattr(function, "__qualname__", "")
    module = inspect.getmodule(function)
    if module is None or not name.isidentifier() or getattr(module, name, None) is not function:
        raise SettingsError(
            f"{name or function!r} runs in other processes, which import it by its name: "
            "define it with def at the top level of a module"
        )
    if module.__name__ != "__main__":
        return f"{module.__name__}:{name}"
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:
        raise SettingsError(
            f"{name} was typed at a prompt, so that other processes cannot import it: put it into a file"
        )
    return f"{Path(file).absolute()}:{name}"


def _resource(name: str | None, replicates: int | Replicates | None) -> dict[str, Any]:
    """Fields of a benchmark: the key of its resource, or its replicates."""
    if replicates is None:
        return {"resource_attr": name}
    if isinstance(replicates, int):
        replicates = Replicates(n=replicates)
    return {"replicates": replicates if name is None else replace(replicates, attr=name)}


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


class TuneOptions(TypedDict, total=False):
    """Optional arguments of `tune_function`."""

    resource: str
    """Key of the resource in reports, such as ``"epoch"``; default: reports are counted."""
    max_resource: int
    """Resource of a full run."""
    max_resource_attr: str
    """Argument of the function that is set to ``max_resource``."""
    replicates: int | Replicates
    """Seeds or folds of each trial, reported one by one: their mean is its value, and ``resource`` is the key of their number.
    Trials stop early if theirs are worse than those of the best trial (`Replicates.significance`)."""
    n_workers: int
    """Number of trials at the same time; default 4."""
    seed: int
    max_wallclock_time: float
    """Seconds."""
    max_num_trials: int
    max_num_evaluations: int
    max_failures: int
    """Trials that may fail; default 3."""
    warm_start: str | Sequence[str]
    """Tags or names of earlier experiments that the method learns from."""
    tag: str
    """Name shared by experiments that belong together; default: the function's name."""
    callbacks: Sequence[str | CallbackConfig | Callback]
    """Callbacks by name (``"tensorboard"``, as ``--callback`` takes them) or config, which a resume builds again, or
    objects, which watch this session only."""
    progress: bool
    """Print progress on stderr; default True."""


def tune_function(
    function: str | Callable[..., Any],
    space: Mapping[str, Domain | ConfigValue],
    *,
    metric: str | Sequence[str],
    goal: str | Sequence[str] | None = None,
    method: str | MethodSpec | BuildFunction = "RandomSearch",
    **options: Unpack[TuneOptions],
) -> Outcome:
    """Tune a Python function; each trial is a process that calls it with a configuration as keyword arguments.

    The function reports with ``tunewright.report(epoch=..., loss=...)`` and may keep checkpoints in the folder
    ``$TUNEWRIGHT_CHECKPOINT_DIR``. The processes import it by name; nothing is pickled.

    Parameters
    ----------
    function
        At the top level of a module or of the running script (whose main part is under
        ``if __name__ == "__main__"``), or ``"module:name"``.
    space
        Its arguments: domains, and constants as plain values.
    metric
        Key of the tuned value in reports; several, as ``["error", "seconds"]``, with a multi-objective method.
    goal
        ``"min"`` or ``"max"``: one for all metrics, or one for each; default ``"min"``, except for a metric such as
        ``accuracy``, whose goal must be given.
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
        A setting is invalid; nothing was started.
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
        **_resource(options.get("resource"), options.get("replicates")),
        max_resource=options.get("max_resource"),
        max_resource_attr=options.get("max_resource_attr"),
    )
    callbacks = options.get("callbacks", ())
    watching = [one for one in callbacks if isinstance(one, Callback)]
    experiment = Experiment(
        tag=options.get("tag", name),
        benchmark=benchmark,
        method=chosen,
        label=chosen.name if isinstance(chosen, MethodSpec) else chosen.__name__,
        backend=LocalConfig(),
        seed=options.get("seed", 0),
        callbacks=tuple(
            callback_from_text(one) if isinstance(one, str) else one
            for one in callbacks
            if not isinstance(one, Callback)
        ),
        warm_start=_names(options.get("warm_start", ())),
        limits=Limits(
            max_wallclock_time=options.get("max_wallclock_time"),
            max_num_trials=options.get("max_num_trials"),
            max_num_evaluations=options.get("max_num_evaluations"),
            max_failures=options.get("max_failures", 3),
        ),
    )
    log_notices([experiment.evaluations()])
    if not options.get("progress", True):
        return run_experiment(experiment, watch=lambda _, __: watching)
    announce_choices([experiment], lambda line: sys.stderr.write(f"{line}\n"))
    return run_experiment(experiment, watch=lambda cell, folder: [*print_progress(cell, folder), *watching])
