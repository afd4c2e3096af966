"""``tune``: tune a function or a script in one call."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

from tunewright.backends.plugin import BackendConfig, find_backend
from tunewright.benchmarks import ArgumentStyle, RealBenchmarkDefinition
from tunewright.callbacks.notebook import in_notebook
from tunewright.callbacks.plugin import CallbackConfig, callback_from_text
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.experiments.experiment import Experiment, stored_by_identity
from tunewright.experiments.known_results import KnownTrial, Point, read_points
from tunewright.experiments.limits import Limits
from tunewright.experiments.outcome import Outcome, stored_status
from tunewright.experiments.run import (
    announce_choices,
    informed,
    print_progress,
    resume_experiment,
    run_experiment,
    show_in_notebook,
)
from tunewright.experiments.warm_start import log_notices
from tunewright.interfaces import Callback, StoppingCriterion
from tunewright.methods import BuildFunction, MethodSpec, also_read
from tunewright.methods import method as named_method
from tunewright.metric import metrics_from
from tunewright.replicates import Replicates
from tunewright.runner.run_order import SESSION, is_of_session, place_and_function
from tunewright.space import SearchSpace, SpaceEntries
from tunewright.storage import ExperimentFolder

_LIMITS: Final = {
    "n_trials": "max_num_trials",
    "max_num_trials": "max_num_trials",
    "max_time": "max_wallclock_time",
    "max_wallclock_time": "max_wallclock_time",
    "max_num_evaluations": "max_num_evaluations",
    "max_cost": "max_cost",
    "max_failures": "max_failures",
    "stop_at": "stop_at",
    "patience": "patience",
    "finish": "finish",
}
"""Fields of `Limits` by option."""


class TuneOptions(TypedDict, total=False):
    """Optional arguments of `tune`."""

    n_trials: int
    """Trials to start; also called ``max_num_trials``, as on the command line."""
    max_num_trials: int
    max_time: float
    """Seconds; also called ``max_wallclock_time``."""
    max_wallclock_time: float
    max_num_evaluations: int
    """Reports of all trials."""
    max_cost: float
    """US dollars."""
    stop_at: float
    """Value of the metric that is good enough: the experiment ends when a trial reaches it."""
    patience: int
    """Trials in a row without a better result, after which the experiment ends."""
    finish: int
    """Number of trials, the best ones, that are trained to the end in the last part of the limits; needs ``max_resource``."""
    stop_when: StoppingCriterion
    """Another criterion, such as ``Plateau(...)``; it is not stored, and has to be given again to continue."""
    max_failures: int
    """Trials that may fail; default 3."""
    max_trial_time: float
    """Seconds; a run of a trial that takes longer fails. On the local backend."""
    resource: str
    """Key of the resource in reports, such as ``"epoch"``; default: reports are counted."""
    max_resource: int
    """Resource of a full run."""
    max_resource_attr: str
    """Argument of the function or script that is set to ``max_resource``."""
    replicates: int | Replicates
    """Seeds or folds of each trial, reported one by one: their mean is its value, and ``resource`` is the key of their number.
    Trials stop early if theirs are worse than those of the best trial (`Replicates.significance`)."""
    argument_style: ArgumentStyle
    """Hyperparameters on the command line of a script: ``"list"`` (``--name value``), ``"hydra"`` or ``"config_json"``."""
    inputs: Mapping[str, str]
    """Input folders of a script by name: ``s3://``, ``efs://`` or ``fsx://`` addresses for jobs, paths for processes."""
    environment: Mapping[str, str]
    """Variables of each trial; SageMaker shows them to all who may describe jobs."""
    dependencies: Sequence[str | Path]
    """Files and folders that are placed beside the script."""
    instance_count: int
    """Instances of each SageMaker job."""
    constraints: Sequence[str]
    """Relations between hyperparameters, such as ``"width_2 <= width_1"``, which every configuration keeps."""
    points: str | Path | Sequence[Point]
    """Configurations to try first, or a file of them (`load_known_points`); hyperparameters that one leaves out have their defaults.
    ``({"lr": 0.2}, {"loss": 0.31})`` is one with a known result of a full run, ``({"lr": 0.2}, {"epoch": 3, "loss": 0.4})``
    with one at a resource, and a list of several results is a curve. It is a trial that is not trained."""
    n_workers: int
    """Number of trials at the same time; default 4."""
    seed: int
    warm_start: str | Sequence[str]
    """Tags or names of earlier experiments that the method learns from."""
    tag: str
    """Name shared by experiments that belong together; default: the name of the function or script."""
    resume: bool
    """Continue the latest experiment of the same tag, if it has the same space, metric, method, backend and seed; else begin one.
    Limits may differ."""
    callbacks: Sequence[str | CallbackConfig | Callback]
    """Callbacks by name (``"tensorboard"``, as ``--callback`` takes them) or config, which a resume builds again, or
    objects, which watch this session only."""
    on_end: str
    """Command that gets the summary as JSON on its standard input, as ``tunewright show --format json`` prints it, a minute at most."""
    progress: bool
    """Show progress: a table in a notebook's cell, else lines on stderr; default True."""


