"""From a choice to the backend: the one place where backends are built."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tunewright.aws import REMOTE_VARIABLE, Endpoint, open_session, resolve_endpoint
from tunewright.backends.local import LocalBackend, LocalSettings
from tunewright.backends.sagemaker import SageMakerBackend, SageMakerSettings, TrainingScript, dry_run
from tunewright.backends.sagemaker.requests import merge
from tunewright.backends.sagemaker.workers import WorkersBackend, WorkerSettings, dry_run_workers
from tunewright.backends.simulated import SimulatedBackend
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.benchmarks.simulated import simulate
from tunewright.exceptions import SettingsError
from tunewright.experiments.choices import (
    WORKERS,
    LocalChoice,
    SageMakerChoice,
    ScriptOptions,
    SimulatedChoice,
)
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.packages import shared_packages
from tunewright.interfaces import Backend
from tunewright.journal import read_events
from tunewright.runner.run_order import AS_CONFIG_JSON, AS_LIST
from tunewright.state import replay_history
from tunewright.storage import ExperimentFolder, safe_name
from tunewright.trial import Start

_STOP_SECONDS: Final = 80.0
"""Of the two minutes that a stopped tuning job has, what its trials' jobs may take to end; then pools are released."""


def build_backend(experiment: Experiment, folder: ExperimentFolder) -> Backend:
    """Build the backend of an experiment; nothing is started yet.

    Raises
    ------
    SettingsError
        A setting cannot work, or the script is not there.
    BackendError, MissingExtraError
        The backend cannot work at all.
    """
    choice = experiment.backend
    if isinstance(choice, SimulatedChoice):
        return _simulated(experiment, choice, folder)
    if isinstance(choice, SageMakerChoice):
        return _sagemaker(experiment.real_benchmark, choice, folder.name)
    return _local(experiment.real_benchmark, choice, folder)


def sagemaker_settings(benchmark: RealBenchmarkDefinition, choice: SageMakerChoice) -> SageMakerSettings:
    """How the trials of a benchmark become training jobs.

    Raises
    ------
    SettingsError
        A setting cannot work.
    """
    default = SageMakerSettings()
    script = choice.script
    template = merge(benchmark.request_template, merge(choice.request_template, _channels(script.inputs)))
    return SageMakerSettings(
        n_workers=benchmark.n_workers,
        instance_types=_instance_types(
            choice.instance_type or benchmark.instance_type or default.instance_type
        ),
        instance_count=benchmark.instance_count,
        channel=choice.channel,
        network_isolation=choice.network_isolation,
        warm_pool=choice.warm_pool,
        spot=choice.spot,
        max_wait_seconds=choice.max_wait,
        role=choice.role,
        bucket=choice.bucket,
        image_uri=choice.image_uri,
        framework=benchmark.framework,
        volume_gb=choice.volume_gb or default.volume_gb,
        close_seconds=_STOP_SECONDS if REMOTE_VARIABLE in os.environ else default.close_seconds,
        max_run_seconds=choice.max_run or default.max_run_seconds,
        tags=choice.tags,
        request_template=template,
        environment={**benchmark.environment, **script.environment},
        arguments=AS_CONFIG_JSON if script.config_json else AS_LIST,
        max_resource_attr=benchmark.max_resource_attr or "",
        until_as_max_resource=benchmark.until_as_max_resource,
    )


def _instance_types(given: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in given.split(",") if one.strip())


def _channels(inputs: Mapping[str, str]) -> dict[str, Any]:
    """Input channels of a training job.

    Raises
    ------
    SettingsError
        A place is not in S3.
    """
    for name, uri in inputs.items():
        if not uri.startswith("s3://"):
            raise SettingsError(
                f"The input {name} of a training job lies in S3: give s3://bucket/prefix, not {uri!r}"
            )
    channels = [
        {
            "ChannelName": name,
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": uri,
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
        }
        for name, uri in inputs.items()
    ]
    return {"InputDataConfig": channels} if channels else {}


def sagemaker_endpoint(choice: SageMakerChoice) -> Endpoint:
    """Where requests go. Nothing is started, no request is made.

    Raises
    ------
    SettingsError
        The endpoint, its region or speed cannot be.
    """
    return resolve_endpoint(choice.endpoint, speed=choice.speed, region=choice.region)


