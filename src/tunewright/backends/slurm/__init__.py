"""Trials as jobs of a Slurm cluster."""

from __future__ import annotations

from tunewright.backends.slurm.backend import SlurmBackend
from tunewright.backends.slurm.config import SlurmConfig

__all__ = ["SlurmBackend", "SlurmConfig"]
