"""What the simulated world costs besides training."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import final

from tunewright.exceptions import SettingsError


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
    dollars_per_hour: float = 0.0
    """Price of a worker that runs."""
    checkpoints: bool = True
    """Whether scripts keep a checkpoint at each report; without one a resumed trial begins anew."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"{field.name}={value} must be finite and >= 0")