def first_request(experiment: Experiment, choice: SageMakerChoice) -> Mapping[str, Any]:
    """The CreateTrainingJob request of an experiment's first trial; nothing is created.

    Raises
    ------
    SettingsError
        The experiment cannot run.
    BackendError
        On AWS: there are no credentials, or no role.
    """
    first = experiment.build_scheduler().suggest(replay_history(()))
    if not isinstance(first, Start):
        raise SettingsError(f"{experiment.label} has nothing to start: is the space empty?")
    script = _script(experiment.real_benchmark, choice)
    if choice.execution == WORKERS:
        return dry_run_workers(
            script,
            experiment=safe_name(experiment.tag),
            endpoint=sagemaker_endpoint(choice),
            settings=sagemaker_settings(experiment.real_benchmark, choice),
            workers=_worker_settings(choice),
        )
    return dry_run(
        script,
        first.config,
        experiment=safe_name(experiment.tag),
        endpoint=sagemaker_endpoint(choice),
        settings=sagemaker_settings(experiment.real_benchmark, choice),
        until=first.until,
    )


def _script(benchmark: RealBenchmarkDefinition, choice: SageMakerChoice) -> TrainingScript:
    return TrainingScript(
        path=benchmark.script,
        resource_attr=benchmark.resource_attr or "",
        dependencies=_dependencies(benchmark, choice.script),
    )


def _sagemaker(benchmark: RealBenchmarkDefinition, choice: SageMakerChoice, name: str) -> Backend:
    endpoint = sagemaker_endpoint(choice)
    settings = sagemaker_settings(benchmark, choice)
    settings = replace(settings, environment={**shared_packages(endpoint), **settings.environment})
    session = open_session(endpoint)
    try:
        script = _script(benchmark, choice)
        if choice.execution == WORKERS:
            return WorkersBackend(
                script,
                experiment=name,
                session=session,
                settings=settings,
                workers=_worker_settings(choice),
            )
        return SageMakerBackend(script, experiment=name, session=session, settings=settings)
    except BaseException:
        session.close()
        raise


def _worker_settings(choice: SageMakerChoice) -> WorkerSettings:
    return WorkerSettings(trials_per_instance=choice.trials_per_instance)


def _simulated(experiment: Experiment, choice: SimulatedChoice, folder: ExperimentFolder) -> SimulatedBackend:
    return simulate(
        experiment.table_benchmark,
        seed=experiment.effective_seed,
        settings=choice.settings(),
        past=read_events(folder.journal_path),
    ).backend


def _local(benchmark: RealBenchmarkDefinition, choice: LocalChoice, folder: ExperimentFolder) -> LocalBackend:
    settings = LocalSettings(
        n_workers=benchmark.n_workers,
        resource_attr=benchmark.resource_attr or "",
        max_resource_attr=benchmark.max_resource_attr or "",
        until_as_max_resource=benchmark.until_as_max_resource,
        environment={**benchmark.environment, **choice.script.environment},
        import_paths=_folders_of(_dependencies(benchmark, choice.script)),
        channels={name: _folder(name, path) for name, path in choice.script.inputs.items()},
        arguments=AS_CONFIG_JSON if choice.script.config_json else AS_LIST,
        gpus=choice.gpus,
        gpus_per_trial=choice.gpus_per_trial,
    )
    return LocalBackend(benchmark.script, folder=folder.trials_path, settings=settings)


def _dependencies(benchmark: RealBenchmarkDefinition, options: ScriptOptions) -> tuple[str, ...]:
    """What the benchmark's script imports from beside itself, then what the user adds."""
    return (*benchmark.dependencies, *options.dependencies)


def _folders_of(dependencies: Sequence[str]) -> tuple[Path, ...]:
    """The folders from which processes import them, each once."""
    return tuple(dict.fromkeys(Path(one).absolute().parent for one in dependencies))


def _folder(name: str, path: str) -> Path:
    """An input folder of processes.

    Raises
    ------
    SettingsError
        It is not there.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise SettingsError(f"The input {name} of a process is a folder on this machine: there is no {path}")
    return folder
