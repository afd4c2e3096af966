"""LocalBackend keeps the contract of backends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunewright.backends.local import LocalBackend, LocalConfig
from tunewright.backends.local.plugin import PLUGIN
from tunewright.backends.plugin import ExperimentContext, TrialLog
from tunewright.interfaces import Backend
from tunewright.storage import ExperimentFolder
from tunewright.testing import training_script
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.jobs import training_benchmark


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

    def open_log(self, folder: Path, trial_id: int) -> TrialLog:
        context = ExperimentContext(
            benchmark=training_benchmark(), tag="t", seed=0, stored=ExperimentFolder(folder)
        )
        return PLUGIN.logs(LocalConfig(), context, trial_id)

    def abandon(self, backend: Backend) -> None:
        assert isinstance(backend, LocalBackend)
        backend._lock.release()
        for live in backend._live.values():
            live._process.returncode = 0  # the process object is not to wait for the runner
            self.orphans.append(live._process)
