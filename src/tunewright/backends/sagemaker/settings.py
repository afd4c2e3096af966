"""Settings of the SageMaker backend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tunewright.exceptions import SettingsError

KEEP_ALIVE_MAX: Final = 3600
"""Longest keep-alive that every account has (default quota "Keep-alive for cluster reuse")."""

MAX_RUN_MAX: Final = 28 * 24 * 3600
"""The service's longest MaxRuntimeInSeconds."""

SPOT_WAIT_SECONDS: Final = 24 * 3600
"""Default seconds that a spot job may take beyond ``max_run_seconds``."""

S3: Final = "s3"
"""Reports, requests and checkpoints are S3 objects that the runner reads and writes."""
LOGS: Final = "logs"
"""Reports are lines of the log, checkpoints are copied by the service: jobs need no network."""
CHANNELS: Final = (S3, LOGS)
"""The channels between jobs and tuner."""

_WORKERS_OF_A_SHARD: Final = 1000
"""S3 takes 3,500 writes a second under a prefix: three reports a second of so many workers, and some room."""

_OWN_CHECKPOINTS: Final = "/opt/ml/checkpoints"
"""The folder of a job whose content the runner stores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SageMakerSettings:
    """How trials become training jobs. Durations are in service seconds.

    Raises
    ------
    SettingsError
        A value cannot work; the message names it.
    """

    n_workers: int = 4
    """Training jobs at the same time."""
    instance_type: str = "ml.c5.xlarge"
    """A hyperparameter ``instance_type`` or ``st_instance_type`` of the space wins."""
    instance_types: tuple[str, ...] = ()
    """Several types that will do, in order of preference: if one lacks capacity, or the account's limit for it is
    reached, new jobs take the next for a while. The first is then ``instance_type``."""
    instance_count: int = 1
    """Instances of each job; a hyperparameter ``instance_count`` or ``st_instance_count`` wins."""
    volume_gb: int = 30
    warm_pool: bool = False
    """Keep instances between trials: needs a quota "... for training warm pool usage"."""
    keep_alive_seconds: int = 600
    """How long an idle instance is kept, and billed."""
    max_run_seconds: int = 24 * 3600
    """Longest time of one job; one that takes longer fails."""
    spot: bool = False
    """Run on spot instances: cheaper, and interrupted now and then; runs go on from their checkpoints."""
    max_wait_seconds: int | None = None
    """Longest time of one spot job with its waits for instances, after which it is begun anew; None: a day more than
    ``max_run_seconds``."""
    spot_price_share: float = 0.3
    """Part of the price that a spot instance is taken to cost until the service bills it."""
    role: str | None = None
    """ARN or name; None: found (see :func:`tunewright.aws.find_role`)."""
    bucket: str | None = None
    """None: ``sagemaker-{region}-{account}``, created if it is missing."""
    image_uri: str | None = None
    """None: the image of AWS for ``framework``."""
    framework: str = "pytorch"
    framework_version: str = "2.6"
    request_template: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """A CreateTrainingJob request that is merged under ours: for every field that these settings do not name."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the jobs' environment."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    channel: str | None = None
    """``"s3"`` or ``"logs"``: the channel between jobs and tuner; None: ``"logs"`` if jobs have no network, else ``"s3"``."""
    network_isolation: bool = False
    """Deny jobs the network, S3 included; implied by ``EnableNetworkIsolation`` in the ``request_template``."""
    arguments: str = "list"
    """``"list"``: hyperparameters as ``--name value``; ``"config_json"``: as one JSON file."""
    booleans: str = "value"
    """``"value"``: ``--name True``; ``"flag"``: ``--name`` or nothing."""
    max_resource_attr: str = ""
    """The hyperparameter that holds the maximum resource; needed for ``until_as_max_resource``."""
    until_as_max_resource: bool = False
    """Give each run its ``until`` as the maximum resource, for scripts whose schedules do not depend on it."""
    stop_grace: float = 120.0
    """After that time a job that was asked to end gets StopTrainingJob."""
    close_seconds: float = 300.0
    """How long jobs may take to end when the backend is closed, after which they are left to the service."""
    checkpoint_seconds: float = 60.0
    """Between two checkpoints that a running job stores on its way, in real seconds."""
    report_shards: int | None = None
    """Prefixes over which reports in S3 are spread, each good for 3,500 a second; None: one for every thousand workers,
    so that each worker may report three times a second."""
    max_retries: int = 10
    """Replacements of one run after failures of the service, before it counts as failed."""
    price_per_hour: float | None = None
    """US dollars per instance hour; None: from the table of prices."""
    min_interval: float = 1.0
    """Least real seconds between two looks at the reports, and at the statuses."""

    def __post_init__(self) -> None:
        self._check_range("n_workers", self.n_workers, 1, None)
        self._check_range("instance_count", self.instance_count, 1, None)
        self._check_range("volume_gb", self.volume_gb, 1, None)
        self._check_range("keep_alive_seconds", self.keep_alive_seconds, 1, KEEP_ALIVE_MAX)
        self._check_range("max_run_seconds", self.max_run_seconds, 1, MAX_RUN_MAX)
        if self.report_shards is not None:
            self._check_range("report_shards", self.report_shards, 1, None)
        self._check_range("max_retries", self.max_retries, 0, None)
        if self.instance_types:
            object.__setattr__(self, "instance_type", self.instance_types[0])
        for one in self.types:
            if not one.startswith("ml."):
                raise SettingsError(f"instance_type is a SageMaker type such as ml.c5.xlarge, not {one!r}")
        if len(set(self.types)) < len(self.types):
            raise SettingsError(f"instance_types names a type twice: {', '.join(self.types)}")
        if self.until_as_max_resource and not self.max_resource_attr:
            raise SettingsError("until_as_max_resource needs max_resource_attr: the hyperparameter to set")
        self._check_spot()
        self._check_channel()
        self._check_template()

    @property
    def types(self) -> tuple[str, ...]:
        """All instance types that will do, the preferred one first."""
        return self.instance_types or (self.instance_type,)

    def on(self, instance_type: str) -> SageMakerSettings:
        """The same settings with one of the types alone."""
        return replace(self, instance_type=instance_type, instance_types=())

    @property
    def keep_alive(self) -> int:
        """KeepAlivePeriodInSeconds of each job; 0 without warm pool."""
        return self.keep_alive_seconds if self.warm_pool else 0

    @property
    def n_report_shards(self) -> int:
        """Prefixes over which reports in S3 are spread."""
        return self.report_shards or math.ceil(self.n_workers / _WORKERS_OF_A_SHARD)

    @property
    def max_wait(self) -> int:
        """MaxWaitTimeInSeconds of each spot job."""
        given = self.max_wait_seconds
        return self.max_run_seconds + SPOT_WAIT_SECONDS if given is None else given

    @property
    def billed_share(self) -> float:
        """Part of a job's time that is taken to be billed until the service says it."""
        return self.spot_price_share if self.spot else 1.0

    @property
    def is_restartable(self) -> bool:
        """Whether the service may start a job again under its own name."""
        return self.spot or bool(self.request_template.get("RetryStrategy"))

    def _check_spot(self) -> None:
        if not 0.0 < self.spot_price_share <= 1.0:
            raise SettingsError(
                f"spot_price_share must be above 0 and at most 1, not {self.spot_price_share}"
            )
        if not self.spot:
            if self.max_wait_seconds is not None:
                raise SettingsError(
                    "max_wait is for spot instances only: choose spot as well, or leave it out"
                )
            return
        if self.warm_pool:
            raise SettingsError("SageMaker keeps no spot instances warm: choose either spot or warm_pool")
        if self.max_wait < self.max_run_seconds:
            raise SettingsError(
                f"max_wait must be at least max_run ({self.max_run_seconds} s), which it includes, not {self.max_wait}"
            )

    def _check_channel(self) -> None:
        if self.request_template.get("EnableNetworkIsolation"):
            object.__setattr__(self, "network_isolation", True)
        if self.channel is None:
            object.__setattr__(self, "channel", LOGS if self.network_isolation else S3)
        if self.channel not in CHANNELS:
            raise SettingsError(f"channel is {' or '.join(CHANNELS)}, not {self.channel!r}")
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

    def _check_range(self, name: str, value: int, low: int, high: int | None) -> None:
        if value < low or (high is not None and value > high):
            bounds = f"at least {low}" if high is None else f"from {low} to {high}"
            raise SettingsError(f"{name} must be {bounds}, not {value}")


SHORTEST_JOB = 60
"""Real seconds that a job of workers needs at the least to be worth anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How training jobs become workers.

    Raises
    ------
    SettingsError
        A value cannot work; the message names it.
    """

    trials_per_instance: int | None = None
    """None: one per GPU, and one without GPUs."""
    ahead: int = 0
    """Runs beyond ``n_workers`` that wait for the next free worker: it need not wait for the second or so until its run
    is suggested, posted and found, and they are suggested that much earlier."""
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
        if self.trials_per_instance is not None and self.trials_per_instance < 1:
            raise SettingsError(f"trials_per_instance must be at least 1, not {self.trials_per_instance}")
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
