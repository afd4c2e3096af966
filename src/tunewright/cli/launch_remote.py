"""``launch_remote`` of an experiment folder, and ``tunewright tune --remote``: experiments in tuning jobs."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from tunewright.aws import prices_at
from tunewright.backends.plugin import BackendConfig, TunerJob
from tunewright.backends.sagemaker import Estimate, JobSettings, estimate
from tunewright.backends.sagemaker.config import SageMakerConfig, SageMakerPlace, TuningJobPlace
from tunewright.backends.sagemaker.plugin import describe_jobs, endpoint_of
from tunewright.backends.sagemaker.settings import instance_types
from tunewright.benchmarks.places import absolute_script
from tunewright.callbacks.plugin import find_callback
from tunewright.cli.confirm import confirm, settle, show_dry_run
from tunewright.cli.exits import run_command, say
from tunewright.cli.flags import (
    ConfirmFlags,
    ExtraArgs,
    InstanceFlags,
    LaunchFlags,
    RunFlags,
    ScriptFlags,
    TunerFlags,
)
from tunewright.cli.launch import (
    Definitions,
    Launch,
    MethodArgsMap,
    Methods,
    PlanFlags,
    begin,
    program_name,
)
from tunewright.cli.parsing import is_flag_file, record_app, run_app
from tunewright.cli.records import Given, RecordCommand, flag_names
from tunewright.cli.slices import RemoteOptions, SliceLaunch, SlicePlan
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, ExperimentPlan
from tunewright.formatting import plural
from tunewright.remote.launch import tuner_folders
from tunewright.remote.package import bundle_remote, check_travels
from tunewright.storage import safe_name, write_atomically
from tunewright.transfer.reading import pack_evaluations

NOT_FORWARDED: Final = frozenset({"dry_run"})
"""Flags without a meaning in a tuning job."""

_WARM_START: Final = "warm_start"
"""Folder of packed evaluations in a tuning job."""
_EXPERIMENT: Final = "experiment.json"
_MAIN: Final = f'''\
"""Run the experiment that is stored beside this file."""

from pathlib import Path

from tunewright.cli.tuning_job import run_stored

if __name__ == "__main__":
    run_stored(Path(__file__).with_name("{_EXPERIMENT}"))
'''


def launch_remote(
    entry_point: str,
    methods: Methods,
    benchmark_definitions: Definitions,
    extra_args: ExtraArgs = (),
    map_method_args: MethodArgsMap | None = None,
    options: RemoteOptions | None = None,
    *,
    backend: str,
    expensive_methods: Collection[str] = (),
    most_seeds: Mapping[str, int] | None = None,
) -> None:
    """Launch the experiments that the command line asks for in tuning jobs, and exit.

    Tuning jobs are SageMaker training jobs, or jobs of the backend's own engine if that runs tuners. Scripts have a tuning job per method and seed. Recorded tables have one per method, expensive methods one per seed.

    Parameters
    ----------
    entry_point
        ``__file__`` of the folder's ``launch_remote.py``, or the path of its ``hpo_main.py``.
    methods, benchmark_definitions, extra_args, map_method_args, backend, most_seeds
        As in the folder's ``hpo_main.py``.
    options
        Dependencies, environment, tags and further fields of the tuning jobs.
    expensive_methods
        Names of methods whose decisions take long.
    """
    path = _entry_path(entry_point)

    def run(tokens: Sequence[str]) -> int:
        launch = Launch(
            methods=methods,
            definitions=benchmark_definitions,
            backend=backend,
            extra_args=extra_args or (),
            map_method_args=map_method_args,
            most_seeds=most_seeds or {},
        ).for_command_line(tokens)
        remote = _RemoteLaunch(launch=launch, path=path, options=options or RemoteOptions())
        return remote.run(tokens, expensive_methods)

    run_command(run)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _RemoteLaunch:
    launch: Launch
    path: Path
    """Of the folder's ``hpo_main.py``."""
    options: RemoteOptions

    def run(self, tokens: Sequence[str], expensive: Collection[str]) -> int:
        command = remote_command(self.launch, lambda given: self._run(given, expensive))
        summary = (
            "Run the experiments of hpo_main.py in SageMaker training jobs of their own, the tuning jobs."
        )
        return run_app(record_app(command, program_name(), summary), tokens)

    def _run(self, given: Given, expensive: Collection[str]) -> int:
        flags, launch_flags, confirm_flags = (
            given.record(PlanFlags),
            given.record(LaunchFlags),
            given.record(ConfirmFlags),
        )
        begin(given, flags.experiment_tag)
        scripts = given.record(ScriptFlags).dependencies
        dependencies = [Path(one) for one in (*self.options.dependencies, *scripts)]
        plan = self._checked(self.launch.plan(given), dependencies)
        if confirm_flags.dry_run:
            return show_dry_run(plan[0])
        if self.launch.config.runs_tuners:
            return self._run_in_engine(given, _groups(plan, expensive))
        packed = pack_warm_start(given.record(RunFlags).warm_start)
        points = _packed_points(given.record(RunFlags).points)
        groups = _groups(plan, expensive)
        instance_type = self._instance_type(given, plan[0])
        at_a_time = min(len(groups), launch_flags.max_parallel_jobs or len(groups))
        place, jobs, work = self._tuning_jobs(given, plan, instance_type, at_a_time)
        code = bundle_remote(
            self.path,
            dependencies,
            tables=sorted({one.table_benchmark.table for one in plan}) if self.launch.is_simulated else [],
            files={**packed, **points},
            extras=needed_extras(given.record(RunFlags)),
            max_mb=None if flags.resume else place.max_code_mb,
        )
        line = f", {at_a_time} at a time," if at_a_time < len(groups) else ""
        say(f"{len(groups)} tuning jobs{line} on {instance_type}, {work}")
        settled = confirm(describe_jobs(place, jobs), is_agreed=confirm_flags.yes)
        inside: dict[str, Any] = {
            "resume": True,
            "warm_start": list(packed),
            "points": next(iter(points), None),
            "seed_per_benchmark": plan[0].seed_per_benchmark,
        }
        if isinstance(settled, SageMakerConfig):
            inside |= {"endpoint": settled.endpoint, "region": settled.region, "yes": True}
            inside |= {"profile": None, "assume_role": None}  # a tuning job has credentials of its own
        slices = SliceLaunch(
            tag=flags.experiment_tag,
            place=settled,
            code=code,
            instance_type=instance_type,
            spot=is_spot(given, self.launch.config),
            max_parallel_jobs=launch_flags.max_parallel_jobs,
            resume=flags.resume,
            wait=launch_flags.wait,
            options=self.options,
            tuner_role=_tuner_role(given, self.launch.config),
        )
        return slices.run(
            [self._slice(given, key, experiments, inside) for key, experiments in groups.items()]
        )

    def _run_in_engine(
        self, given: Given, groups: Mapping[tuple[str, str, int | None], Sequence[Experiment]]
    ) -> int:
        """Run the tuner of each slice as a job of the trials' engine, on the files of this machine."""
        inside = {"resume": True, "yes": True}
        slices = [self._slice(given, key, experiments, inside) for key, experiments in groups.items()]
        for one in slices:
            _check_new(one, is_resumed=given.record(PlanFlags).resume)
        for one in slices:
            settle(one.experiments[0], is_agreed=given.record(ConfirmFlags).yes)
            _launch(one.experiments[0], one.name, [str(self.path), *one.flags])
        return 0

    def _checked(self, plan: ExperimentPlan, dependencies: Sequence[Path]) -> ExperimentPlan:
        """Return the experiments that can run; refuse scripts that a tuning job would not have."""
        if self.launch.is_simulated:
            return plan.validated(skip=say)
        plan = plan.validated()
        if self.launch.config.runs_tuners:
            return plan
        for script in dict.fromkeys(experiment.real_benchmark.script for experiment in plan):
            check_travels(script, self.path, dependencies)
        return plan

    def _instance_type(self, given: Given, first: Experiment) -> str:
        config = self.launch.config
        instance_type = given_instance_type(given, config)
        if instance_type is None and (self.launch.is_simulated or issubclass(config, SageMakerPlace)):
            instance_type = config.tuner_instance_type or None
        if instance_type is None and not self.launch.is_simulated:
            instance_type = first.real_benchmark.instance_type
        if instance_type is None:
            raise SettingsError(f"{first.benchmark.name} names no instance_type: give --instance_type")
        return instance_type

    def _tuning_jobs(
        self, given: Given, plan: Sequence[Experiment], instance_type: str, n_jobs: int
    ) -> tuple[SageMakerPlace, Estimate, str]:
        """Place of the tuning jobs, all jobs that may run at a time (for price and quota), and their work as text."""
        config = plan[0].backend
        if isinstance(config, SageMakerConfig):
            settings = JobSettings(benchmark=plan[0].real_benchmark, config=config)
            work = f"each of which runs trials on {settings.benchmark.n_workers} x {settings.instance_type}"
            plan[0].check_settings()
            return config, estimate(settings, prices_at(endpoint_of(config))).times(n_jobs), work
        work = (
            f"which run {plural(len(plan), 'experiment')}"
            if self.launch.is_simulated
            else f"each of which runs {plural(plan[0].benchmark.n_workers, 'trial')} at a time"
        )
        place = given.record(TuningJobPlace)
        return place, _tuning_jobs(place, instance_type, n_jobs), work

    def _slice(
        self,
        given: Given,
        key: tuple[str, str, int | None],
        experiments: Sequence[Experiment],
        inside: Mapping[str, Any],
    ) -> SlicePlan:
        label, benchmark, seed = key
        config = [text for text in given.values.get("config", ()) if not is_flag_file(text)]
        replaced = {**inside, "method": label, "config": config}
        if not self.launch.is_simulated:
            replaced["benchmark"] = benchmark
        if not self.launch.is_simulated and not self.launch.config.runs_tuners:
            dependencies = given.record(ScriptFlags).dependencies
            replaced["dependencies"] = [Path(one).name for one in dependencies]
        if seed is not None:
            replaced |= {"start_seed": seed, "num_seeds": 1}
        flags = given.command_line(forwarded_names(self.launch), replaced)
        if not self.launch.is_simulated:
            return SlicePlan.of(experiments[0], flags)
        name = safe_name(label if seed is None else f"{label}-{seed}")
        return SlicePlan(experiments=experiments, flags=flags, name=name, seed=seed, is_simulated=True)


