"""Settings of the SageMaker backend's training jobs: those of the benchmark and those of the user's config together."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

from tunewright.aws import REMOTE_VARIABLE
from tunewright.backends.sagemaker.config import LOGS, MAX_RUN_MAX, S3, SageMakerConfig
from tunewright.backends.sagemaker.template import build_template
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError

SPOT_WAIT_SECONDS: Final = 24 * 3600
"""Default seconds that a spot job may take beyond its maximum run time."""

_INSTANCE_TYPE: Final = "ml.c5.xlarge"
_VOLUME_GB: Final = 30
_MAX_RUN: Final = 24 * 3600
_STOP_SECONDS: Final = 80.0
"""Time for the trials' jobs to end, out of the two minutes that a stopped tuning job has; then pools are released."""
_WORKERS_OF_A_SHARD: Final = 1000
"""S3 takes 3,500 writes a second under a prefix: three reports a second of so many workers, and some room."""
_OWN_CHECKPOINTS: Final = "/opt/ml/checkpoints"
"""The folder of a job whose content the runner stores."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """Settings of the training jobs of a benchmark's trials. Durations are in service seconds.

    Raises
    ------
    SettingsError
        A setting cannot work; the message names it.
    """

    benchmark: RealBenchmarkDefinition
    config: SageMakerConfig = SageMakerConfig()
    types: tuple[str, ...] = field(init=False)
    """All instance types that will do, the preferred one first."""
    request_template: Mapping[str, Any] = field(init=False)
    """CreateTrainingJob request that is merged under ours: the benchmark's, the user's, inputs, VPC and keys."""
    network_isolation: bool = field(init=False)
    """Whether jobs reach no network, S3 included."""
    channel: str = field(init=False)
    """Channel between jobs and tuner: ``"s3"`` or ``"logs"``."""

    def __post_init__(self) -> None:
        benchmark, config = self.benchmark, self.config
        given = config.instance_type or benchmark.instance_type or _INSTANCE_TYPE
        template = build_template(benchmark, config)
        is_isolated = config.network_isolation or bool(template.get("EnableNetworkIsolation"))
        settled = {
            "types": instance_types(given),
            "request_template": template,
            "network_isolation": is_isolated,
            "channel": config.channel or (LOGS if is_isolated else S3),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        if benchmark.until_as_max_resource and not benchmark.max_resource_attr:
            raise SettingsError("until_as_max_resource needs max_resource_attr: the hyperparameter to set")
        self._check_secrets()
        self._check_spot()
        self._check_channel()
        self._check_template()

    @property
    def instance_type(self) -> str:
        """The preferred instance type; a hyperparameter ``instance_type`` or ``st_instance_type`` of the space wins."""
        return self.types[0]

    def on(self, instance_type: str) -> JobSettings:
        """The same settings with one of the types alone."""
        return replace(self, config=replace(self.config, instance_type=instance_type))

    @property
    def volume_gb(self) -> int:
        """VolumeSizeInGB of each instance."""
        return self.config.volume_gb or _VOLUME_GB

    @property
    def max_run(self) -> int:
        """MaxRuntimeInSeconds of each job; in workers mode, limit of each run."""
        return self.config.max_run or _MAX_RUN

    @property
    def max_wait(self) -> int:
        """MaxWaitTimeInSeconds of each spot job."""
        given = self.config.max_wait
        return self.max_run + SPOT_WAIT_SECONDS if given is None else given

    @property
    def keep_alive(self) -> int:
        """KeepAlivePeriodInSeconds of each job; 0 without warm pool."""
        return self.config.keep_alive if self.config.warm_pool else 0

    @property
    def close_seconds(self) -> float:
        """Time for jobs to end when the backend is closed; later they are left to the service."""
        return _STOP_SECONDS if REMOTE_VARIABLE in os.environ else self.config.close_seconds

    @property
    def n_report_shards(self) -> int:
        """Prefixes over which reports in S3 are spread."""
        return self.config.report_shards or math.ceil(self.benchmark.n_workers / _WORKERS_OF_A_SHARD)

    @property
    def billed_share(self) -> float:
        """Part of a job's time that is taken to be billed until the service says it."""
        return self.config.spot_price_share if self.config.spot else 1.0

    @property
    def is_restartable(self) -> bool:
        """Whether the service may start a job again under its own name."""
        return self.config.spot or bool(self.request_template.get("RetryStrategy"))

    def _check_secrets(self) -> None:
        both = self.config.secrets.keys() & self.benchmark.environment.keys()
        if both:
            raise SettingsError(
                f"secrets and environment both set {', '.join(sorted(both))}: remove one of them"
            )
        if self.config.secrets and self.network_isolation:
            raise SettingsError("secrets cannot be read by jobs with network_isolation: remove one of them")

    def _check_spot(self) -> None:
        config = self.config
        if not config.spot:
            if config.max_wait is not None:
                raise SettingsError(
                    "max_wait is for spot instances only: choose spot as well, or leave it out"
                )
            return
        if config.warm_pool:
            raise SettingsError("SageMaker keeps no spot instances warm: choose either spot or warm_pool")
        if self.max_wait < self.max_run:
            raise SettingsError(
                f"max_wait must be at least max_run ({self.max_run} s), which it includes, not {self.max_wait}"
            )

    def _check_channel(self) -> None:
        if self.channel not in (S3, LOGS):
            raise SettingsError(f"channel is {S3} or {LOGS}, not {self.channel!r}")
        if self.channel == LOGS:
            self._check_logs()
        elif self.network_isolation:
            raise SettingsError(
                "channel must be logs with network_isolation: an isolated job reaches no S3, where reports and "
                "checkpoints would go. Leave channel out, or use a VPC with an S3 endpoint and no other way out"
            )

    def _check_logs(self) -> None:
        if self.is_restartable:
            raise SettingsError(
                "channel must be s3 with spot or a RetryStrategy: a log does not tell how often the service "
                "has begun a job"
            )
        if self.request_template.get("CheckpointConfig"):
            raise SettingsError(
                "request_template must not hold a CheckpointConfig with the channel logs, whose checkpoints "
                "it brings to S3"
            )

    def _check_template(self) -> None:
        template = self.request_template
        if template.get("EnableManagedSpotTraining"):
            raise SettingsError(
                "request_template must not hold EnableManagedSpotTraining: choose spot instead"
            )
        copied = template.get("CheckpointConfig")
        if copied and str(copied.get("LocalPath") or _OWN_CHECKPOINTS).rstrip("/") == _OWN_CHECKPOINTS:
            raise SettingsError(
                "request_template must not hold a CheckpointConfig of /opt/ml/checkpoints, which the runner "
                "stores itself: give it another LocalPath"
            )