def tune(
    trial: str | Path | Callable[..., Any],
    space: SpaceEntries,
    *,
    metric: str | Sequence[str],
    goal: str | Sequence[str] | None = None,
    method: str | MethodSpec | BuildFunction = "auto",
    backend: str | BackendConfig = "local",
    **options: Unpack[TuneOptions],
) -> Outcome:
    """Tune a Python function or a training script; each trial is a process, or a job of another backend.

    A function is called with a configuration as keyword arguments. It returns the metric (or a mapping of metrics), or reports with
    ``tunewright.report(epoch=..., loss=...)``. Checkpoints belong in the folder ``$TUNEWRIGHT_CHECKPOINT_DIR``.

    Parameters
    ----------
    trial
        A function, ``"module:name"``, ``"path/file.py:name"``, or the path of a script. Functions of notebooks and prompts, nested
        functions and lambdas run on the local backend only: they are copied into the processes of their trials. Others are imported
        there, up to the line that calls ``tune``, so that no ``if __name__ == "__main__":`` is needed.
    space
        Its arguments: domains, lists of choices, and constants as plain values.
    metric
        Key of the tuned value in reports; several, as ``["error", "seconds"]``, with a multi-objective method.
    goal
        ``"min"`` or ``"max"``: one for all metrics, or one for each; default ``"min"``, except for a metric such as
        ``accuracy``, whose goal must be given.
    method
        A name, ``method("ASHA", eta=4)``, or a function ``(benchmark, seed, settings) -> Scheduler``.
    backend
        A name, or a config such as ``SageMakerConfig(...)``.
    **options
        See `TuneOptions`. A limit is needed unless the method ends by itself.

    Returns
    -------
    Outcome
        ``best`` (trial_id, value, resource, config), ``best_value``, ``best_config``, ``trials_dataframe()``, ``plot_*()`` and more.

    Raises
    ------
    SettingsError
        A setting is invalid; nothing was started.
    ExperimentFailedError, BackendError, JournalError
        It could not be completed, for example since more than ``max_failures`` trials failed. All results are kept.
    KeyboardInterrupt
        It was interrupted. All results are kept, and ``resume=True`` continues.

    Examples
    --------
    ::

        outcome = tune(train, {"lr": Float(1e-4, 1.0, log=True)}, metric="loss", n_trials=20)
        outcome.best_config
    """
    for name in options:
        if name not in TuneOptions.__annotations__:
            raise UnknownNameError("option of tune", name, TuneOptions.__annotations__)
    place = place_of(trial)
    name = name_of_place(place)
    callbacks = options.get("callbacks", ())
    config = find_backend(backend).config() if isinstance(backend, str) else backend
    if (seconds := options.get("max_trial_time")) is not None:
        config = _with_trial_time(config, seconds)
    chosen = named_method(method) if isinstance(method, str) else method
    benchmark = _benchmark(name, place, space, metrics_from(metric, goal), options)
    known: tuple[KnownTrial, ...] = ()
    if (points := options.get("points")) is not None:
        read = also_read(chosen, benchmark, {})
        first, known = read_points(points, benchmark, [value.name for value in read])
        benchmark = replace(benchmark, points_to_evaluate=first)
    experiment = Experiment(
        tag=options.get("tag", name),
        benchmark=benchmark,
        known_results=known,
        method=chosen,
        label=chosen.name if isinstance(chosen, MethodSpec) else chosen.__name__,
        backend=config,
        seed=options.get("seed", 0),
        callbacks=tuple(
            callback_from_text(one) if isinstance(one, str) else one
            for one in callbacks
            if not isinstance(one, Callback)
        ),
        on_end=options.get("on_end", ""),
        warm_start=_names(options.get("warm_start", ())),
        limits=_limits(options),
        function=trial if is_of_session(place) and callable(trial) else None,
        stop_when=options.get("stop_when"),
    )
    return _run(experiment, [one for one in callbacks if isinstance(one, Callback)], options)


