"""Config of the local backend: flags, TOML and stored JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

from tunewright.backends.plugin import BackendConfig
from tunewright.exceptions import SettingsError, check_at_least
from tunewright.types import Number


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalConfig(BackendConfig):
    """Trials are processes on this machine.

    Raises
    ------
    SettingsError
        A number is out of range.
    """

    backend_name: ClassVar[str] = "local"
    tuner_instance_type: ClassVar[str] = "ml.c5.4xlarge"

    num_gpus_per_trial: int = 1
    """GPUs of each trial, if there are any."""
    gpus: tuple[int, ...] | None = None
    """Numbers of the GPUs to use (default: all of this machine)."""

    max_trial_time: Number | None = field(default=None, metadata={"metavar": "TIME"})
    """Seconds, or a time such as 10m or 2h: a run of a trial that takes longer is ended, and the trial has failed."""
    fork: bool = True
    """Trials of Python functions are forks of a process that has imported the packages of the function's modules; no: each trial
    begins with a new interpreter."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "num_gpus_per_trial")
        if self.max_trial_time is not None and not self.max_trial_time > 0:
            raise SettingsError(f"max_trial_time must be positive, not {self.max_trial_time!r}")
