"""Settings of workers mode that jobs mode does not have."""

from __future__ import annotations

from dataclasses import dataclass

from tunewright.backends.sagemaker.settings import MAX_RUN_MAX
from tunewright.exceptions import SettingsError

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
    """None: one per GPU, and one where there is none."""
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
