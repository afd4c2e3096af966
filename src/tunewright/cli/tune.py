"""``tunewright tune`` and ``resume``: any script or function, any method, any backend, no Python needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, final

from cyclopts import App
from cyclopts.types import NonNegativeInt, PositiveInt

from tunewright.aws import ServiceError, choose_bucket, open_session, resolve_endpoint
from tunewright.backends.plugin import BackendConfig, BenchmarkDefinition, backend_names, find_backend
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.cli.confirm import settle, show_dry_run
from tunewright.cli.exits import say
from tunewright.cli.flags import (
    ConfirmFlags,
    FileFlags,
    LaunchFlags,
    OutputFlags,
    RunFlags,
    ScriptFlags,
    TunerFlags,
    WorkerFlags,
    backend_table,
    explain_backend_flag,
)
from tunewright.cli.launch import begin, run_and_report, without_result
from tunewright.cli.launch_remote import launch_experiment, tuning_job_records
from tunewright.cli.output import set_up_logging, watch_progress
from tunewright.cli.parsing import chosen_value, record_app
from tunewright.cli.records import POSITIONAL, Given, RecordCommand, flag_names, pairs
from tunewright.exceptions import BackendError, SettingsError, UnfitError, nearest_hint
from tunewright.experiments import Experiment, ExperimentPlan, Limits, MethodSpec, method, resume_experiment
from tunewright.experiments.known_results import KnownTrial, tried_in_space
from tunewright.experiments.remote_marker import read_marker
from tunewright.experiments.tuning import name_of_place, place_of
from tunewright.formatting import plural
from tunewright.journal import read_events
from tunewright.methods import aliases, also_read, find_method, method_names
from tunewright.metric import metrics_from
from tunewright.remote.mirror import fetch_mirrored
from tunewright.replicates import Replicates
from tunewright.runner.contract import BucketTerms
from tunewright.space import SearchSpace, load_space
from tunewright.state import replay_history
from tunewright.storage import ExperimentFolder, experiments, find_experiment
from tunewright.transfer.reading import read_evaluations, read_past

DEFAULT_BACKEND: Final = "local"
DEFAULT_WORKERS: Final = 4


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TuneFlags:
    """The tuned script."""

    script: str = field(metadata=POSITIONAL)
    """Path of a script, or module:name of a function."""
    space: str = field(metadata={"metavar": "FILE.toml"})
    """TOML file with one table per hyperparameter."""
    metric: tuple[str, ...] = field(metadata={"metavar": "METRIC"})
    """Reported value that is tuned; several with commas or by repetition."""
    goal: tuple[str, ...] = field(default=(), metadata={"metavar": "{min,max}"})
    """Of the metric; with several metrics one for all, or one for each (default: min, but required for a metric such as accuracy)."""
    resource: str | None = field(default=None, metadata={"metavar": "NAME"})
    """Key of the resource in reports, such as epoch (default: reports are counted)."""
    max_resource: PositiveInt | None = None
    """Resource of a full run."""
    max_resource_attr: str | None = field(default=None, metadata={"metavar": "NAME"})
    """The script's argument that gets the resource of a full run."""
    replicates: PositiveInt | None = None
    """Seeds or folds of each trial, reported one by one: their mean is its value, --resource the key of their number."""
    significance: float | None = None
    """P-value up to which replicates worse than the best trial's stop a trial; 0: never (default: 0.25)."""

    def resource_fields(self) -> dict[str, Any]:
        """Fields of a benchmark: the key of its resource, or its replicates.

        Raises
        ------
        SettingsError
            A value cannot work.
        """
        if self.replicates is None:
            if self.significance is not None:
                raise SettingsError("--significance needs --replicates")
            return {"resource_attr": self.resource}
        replicates = Replicates(n=self.replicates, attr=self.resource)
        if self.significance is not None:
            replicates = replace(replicates, significance=self.significance)
        return {"replicates": replicates}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFlags:
    """The method and its settings."""

    method: str = "RandomSearch"
    """Name of a method: see tunewright methods."""
    settings: tuple[str, ...] = field(default=(), metadata={"flag": "set", "metavar": "NAME=VALUE"})
    """A setting of the method: see tunewright methods NAME; may be repeated."""
    seed: NonNegativeInt = 0
    """Of all random numbers."""

    def spec(self) -> MethodSpec:
        """The chosen method.

        Raises
        ------
        SettingsError
            It is unknown, or a setting is not valid.
        """
        return method(self.method, **pairs("set", self.settings))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentFlags:
    """The experiment."""

    backend: str = DEFAULT_BACKEND
    """Backend of the trials."""
    experiment_tag: str | None = None
    """Name shared by the experiments that belong together (default: the script's name)."""
    resume: bool = False
    """Skip the experiment if it is finished under this tag, continue it if it was interrupted."""
    remote: bool = False
    """Run the tuner in a job of its own: a training job (see tunewright remote), or one of the backend's engine."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeFlags:
    """The experiment that continues."""

    experiment: str = field(metadata=POSITIONAL)
    """Name, unique beginning of a name, or path of the folder."""
    space: str | None = field(default=None, metadata={"metavar": "FILE.toml"})
    """TOML file of a changed search space: a new experiment begins with the earlier results that fit it."""
    yes: bool = False
    """Do not ask before something that costs money is created."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorFlags:
    """The copy in S3 of an experiment that another machine began."""

    journal: Literal["local", "s3"] = "local"
    """s3: get an experiment of another machine, which was begun with --journal s3, from S3 first."""
    endpoint: str | None = field(default=None, metadata={"metavar": "NAME|URL"})
    """aws, embedded or a URL (default: aws)."""
    region: str | None = None
    """AWS region (default: as boto3 finds it)."""
    profile: str | None = None
    """Profile of the AWS configuration (default: $AWS_PROFILE)."""
    assume_role: str | None = field(default=None, metadata={"metavar": "ARN"})
    """Role whose rights all requests have, by its ARN."""
    bucket: str | None = None
    """Bucket of the experiment (default: sagemaker-REGION-ACCOUNT)."""
    bucket_owner: str | None = field(default=None, metadata={"metavar": "ACCOUNT"})
    """Account that must own --bucket, 12 digits."""

    def fetch(self, name: str) -> ExperimentFolder:
        """Download an experiment unless it is on this machine.

        Raises
        ------
        SettingsError
            It is not in S3, or cannot be continued here.
        BackendError
            The service does not answer.
        """
        known = next((folder for folder in experiments() if folder.name == name), None)
        if known is not None:
            return known
        session = open_session(
            resolve_endpoint(
                self.endpoint or "aws", region=self.region, profile=self.profile, assume_role=self.assume_role
            )
        )
        try:
            bucket = choose_bucket(session, self.bucket, BucketTerms(owner=self.bucket_owner or ""))
            return fetch_mirrored(session, bucket, name)
        except ServiceError as error:
            raise BackendError(f"The experiment cannot be read from S3 ({error})") from error
        finally:
            session.close()


