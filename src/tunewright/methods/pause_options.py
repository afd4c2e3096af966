"""Settings of the methods that pause all trials at levels and go on with whichever promises most."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from tunewright.exceptions import check_at_least
from tunewright.schedulers.freeze_thaw import Pauses
from tunewright.searchers.gp import AcquisitionKind


@dataclass(frozen=True, kw_only=True)
class PauseOptions(ABC):
    """`Pauses` without the resource of a full run, which the benchmark knows; defaults of the model.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    n_initial: int = 6
    """Trials before the model is asked, given points included, >= 1."""
    acquisition: AcquisitionKind = AcquisitionKind.LOG_EI
    """How trials are weighed: only ``log_ei``."""
    max_observations: int = 300
    """Results at levels that the model learns from at most, >= 2; those at high levels are kept."""
    grace_period: int = 1
    """The first level, >= 1."""
    levels: tuple[int, ...] | None = None
    """Own levels, instead of those that follow from ``grace_period``."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "grace_period")
        if self.levels is not None:
            Pauses(max_resource=max((0, *self.levels)) + 1, levels=self.levels)

    @abstractmethod
    def spaced_levels(self, max_resource: int) -> tuple[int, ...]:
        """Levels from ``grace_period`` on, below ``max_resource``."""

    def pauses(self, max_resource: int) -> Pauses:
        """For a benchmark whose full run is ``max_resource`` long.

        Raises
        ------
        SettingsError
            They do not fit it.
        """
        levels = self.spaced_levels(max_resource) if self.levels is None else self.levels
        return Pauses(max_resource=max_resource, levels=levels)