def _tuning_jobs(place: SageMakerPlace, instance_type: str, n_jobs: int) -> Estimate:
    """Estimate of tuning jobs whose trials are no training jobs."""
    types = instance_types(instance_type)
    price = prices_at(endpoint_of(place)).get(types[0])
    return Estimate(
        instance_types=types, n_instances=n_jobs, price=None if price is None else price.times(n_jobs)
    )


def remote_command(launch: Launch, run: Callable[[Given], int]) -> RecordCommand:
    """Make the command of ``launch_remote.py``: the flags of ``hpo_main.py``, and those of tuning jobs."""
    if launch.config.runs_tuners:
        return launch.command(run)
    return launch.command(run, {"Tuning jobs": [LaunchFlags, *tuning_job_records(launch.config)]})


def forwarded_names(launch: Launch) -> list[str]:
    """Flags that the ``hpo_main.py`` of a tuning job gets if they are given."""
    return [name for name in launch.command(_no_run).defaults if name not in NOT_FORWARDED]


def tuning_job_records(config: type[BackendConfig]) -> list[type]:
    """Records of the flags of tuning jobs whose trials run with a backend."""
    if issubclass(config, SageMakerPlace):
        return [TunerFlags]
    is_taken = bool({"instance_type", "spot"} & set(flag_names(config)))
    return [TunerFlags if is_taken else InstanceFlags, TuningJobPlace]


