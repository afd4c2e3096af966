"""Settings of the execution of jobs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Isolation(StrEnum):
    """Way to give a job its own ``/opt/ml``."""

    AUTO = "auto"
    """Namespaces if the machine allows them, otherwise a folder."""
    NAMESPACES = "namespaces"
    """Mount, PID and UTS namespaces: the job's folder is ``/opt/ml`` and its entrypoint is process 1."""
    FOLDER = "folder"
    """A base directory that replaces ``/opt/ml`` in the job's command and environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    """Settings of the execution of jobs.

    Raises
    ------
    ValueError
        The speed is not positive.
    """

    endpoint_url: str
    """URL of the emulator; ``AWS_ENDPOINT_URL`` in jobs."""
    region: str
    access_key: str
    secret_key: str
    speed: float = 1.0
    """Divisor of service seconds (checkpoint period); training is not scaled."""
    interpreters: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """TrainingImage -> Python interpreter; other images use the default one."""
    default_interpreter: Path = Path(sys.executable)
    isolation: Isolation = Isolation.AUTO

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError(
                f"speed must be positive, got {self.speed}; 1 is real time, 60 a minute per second"
            )

    def interpreter(self, image: str) -> Path:
        """Python interpreter for a TrainingImage."""
        return self.interpreters.get(image, self.default_interpreter)
