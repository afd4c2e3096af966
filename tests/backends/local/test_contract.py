"""LocalBackend keeps the contract of backends."""

from __future__ import annotations

from pathlib import Path

from tunewright.backends.local import LocalBackend, LocalSettings
from tunewright.interfaces import Backend
from tunewright.testing import training_script
from tunewright.testing.backend_contract import BackendContract


class TestLocalBackend(BackendContract):
    epoch_seconds = 0.02

    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        settings = LocalSettings(n_workers=n_workers, resource_attr=training_script.RESOURCE_ATTR, gpus=())
        return LocalBackend(training_script.PATH, folder=folder / "trials", settings=settings)

    def abandon(self, backend: Backend) -> None:
        assert isinstance(backend, LocalBackend)
        backend._lock.release()
        for live in backend._live.values():
            live._process.returncode = 0  # the process object is not to wait for the runner