def given_instance_type(given: Given, config: type[BackendConfig]) -> str | None:
    """Instance type of the tuning jobs, if a flag names it."""
    if TunerFlags in tuning_job_records(config):
        return given.record(TunerFlags).tuner_instance_type
    return given.record(InstanceFlags).instance_type


def is_spot(given: Given, config: type[BackendConfig]) -> bool:
    """Whether the tuning jobs run on spot instances."""
    if TunerFlags in tuning_job_records(config):
        return given.record(TunerFlags).tuner_spot
    return given.record(InstanceFlags).spot


def _tuner_role(given: Given, config: type[BackendConfig]) -> str | None:
    """Role of the tuning jobs, if it is not that of the trials."""
    return given.record(TunerFlags).tuner_role if TunerFlags in tuning_job_records(config) else None


def launch_experiment(experiment: Experiment, given: Given) -> int:
    """Launch one experiment as a tuning job, without an experiment folder; return the exit code.

    Parameters
    ----------
    experiment
        The experiment; its method is a named one.
    given
        Flags of the command line.

    Raises
    ------
    SettingsError
        It cannot run, or its script is not a file.
    BackendError
        The service cannot be used.
    """
    benchmark, confirm_flags = experiment.real_benchmark, given.record(ConfirmFlags)
    if experiment.backend.runs_tuners:
        _check_new(SlicePlan.of(experiment, ()), is_resumed=given.record(PlanFlags).resume)
        return _launch_in_engine(experiment, is_agreed=confirm_flags.yes)
    script = Path(benchmark.script)
    if not script.is_file():
        raise SettingsError(f"--remote takes the path of a script, not {benchmark.script!r}")
    tuner, launch_flags = given.record(TunerFlags), given.record(LaunchFlags)
    instance_type = tuner.tuner_instance_type or experiment.backend.tuner_instance_type
    if not instance_type:
        raise SettingsError(f"--remote does not support the {experiment.backend.backend_name} backend")
    experiment = settle(experiment, is_agreed=confirm_flags.yes)
    if isinstance(experiment.backend, SageMakerPlace):  # trials and tuning job run in one place
        place: SageMakerPlace = experiment.backend
    else:
        tuning_job = given.record(TuningJobPlace)
        description = describe_jobs(tuning_job, _tuning_jobs(tuning_job, instance_type, 1))
        place = confirm(description, is_agreed=confirm_flags.yes)
    folder = script.resolve().parent
    packed = pack_warm_start(experiment.warm_start)
    inside = replace(_inside(experiment, f"{folder.name}/{script.name}"), warm_start=tuple(packed))
    dependencies = [folder, *map(Path, given.record(ScriptFlags).dependencies)]
    with tempfile.TemporaryDirectory() as scratch:
        entry = Path(scratch, "hpo_main.py")
        entry.write_text(_MAIN, encoding="utf-8")
        entry.with_name(_EXPERIMENT).write_text(json.dumps(inside.to_json()), encoding="utf-8")
        slices = SliceLaunch(
            tag=experiment.tag,
            place=place,
            code=bundle_remote(
                entry,
                dependencies,
                files=packed,
                extras=needed_extras(given.record(RunFlags)),
                max_mb=None if given.record(PlanFlags).resume else place.max_code_mb,
            ),
            instance_type=instance_type,
            spot=tuner.tuner_spot,
            max_parallel_jobs=launch_flags.max_parallel_jobs,
            resume=given.record(PlanFlags).resume,
            wait=launch_flags.wait,
            tuner_role=tuner.tuner_role,
        )
        return slices.run([SlicePlan.of(experiment, ())])