def app_for(tokens: Sequence[str], *, all_backends: bool = False) -> App:
    """Make the app of ``tunewright tune``, with the flags of the backend that a command line names.

    Parameters
    ----------
    tokens
        The command line.
    all_backends
        Take the flags of all backends and of tuning jobs, for the completion of a shell.

    Raises
    ------
    UnknownNameError
        No installed package has such a backend.
    """
    backend, is_remote = chosen_value(tokens, "backend") or DEFAULT_BACKEND, _is_remote(tokens)
    config = find_backend(backend).config
    groups: dict[str, Sequence[type]] = {
        "Script": [TuneFlags, ScriptFlags],
        "Method": [MethodFlags],
        "Experiment": [ExperimentFlags, FileFlags],
        "Limits": [WorkerFlags, Limits],
        "Run": [RunFlags, ConfirmFlags, OutputFlags],
        f"Backend {backend}": [config],
    }
    if is_remote or all_backends:
        groups["Tuning job"] = _remote_records(config)
    others = _other_backends(backend) if _asks_help(tokens) or all_backends else []
    if all_backends:
        groups |= {f"Backend {name}": [find_backend(name).config] for name in others}
    command = RecordCommand(
        tune,
        groups,
        explain=lambda name: _explain(name, backend),
        read_table=lambda name, table: _read_table(name, table, backend, chosen_value(tokens, "method")),
        docs={
            "n_workers": f"Trials at the same time (default: {DEFAULT_WORKERS})",
            "backend": f"Backend of the trials: {', '.join([backend, *others])}; each has its own flags",
            "instance_type": "Of each training job; several with commas: if one lacks capacity, the next is taken (default: ml.c5.xlarge)",
            "request_template": "Fields of a CreateTrainingJob request that are merged under ours: a JSON file, or the JSON itself",
            "points": "CSV, JSON or TOML file of the first configurations, also with known results (default: one of all defaults)",
        },
    )
    app = record_app(
        command,
        "tune",
        "Tune a script that takes its hyperparameters as arguments and prints one line per report.",
    )
    more = "".join(f"Flags of --backend {name}: tunewright tune --backend {name} --help\n" for name in others)
    app.help_epilogue = more + ("" if is_remote else "Flags of tuning jobs: tunewright tune --remote --help")
    return app


