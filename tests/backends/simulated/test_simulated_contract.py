"""The simulated backend keeps the contract of backends, with and without checkpoints."""

from __future__ import annotations

from pathlib import Path

from tunewright.backends.simulated import SimulatedBackend, SimulatedSettings
from tunewright.interfaces import Backend
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.training_script import train_epoch


class TestSimulatedBackend(BackendContract):
    def open_log(self, folder: Path, trial_id: int) -> None:
        return None

    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        return SimulatedBackend(train_epoch, n_workers=n_workers, max_resource=20_000)


class TestSimulatedBackendWithoutCheckpoints(BackendContract):
    keeps_checkpoints = False

    def open_log(self, folder: Path, trial_id: int) -> None:
        return None

    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        settings = SimulatedSettings(checkpoints=False, start_delay=3.0, stop_delay=2.0, dollars_per_hour=1.0)
        return SimulatedBackend(train_epoch, n_workers=n_workers, max_resource=20_000, settings=settings)