def _launch_in_engine(experiment: Experiment, *, is_agreed: bool) -> int:
    """Run the tuner of one experiment as a job of the trials' engine, on the files of this machine."""
    experiment = settle(experiment, is_agreed=is_agreed)
    benchmark = experiment.real_benchmark
    benchmark = benchmark.replace(
        script=absolute_script(benchmark.script),
        dependencies=tuple(str(Path(one).absolute()) for one in benchmark.dependencies),
    )
    name = SlicePlan.of(experiment, ()).name
    main = tuner_folders(experiment.tag) / name / "hpo_main.py"
    main.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(main, _MAIN)
    stored = replace(experiment, benchmark=benchmark).to_json()
    write_atomically(main.with_name(_EXPERIMENT), json.dumps(stored))
    _launch(experiment, name, [str(main)])
    return 0


def _check_new(plan: SlicePlan, *, is_resumed: bool) -> None:
    """Raise an error for a slice that was launched before, unless it is resumed."""
    tag = plan.experiments[0].tag
    if (tuner_folders(tag) / plan.name).exists() and not is_resumed:
        raise SettingsError(
            f"Launched before under the tag {tag}: {plan.name}. Continue with --resume, or give another --experiment_tag"
        )


def _launch(experiment: Experiment, name: str, command: Sequence[str]) -> None:
    """Run a Python program as a tuner's job of an engine."""
    tuner = TunerJob(
        name=safe_name(f"tuner-{experiment.tag}-{name}"),
        command=(sys.executable, *command),
        cwd=Path.cwd(),
        folder=tuner_folders(experiment.tag) / name,
    )
    say(experiment.plugin.launch(experiment.backend, tuner))
    say(
        f"Follow it with: tunewright list --experiment_tag {experiment.tag}, tunewright dashboard {experiment.tag}"
    )


