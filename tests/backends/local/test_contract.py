"""LocalBackend keeps the contract of backends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunewright.backends.local import LocalBackend, LocalConfig
from tunewright.interfaces import Backend
from tunewright.testing import training_script
from tunewright.testing.backend_contract import BackendContract


class TestLocalBackend(BackendContract):
    epoch_seconds = 0.02

    @pytest.fixture(autouse=True)
    def _reap_orphans(self) -> Iterator[None]:
        self.orphans: list[subprocess.Popen[bytes]] = []
        yield
        for process in self.orphans:
            process.returncode = None
            process.kill()
            process.wait()

    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        return LocalBackend(
            training_script.PATH,
            folder=folder / "trials",
            config=LocalConfig(gpus=()),
            n_workers=n_workers,
            resource_attr=training_script.RESOURCE_ATTR,
        )

    def abandon(self, backend: Backend) -> None:
        assert isinstance(backend, LocalBackend)
        backend._lock.release()
        for live in backend._live.values():
            live._process.returncode = 0  # the process object is not to wait for the runner
            self.orphans.append(live._process)