def _other_backends(backend: str) -> list[str]:
    """Names of the other backends that run scripts."""
    return [
        name for name in backend_names() if name != backend and not find_backend(name).config.is_simulated
    ]


def _asks_help(tokens: Sequence[str]) -> bool:
    return bool({"--help", "-h"} & set(tokens))


def tune(given: Given) -> int:
    """Tune a script; return the exit code.

    Raises
    ------
    SettingsError, SpaceError
        A flag or setting is not valid; nothing was started.
    """
    set_up_logging(is_verbose=given.record(OutputFlags).verbose)
    flags, confirm = given.record(ExperimentFlags), given.record(ConfirmFlags)
    experiment = _experiment(given, flags)
    plan = ExperimentPlan((experiment,)).validated()
    if flags.remote:
        begin(given, flags.experiment_tag)
        return launch_experiment(experiment, given)
    if confirm.dry_run:
        return show_dry_run(experiment)
    plan = plan.map(lambda cell: settle(cell, is_agreed=confirm.yes))
    begin(given, flags.experiment_tag)
    return run_and_report(plan, resume=flags.resume, is_verbose=given.record(OutputFlags).verbose)


def resume(given: Given) -> int:
    """Continue an experiment, with new limits if they are given; return the exit code.

    An experiment is replayed when it continues, so that its space cannot change: with a new space, a new experiment has its results.

    Raises
    ------
    SettingsError, SpaceError
        There is no such experiment, its script is not on this machine, or the new space is not valid or holds none of its trials.
    NoResultError
        It ended without a result.
    """
    flags = given.record(ResumeFlags)
    set_up_logging(is_verbose=given.record(OutputFlags).verbose)
    folder = _found(flags.experiment, given)
    stored = Experiment.from_json(folder.metadata())
    experiment = replace(
        stored,
        benchmark=stored.benchmark.replace(n_workers=given.record(WorkerFlags).n_workers),
        limits=given.over(stored.limits),
    )
    _check_script(folder, experiment)
    if flags.space is not None:
        return _begin_again(folder, _over_space(experiment, load_space(flags.space)), given)
    settle(experiment, is_agreed=flags.yes, is_new=False)
    outcome = resume_experiment(folder, experiment, watch=watch_progress)
    if error := without_result(outcome):
        raise error
    return 0


