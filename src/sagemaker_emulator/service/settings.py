"""Settings of the emulated service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ACCOUNT_ID = "123456789012"
DEFAULT_QUOTA = 20
"""Default quota of each instance type: enough for a first experiment, small enough to be reached."""

ThrottleMode = Literal["published", "off"]


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

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(
                f"speed must be above 0, not {self.speed}: 1 is real time, 60 shows a minute in a second"
            )
        for name, limits in (("quota", self.quotas), ("warm_pool_quota", self.warm_pool_quotas)):
            for instance_type, limit in limits.items():
                if limit < 0:
                    raise ValueError(f"{name} of {instance_type} must be 0 or more, not {limit}")

    def quota(self, instance_type: str) -> int:
        """Maximum number of instances of this type in training jobs and warm pools."""
        return self.quotas.get(instance_type, DEFAULT_QUOTA)

    def warm_pool_quota(self, instance_type: str) -> int:
        """Maximum number of warm instances of this type."""
        return self.warm_pool_quotas.get(instance_type, DEFAULT_QUOTA)

    def arn(self, job_name: str) -> str:
        """ARN of a training job of this account and region."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT_ID}:training-job/{job_name}"
