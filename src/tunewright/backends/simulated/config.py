"""Delays and prices of simulated runs by profile, and the config of the simulated backend: flags, TOML and stored JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Final, Literal, final

from tunewright.backends.plugin import BackendConfig
from tunewright.exceptions import SettingsError, UnknownNameError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSettings:
    """Delays and prices of simulated runs, checked when built.

    Raises
    ------
    SettingsError
        Where a number is negative or not finite.
    """

    start_delay: float = 0.05
    """Seconds from a run's start to its script's first line."""
    report_delay: float = 0.05
    """Seconds from a report to its arrival."""
    completion_delay: float = 0.05
    """Seconds from the arrival of the last report to the end of the run."""
    stop_delay: float = 0.05
    """Seconds from a pause or stop to the end of the run; what the script reports until then still arrives."""
    keep_alive: float = 0.0
    """Seconds that an instance waits for the next run, which then starts warm; 0: it never waits."""
    warm_start_delay: float = 0.05
    """Instead of ``start_delay`` for a run on an instance that has waited."""
    dollars_per_hour: float = 0.0
    """Price of an instance, while it runs and while it waits."""
    checkpoints: bool = True
    """Whether scripts keep a checkpoint at each report; without one a resumed trial begins anew."""
    charge_suggest_time: bool = False
    """Count the real seconds of deciding on the simulated clock; then no run repeats exactly."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"{field.name}={value} must be finite and >= 0")


_SAGEMAKER: Final = SimulatedSettings(
    start_delay=130.0,
    warm_start_delay=20.0,
    report_delay=2.0,
    completion_delay=10.0,
    stop_delay=10.0,
)

PROFILES: Final[Mapping[str, SimulatedSettings]] = {
    "default": SimulatedSettings(),
    "ideal": SimulatedSettings(
        start_delay=0.0, report_delay=0.0, completion_delay=0.0, stop_delay=0.0, warm_start_delay=0.0
    ),
    "sagemaker": _SAGEMAKER,
}
"""Settings by name.

``default``: processes on one machine. ``ideal``: training is all that takes time. ``sagemaker``: training jobs, whose
cold start was seen to take 100 to 170 s and whose warm start about 20 s; the 2 s of a report are one look into S3,
the 10 s of an end are the upload and the next look at the list of jobs. Pools are off until ``keep_alive`` is set:
``dataclasses.replace(profile("sagemaker"), keep_alive=600.0)``.
"""


def profile(name: str) -> SimulatedSettings:
    """The settings of a name.

    Raises
    ------
    UnknownNameError
        There is no such profile.
    """
    if name not in PROFILES:
        raise UnknownNameError("profile of the simulated backend", name, PROFILES)
    return PROFILES[name]


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
        self.settings()

    def settings(self) -> SimulatedSettings:
        """Delays and prices of the backend."""
        return dataclasses.replace(
            profile(self.profile),
            keep_alive=self.keep_alive,
            dollars_per_hour=self.dollars_per_hour,
            checkpoints=self.support_checkpointing,
            charge_suggest_time=self.charge_suggest_time,
        )
