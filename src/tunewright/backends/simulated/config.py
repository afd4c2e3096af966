"""Config of the simulated backend: settings, flags, TOML and stored JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from tunewright.backends.plugin import BackendConfig
from tunewright.backends.simulated.settings import SimulatedSettings, profile


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