def _found(experiment: str, given: Given) -> ExperimentFolder:
    """The folder of an experiment, which may be in S3."""
    mirror = given.record(MirrorFlags)
    if mirror.journal == "s3":
        return mirror.fetch(experiment)
    if others := [name for name in flag_names(MirrorFlags) if name in given.values]:
        raise SettingsError(f"--{others[0]} is for experiments of other machines: add --journal s3")
    return find_experiment(experiment)


resume_app = record_app(
    RecordCommand(
        resume,
        {
            "Experiment": [ResumeFlags, MirrorFlags],
            "Limits": [WorkerFlags, Limits],
            "Output": [OutputFlags, FileFlags],
        },
        docs={"n_workers": "Trials at the same time (default: as before)"},
    ),
    "resume",
    "Continue an experiment after a crash or Ctrl-C, or with more time or workers.",
)


def _over_space(experiment: Experiment, space: SearchSpace) -> Experiment:
    """A new experiment over another space. Points to begin with belong to the earlier space."""
    benchmark = experiment.benchmark
    changed: BenchmarkDefinition
    if isinstance(benchmark, RealBenchmarkDefinition):
        is_in_space = benchmark.max_resource_attr in space.constants
        most = None if is_in_space else benchmark.max_resource
        changed = replace(benchmark, space=space, points_to_evaluate=None, max_resource=most)
    else:
        changed = replace(benchmark, search_space=space, points_to_evaluate=None)
    return replace(experiment, benchmark=changed, known_results=())


def _begin_again(folder: ExperimentFolder, experiment: Experiment, given: Given) -> int:
    """Run an experiment over a changed space with the results of the earlier one, and say which trials of it fit."""
    history = replay_history(read_events(folder.journal_path))
    read = also_read(experiment.method, experiment.benchmark, experiment.settings)
    names = [metric.name for metric in (*experiment.benchmark.metrics, *read)]
    known, reasons = tried_in_space(history, experiment.benchmark, names)
    plan = _with_known_results(experiment, known)
    if plan is not None:
        n_others = sum(reasons.values())
        why = ", ".join(f"{reason} ({n})" for reason, n in reasons.items())
        text = f"{len(known)} of its {plural(len(known) + n_others, 'trial')} with results fit the new one and are not trained again"
        text += f"; {n_others} do not: {why}" if reasons else ""
    else:
        plan = ExperimentPlan(
            (replace(experiment, warm_start=(*experiment.warm_start, folder.name)),)
        ).validated()
        text = _learning_text(folder, experiment)
    plan = plan.map(lambda cell: settle(cell, is_agreed=given.record(ResumeFlags).yes))
    say(f"A new experiment begins, since {folder.name} keeps its space: {text}")
    return run_and_report(plan, resume=False, is_verbose=given.record(OutputFlags).verbose)


def _with_known_results(experiment: Experiment, known: Sequence[KnownTrial]) -> ExperimentPlan | None:
    """The experiment with known results; None if there are none, or if its method cannot use them."""
    spec = experiment.method
    is_learning = isinstance(spec, MethodSpec) and find_method(spec.name).needs_evaluations
    if not known or is_learning or experiment.benchmark.replicates is not None:
        return None
    points = tuple(trial.config for trial in known)
    benchmark = experiment.benchmark.replace(points_to_evaluate=points)
    try:
        return ExperimentPlan(
            (replace(experiment, benchmark=benchmark, known_results=tuple(known)),)
        ).validated()
    except UnfitError:
        return None


def _learning_text(folder: ExperimentFolder, experiment: Experiment) -> str:
    """Use of the earlier trials by a method that takes no known results."""
    benchmark, spec = experiment.benchmark, experiment.method
    known = len(read_past(folder).trials)
    fitting = read_evaluations([folder.name], benchmark.space, benchmark.metrics[0]).n_evaluations
    is_learning = isinstance(spec, MethodSpec) and find_method(spec.name).needs_evaluations
    use = f"{experiment.label} learns from them" if is_learning else "the best of them are tried first, again"
    return f"{fitting} of its {plural(known, 'trial')} with a result fit the new one, and {use}"