def pack_warm_start(sources: Sequence[str]) -> dict[str, bytes]:
    """Pack the evaluations of earlier experiments as files, by the names that ``--warm_start`` takes in a tuning job.

    Of each trial that did not fail they hold its configuration and newest result, as JSON under the checksum of the
    content.

    Raises
    ------
    SettingsError
        A source does not exist.
    JournalError
        A journal is damaged.
    """
    packed = dict(pack_evaluations(source) for source in dict.fromkeys(sources))
    if packed:
        n_bytes = sum(map(len, packed.values()))
        say(f"Earlier experiments are uploaded: {', '.join(packed)}, {n_bytes:,} bytes")
    return {f"{_WARM_START}/{name}": content for name, content in packed.items()}


def _packed_points(path: str | None) -> dict[str, bytes]:
    """The file of ``--points`` by the path that a tuning job gives as ``--points``; empty without one."""
    return {} if path is None else {f"points/{Path(path).name}": Path(path).read_bytes()}


def needed_extras(flags: RunFlags) -> list[str]:
    """Extras of this package that the flags need in a tuning job."""
    extras = (find_callback(config.callback_name).extra for config in flags.callbacks)
    return [extra for extra in extras if extra]


def _entry_path(entry_point: str) -> Path:
    """The folder's ``hpo_main.py``, from ``__file__`` of its ``launch_remote.py`` or its own path."""
    path = Path(entry_point).resolve()
    return path.with_name("hpo_main.py") if path.name == "launch_remote.py" else path


def _groups(
    plan: Sequence[Experiment], expensive: Collection[str]
) -> dict[tuple[str, str, int | None], list[Experiment]]:
    """Experiments of each tuning job, by the method's label, the benchmark (of scripts) and the seed."""
    groups: dict[tuple[str, str, int | None], list[Experiment]] = {}
    for experiment in plan:
        if experiment.backend.is_simulated:
            key = experiment.label, "", experiment.seed if experiment.label in expensive else None
        else:
            key = experiment.label, experiment.benchmark.name, experiment.seed
        groups.setdefault(key, []).append(experiment)
    return groups


def _inside(experiment: Experiment, script: str) -> Experiment:
    """The experiment with the paths of the tuning job."""
    benchmark = experiment.real_benchmark
    names = tuple(Path(one).name for one in benchmark.dependencies)
    backend = experiment.backend
    if isinstance(backend, SageMakerConfig):  # a tuning job has credentials of its own
        backend = replace(backend, profile=None, assume_role=None)
    return replace(
        experiment, benchmark=benchmark.replace(script=script, dependencies=names), backend=backend
    )


def _no_run(given: Given) -> int:
    del given
    return 0