def _run(experiment: Experiment, watching: Sequence[Callback], options: TuneOptions) -> Outcome:
    """Run the experiment, or continue the latest one like it."""
    show = show_in_notebook if in_notebook() else print_progress
    is_shown = options.get("progress", True)

    def watch(cell: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
        return [*(show(cell, folder) if is_shown else ()), *watching]

    like_it = (
        stored_by_identity([experiment.tag]).get(experiment.identity()) if options.get("resume") else None
    )
    if like_it:
        folder = like_it[-1]
        if stored_status(folder).is_running:
            raise SettingsError(f"{folder.name} is running already, in another process")
        return resume_experiment(folder, experiment, watch=watch)
    log_notices([experiment.evaluations()])
    (experiment,) = informed([experiment])
    if is_shown:
        announce_choices([experiment], print if in_notebook() else lambda line: sys.stderr.write(f"{line}\n"))
    return run_experiment(experiment, watch=watch)


def place_of(trial: str | Path | Callable[..., Any]) -> str:
    """Where other processes find a script or function: a path, ``module:name``, or ``session:name`` if they cannot.

    Raises
    ------
    SettingsError
        It is no function.
    """
    if isinstance(trial, str):
        return _absolute(trial)
    if isinstance(trial, Path):
        return str(trial.absolute())
    if not callable(trial) or inspect.isclass(trial):
        raise SettingsError(f"tune needs a function or the path of a script, not {trial!r:.80}")
    return import_path(trial) or f"{SESSION}:{_identifier(trial)}"


def _absolute(place: str) -> str:
    """An absolute path, so that the experiment can be continued from anywhere; ``module:name`` stays."""
    path, function = place_and_function(place)
    if not function:
        return str(Path(place).absolute())
    return f"{Path(path).absolute()}:{function}" if path.endswith(".py") else place


def name_of_place(place: str) -> str:
    """Name of the function or of the script at a place."""
    path, function = place_and_function(place)
    return function or Path(path).stem


def import_path(function: Callable[..., Any]) -> str | None:
    """``module:name`` or ``path/file.py:name`` of a function; None if it cannot be imported by name."""
    name = getattr(function, "__qualname__", "")
    module = inspect.getmodule(function)
    if module is None or not name.isidentifier() or getattr(module, name, None) is not function:
        return None
    if module.__name__ != "__main__":
        return f"{module.__name__}:{name}"
    file = getattr(sys.modules["__main__"], "__file__", None)
    return None if file is None or in_notebook() else f"{Path(file).absolute()}:{name}"


def _identifier(function: Callable[..., Any]) -> str:
    """A name for a function that need not have one."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    return re.sub(r"\W", "", name).strip("_") or "function"


def _benchmark(
    name: str, place: str, space: SpaceEntries, metrics: Any, options: TuneOptions
) -> RealBenchmarkDefinition:
    relations = options.get("constraints", ())
    if not isinstance(space, SearchSpace) or relations:
        kept = space.constraints if isinstance(space, SearchSpace) else ()
        space = SearchSpace(space, (*kept, *relations))
    return RealBenchmarkDefinition(
        name=name,
        script=place,
        space=space,
        metrics=metrics,
        n_workers=options.get("n_workers", 4),
        **_resource(options.get("resource"), options.get("replicates")),
        max_resource=options.get("max_resource"),
        max_resource_attr=options.get("max_resource_attr"),
        argument_style=options.get("argument_style", "list"),
        inputs=options.get("inputs", {}),
        environment=options.get("environment", {}),
        dependencies=tuple(str(Path(path).absolute()) for path in options.get("dependencies", ())),
        instance_count=options.get("instance_count", 1),
    )


def _resource(name: str | None, replicates: int | Replicates | None) -> dict[str, Any]:
    """Fields of a benchmark: the key of its resource, or its replicates."""
    if replicates is None:
        return {"resource_attr": name}
    if isinstance(replicates, int):
        replicates = Replicates(n=replicates)
    return {"replicates": replicates if name is None else replace(replicates, attr=name)}


def _limits(options: TuneOptions) -> Limits:
    fields: dict[str, Any] = {}
    given: dict[str, str] = {}
    for option, field in _LIMITS.items():
        if option in options:
            if field in given:
                raise SettingsError(f"{option} is another name of {given[field]}: give one of them")
            given[field] = option
            fields[field] = options[option]
    return Limits(**fields)


def _with_trial_time(config: BackendConfig, seconds: float) -> BackendConfig:
    if not hasattr(config, "max_trial_time"):
        raise SettingsError(f"max_trial_time is for the local backend, not for {config.backend_name}")
    return replace(config, max_trial_time=seconds)  # pyright: ignore[reportCallIssue] - it has the field


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


tune_function = tune
"""Former name."""
