"""The simulated backend keeps the contract of backends, with and without checkpoints."""

from __future__ import annotations

from pathlib import Path

from tunewright.backends.simulated import Delays, SimulatedBackend, SimulatedConfig
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
        return SimulatedBackend(
            train_epoch,
            n_workers=n_workers,
            max_resource=20_000,
            config=SimulatedConfig(support_checkpointing=False, dollars_per_hour=1.0),
            delays=Delays(start=3.0, stop=2.0),
        )