def instance_types(text: str) -> tuple[str, ...]:
    """Instance types of a text with commas.

    Raises
    ------
    SettingsError
        A name is no instance type of SageMaker, or is repeated.
    """
    types = tuple(one.strip() for one in text.split(",") if one.strip())
    for one in types or (text,):
        if not one.startswith("ml."):
            raise SettingsError(f"instance_type is a SageMaker type such as ml.c5.xlarge, not {one!r}")
    if len(set(types)) < len(types):
        raise SettingsError(f"instance_type names a type twice: {', '.join(types)}")
    return types


SHORTEST_JOB: Final = 60
"""Minimum duration of a worker job, in real seconds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Times of worker jobs, and the queue in front of them.

    Raises
    ------
    SettingsError
        A value cannot work; the message names it.
    """

    ahead: int = 0
    """Runs beyond the number of workers that wait for the next free worker: it need not wait for the second or so until its
    run is suggested, posted and found, and they are suggested that much earlier."""
    job_seconds: int = 24 * 3600
    """MaxRuntimeInSeconds of a job; one that takes over is created before that."""
    lease_seconds: float = 60.0
    """Service seconds without a sign of life after which a worker's run goes on elsewhere."""
    shortest_lease: float = 10.0
    """The same, in real seconds at the least."""
    idle_seconds: float = 600.0
    """Service seconds that a job's instances may all be spared before the job is ended."""
    shortest_idle: float = 30.0
    """The same, in real seconds at the least: a suggestion takes its time too."""
    abandon_seconds: float = 600.0
    """Real seconds without a run and without a tuner after which a worker ends."""

    def __post_init__(self) -> None:
        if self.ahead < 0:
            raise SettingsError(f"ahead must not be negative, not {self.ahead}")
        if not SHORTEST_JOB <= self.job_seconds <= MAX_RUN_MAX:
            raise SettingsError(
                f"job_seconds must be from {SHORTEST_JOB} to {MAX_RUN_MAX}, not {self.job_seconds}"
            )
        for name in ("lease_seconds", "shortest_lease", "idle_seconds", "shortest_idle", "abandon_seconds"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} must be positive, not {getattr(self, name)}")

    @property
    def take_seconds(self) -> float:
        """Real seconds of a job after which its workers take no more runs."""
        return self.job_seconds - self._margin

    @property
    def hand_over_seconds(self) -> float:
        """Real seconds of a job after which its runs are ended, to go on elsewhere."""
        return self.job_seconds - self._margin / 2

    @property
    def _margin(self) -> float:
        return min(1200.0, self.job_seconds / 4)
