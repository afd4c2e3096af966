"""Config of the simulated backend: flags, TOML and stored JSON; delays of simulated runs by profile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Final, Literal, final

from tunewright.backends.plugin import BackendConfig
from tunewright.exceptions import SettingsError, UnknownNameError


def _check_finite(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise SettingsError(f"{name}={value} must be finite and >= 0")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Simulated seconds that a run takes besides its training.

    Raises
    ------
    SettingsError
        A delay is negative or not finite.
    """

    start: float = 0.05
    """From the start of a run to the first line of its script."""
    warm_start: float = 0.05
    """Instead of ``start``, for a run on an instance that waited for it."""
    report: float = 0.05
    """From a report to its arrival."""
    completion: float = 0.05
    """From the arrival of the last report to the end of the run."""
    stop: float = 0.05
    """From a pause or stop to the end of the run; reports of this time still arrive."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_finite(f"The delay {field.name}", getattr(self, field.name))


PROFILES: Final[Mapping[str, Delays]] = {
    "default": Delays(),
    "ideal": Delays(start=0.0, warm_start=0.0, report=0.0, completion=0.0, stop=0.0),
    "sagemaker": Delays(start=130.0, warm_start=20.0, report=2.0, completion=10.0, stop=10.0),
}
"""Delays by name.

``default``: processes on one machine. ``ideal``: none. ``sagemaker``: training jobs. Their cold starts were measured at
100 to 170 s, their warm starts at about 20 s. The 2 s of a report are one look into S3, the 10 s of an end are the upload
and the next look at the list of jobs.
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedConfig(BackendConfig):
    """Trials are recorded curves in simulated time.

    Raises
    ------
    SettingsError
        The profile is unknown, or a number is not >= 0.
    """

    backend_name: ClassVar[str] = "simulated"
    is_simulated: ClassVar[bool] = True
    tuner_instance_type: ClassVar[str] = "ml.c5.4xlarge"

    profile: Literal["default", "ideal", "sagemaker"] = "default"
    """Delays: default (processes on one machine), ideal (none), sagemaker (training jobs)."""
    keep_alive: float = 0.0
    """Simulated seconds that an instance waits for the next trial, which then starts warm."""
    dollars_per_hour: float = 0.0
    """Price of an instance."""
    support_checkpointing: bool = True
    """0: a resumed trial begins anew."""
    charge_suggest_time: bool = False
    """Count the real seconds of deciding; then no run repeats exactly."""

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise UnknownNameError("profile of the simulated backend", self.profile, PROFILES)
        _check_finite("keep_alive", self.keep_alive)
        _check_finite("dollars_per_hour", self.dollars_per_hour)

    @property
    def delays(self) -> Delays:
        """The delays of the profile."""
        return PROFILES[self.profile]
