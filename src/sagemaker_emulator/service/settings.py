"""Settings of the emulated service, and durations of a job's phases in service seconds (divided by the speed).

Sources of durations: observed cold starts (100 to 170 s until the image is available), and the provider's published
target for warm starts (under 20 s).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Phase = tuple[str, float]
"""StatusMessage, service seconds."""

LAUNCHING: Final = "Launching requested ML instances"
COLD_START: Final[tuple[Phase, ...]] = (
    ("Starting the training job", 5.0),
    (LAUNCHING, 55.0),
    ("Preparing the instances for training", 40.0),
)
WARM_START: Final[tuple[Phase, ...]] = (
    ("Starting the training job", 2.0),
    ("Preparing the instances for training", 10.0),
)
CAPACITY_RETRY: Final[Phase] = (
    "Insufficient capacity error from EC2 while launching instances, retrying!",
    60.0,
)
"""Interval between two attempts of a spot job to get capacity, until MaxWaitTimeInSeconds."""
DOWNLOADING: Final[Phase] = ("Downloading input data", 5.0)
"""Added to the transfer time of the bytes; only for jobs with channels."""
BYTES_PER_SECOND: Final = 100e6
COLD_IMAGE: Final[Phase] = ("Downloading the training image", 25.0)
WARM_IMAGE: Final[Phase] = ("Downloading the training image", 3.0)
TRAINING_MESSAGE: Final = "Training image download completed. Training in progress."
STOPPING_MESSAGE: Final = "Stopping the training job"
UPLOADING: Final[Phase] = ("Uploading generated training model", 5.0)
STOP_GRACE: Final = 120.0
"""Seconds between SIGTERM and SIGKILL."""
STOP_BEFORE_TRAINING: Final = 5.0
"""Duration of a stop before training."""
MAX_CLUSTER_AGE: Final = 28 * 86400.0
"""Maximum age of a cluster that another job may take over."""
SPOT_PRICE_SHARE: Final = 0.3
"""BillableTimeInSeconds / TrainingTimeInSeconds of a spot job; the real share depends on the market."""
LOG_SECONDS: Final = 5.0
"""Delay between the output of a line and its appearance in the log; not published, 5 to 15 s were observed."""


ACCOUNT_ID = "123456789012"
DEFAULT_QUOTA = 20
"""Default quota of each instance type: enough for a first experiment, small enough to be reached."""

ThrottleMode = Literal["published", "off"]
Preset = Literal["default", "new-account", "strict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Quotas of an account, in instances, and its rules."""

    quota: int
    """Of each instance type."""
    warm_pool_quota: int
    """Of each instance type."""
    total_quota: int | None = None
    """Of all training jobs, and as much again of all spot training jobs; None: no limit, and not listed."""
    job_quota: int | None = None
    """Of one training job; None: no limit, and not listed."""
    lists_defaults: bool = True
    """Whether ListServiceQuotas lists quotas that were not set; the service lists applied values only."""
    has_role: bool = True
    """Whether an execution role exists."""
    is_strict: bool = False
    """Whether roles must exist, permissions are evaluated, and further rules of the service hold."""


ACCOUNTS: Final[Mapping[Preset, Account]] = {
    "default": Account(quota=DEFAULT_QUOTA, warm_pool_quota=DEFAULT_QUOTA),
    "new-account": Account(
        quota=0, warm_pool_quota=0, total_quota=4, job_quota=20, has_role=False, is_strict=True
    ),
    "strict": Account(
        quota=DEFAULT_QUOTA,
        warm_pool_quota=DEFAULT_QUOTA,
        total_quota=100,
        job_quota=DEFAULT_QUOTA,
        lists_defaults=False,
        is_strict=True,
    ),
}
"""``new-account`` has the defaults of a new account, as of lists of 2020 to 2026."""


def usage_quota(instance_type: str, *, is_spot: bool = False) -> str:
    """Name of the quota of an instance type, as in Service Quotas and in errors."""
    return f"{instance_type} for {'spot ' if is_spot else ''}training job usage"


def total_quota(*, is_spot: bool = False) -> str:
    """Name of the quota of all training jobs together."""
    return f"Number of instances across all {'spot ' if is_spot else ''}training jobs"


def job_quota(*, is_spot: bool = False) -> str:
    """Name of the quota of one training job."""
    return f"Maximum number of instances per {'spot ' if is_spot else ''}training job"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Settings of the training-job service.

    Raises
    ------
    ValueError
        A number is out of its range.
    """

    region: str = "us-east-1"
    speed: float = 60.0
    """Service seconds per real second. The training itself always runs in real time."""
    quotas: Mapping[str, int] = field(default_factory=dict[str, int])
    """Instance type -> maximum number of instances in use."""
    warm_pool_quotas: Mapping[str, int] = field(default_factory=dict[str, int])
    """Instance type -> maximum number of warm instances."""
    keep_alive_cap: int = 3600
    """Maximum KeepAlivePeriodInSeconds (the model allows 21600, the default account quota 3600)."""
    throttle: ThrottleMode = "published"
    preset: Preset = "default"
    total_quota: int | None = None
    """Maximum number of instances of all training jobs; None: as of the preset."""
    control_policies: Sequence[Mapping[str, Any]] = ()
    """Service control policies of the account's organization, beside FullAWSAccess."""

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(
                f"speed must be above 0, not {self.speed}: 1 is real time, 60 shows a minute in a second"
            )
        if self.total_quota is not None and self.total_quota < 0:
            raise ValueError(f"total_quota must be 0 or more, not {self.total_quota}")
        if self.control_policies and not self.account.is_strict:
            raise ValueError(
                f"control policies need an account whose permissions are checked, such as strict, not {self.preset}"
            )
        for name, limits in (("quota", self.quotas), ("warm_pool_quota", self.warm_pool_quotas)):
            for instance_type, limit in limits.items():
                if limit < 0:
                    raise ValueError(f"{name} of {instance_type} must be 0 or more, not {limit}")

    def quota(self, instance_type: str) -> int:
        """Maximum number of instances of this type in training jobs and warm pools."""
        return self.quotas.get(instance_type, self.account.quota)

    def warm_pool_quota(self, instance_type: str) -> int:
        """Maximum number of warm instances of this type."""
        return self.warm_pool_quotas.get(instance_type, self.account.warm_pool_quota)

    @property
    def account(self) -> Account:
        """Quotas and rules of the preset."""
        return ACCOUNTS[self.preset]

    @property
    def total(self) -> int | None:
        """Maximum number of instances of all training jobs, or None."""
        return self.account.total_quota if self.total_quota is None else self.total_quota

    def arn(self, job_name: str) -> str:
        """ARN of a training job of this account and region."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT_ID}:training-job/{job_name}"