def _experiment(given: Given, flags: ExperimentFlags) -> Experiment:
    script, run = given.record(TuneFlags), given.record(RunFlags)
    name = name_of_place(script.script)
    benchmark = RealBenchmarkDefinition(
        name=name,
        script=place_of(script.script),
        space=load_space(script.space),
        metrics=metrics_from(list(script.metric), list(script.goal)),
        n_workers=given.record(WorkerFlags).n_workers or DEFAULT_WORKERS,
        **script.resource_fields(),
        max_resource=script.max_resource,
        max_resource_attr=script.max_resource_attr,
    )
    chosen = given.record(MethodFlags)
    spec = chosen.spec()
    read = also_read(spec, benchmark, {})
    tuned, known = run.with_points(given.record(ScriptFlags).apply(benchmark), [value.name for value in read])
    return Experiment(
        tag=flags.experiment_tag or name,
        benchmark=tuned,
        known_results=known,
        method=spec,
        label=spec.name,
        backend=given.record(find_backend(flags.backend).config),
        seed=chosen.seed,
        random_seed=run.random_seed,
        warm_start=run.warm_start,
        max_num_checkpoints=run.max_num_checkpoints,
        callbacks=run.callbacks,
        on_end=run.on_end,
        limits=given.over(Limits()),
        delete_checkpoints=run.delete_checkpoints,
    )


def _check_script(folder: ExperimentFolder, experiment: Experiment) -> None:
    """Refuse an experiment of a tuning job if its script is not on this machine."""
    benchmark, marker = experiment.benchmark, read_marker(folder.path)
    if marker is None or not isinstance(benchmark, RealBenchmarkDefinition):
        return
    try:
        benchmark.check_script()
    except SettingsError:
        raise SettingsError(
            f"{folder.name} ran in the tuning job of {marker.name}, and its script {benchmark.script} is not on this "
            "machine: continue it there, with --resume of the command that launched it"
        ) from None


# --- Flags that depend on others ------------------------------------------------------------------------------------------


def _is_remote(tokens: Sequence[str]) -> bool:
    given = [word.partition("=")[0].replace("-", "_") for word in tokens if word.startswith("--")]
    return "__remote" in given or chosen_value(tokens, "remote") is not None


def _remote_records(config: type[BackendConfig]) -> list[type]:
    if config.runs_tuners:
        return []
    place = [record for record in tuning_job_records(config) if not record.__name__.startswith("Instance")]
    return [LaunchFlags, TunerFlags, *(record for record in place if record is not TunerFlags)]


def _explain(name: str, backend: str) -> str | None:
    """Say why a flag is unknown with this backend."""
    if name in {*flag_names(LaunchFlags), *flag_names(TunerFlags)}:
        return "is a flag of tuning jobs: add --remote"
    return explain_backend_flag(name, backend)


def _read_table(
    name: str, table: Mapping[str, Any], backend: str, chosen_method: str | None
) -> Mapping[str, Any]:
    """Flags of a table in a ``--config`` file: of a backend, or settings of a method."""
    flags = backend_table(name, table, backend)
    if flags is not None:
        return flags
    known = {known: {known, *aliases(known)} for known in method_names()}
    if not any(name in names for names in known.values()):
        near = nearest_hint(name, [*known, *backend_names()])
        hint = near if near.startswith(" Did") else ""
        raise SettingsError(
            f"The table [{name}] of the --config file names neither a backend nor a method.{hint}"
        )
    chosen = chosen_method or MethodFlags().method
    is_chosen = any({name, chosen} <= names for names in known.values())
    return {"set": [f"{key}={value}" for key, value in table.items()]} if is_chosen else {}
