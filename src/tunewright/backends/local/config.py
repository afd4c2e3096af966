"""Config of the local backend: flags, TOML and stored JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from tunewright.backends.plugin import BackendConfig
from tunewright.exceptions import check_at_least


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

    def __post_init__(self) -> None:
        check_at_least(self, 1, "num_gpus_per_trial")
