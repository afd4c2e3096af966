"""Settings of the SageMaker backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tunewright.exceptions import SettingsError

KEEP_ALIVE_MAX: Final = 3600
"""Longest keep-alive that every account has (default quota "Keep-alive for cluster reuse")."""

MAX_RUN_MAX: Final = 28 * 24 * 3600
"""The service's longest MaxRuntimeInSeconds."""

_UNSUPPORTED: Final[Mapping[str, str]] = {
    "EnableManagedSpotTraining": "spot instances restart a job under its own name",
    "RetryStrategy": "the service would restart a job under its own name; failed jobs are retried anyway",
    "CheckpointConfig": "the runner stores checkpoints itself",
}
"""Fields that a request template must not hold, and why."""


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
    instance_count: int = 1
    """Instances of each job; a hyperparameter ``instance_count`` or ``st_instance_count`` wins."""
    volume_gb: int = 30
    warm_pool: bool = False
    """Keep instances between trials: needs a quota "... for training warm pool usage"."""
    keep_alive_seconds: int = 600
    """How long an idle instance is kept, and billed."""
    max_run_seconds: int = 24 * 3600
    """Longest time of one job; one that takes longer fails."""
    role: str | None = None
    """ARN or name; None: found (see :func:`tunewright.aws.find_role`)."""
    bucket: str | None = None
    """None: ``sagemaker-{region}-{account}``, made where it is missing."""
    image_uri: str | None = None
    """None: the image of AWS for ``framework``."""
    framework: str = "pytorch"
    framework_version: str = "2.6"
    request_template: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """A CreateTrainingJob request that is merged under ours: for every field that these settings do not name."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the jobs' environment."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
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
        self._check_range("max_retries", self.max_retries, 0, None)
        if not self.instance_type.startswith("ml."):
            raise SettingsError(
                f"instance_type is a SageMaker type such as ml.c5.xlarge, not {self.instance_type!r}"
            )
        if self.until_as_max_resource and not self.max_resource_attr:
            raise SettingsError("until_as_max_resource needs max_resource_attr: the hyperparameter to set")
        for name, reason in _UNSUPPORTED.items():
            if self.request_template.get(name):
                raise SettingsError(f"request_template must not hold {name}: {reason}")

    @property
    def keep_alive(self) -> int:
        """KeepAlivePeriodInSeconds of each job; 0 without warm pool."""
        return self.keep_alive_seconds if self.warm_pool else 0

    def _check_range(self, name: str, value: int, low: int, high: int | None) -> None:
        if value < low or (high is not None and value > high):
            bounds = f"at least {low}" if high is None else f"from {low} to {high}"
            raise SettingsError(f"{name} must be {bounds}, not {value}")
