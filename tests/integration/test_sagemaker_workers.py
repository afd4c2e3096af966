"""Workers mode on the embedded endpoint: real jobs, real processes, over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.endpoints import kill_servers

from tunewright.aws import default_bucket, open_session, resolve_endpoint
from tunewright.backends.plugin import TrialLog
from tunewright.backends.s3.code import ROOT_PREFIX
from tunewright.backends.s3.tasks import run_logs
from tunewright.backends.sagemaker.plugin.plugin import ServiceLog
from tunewright.backends.sagemaker.requests import job_prefix
from tunewright.backends.sagemaker.workers import WorkersBackend
from tunewright.interfaces import Backend
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.events import EventReader
from tunewright.testing.jobs import job_settings
from tunewright.testing.training_script import training_config
from tunewright.trial import PhaseName, Run

SPEED = 300.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of the embedded endpoints of this module."""
    root = tmp_path_factory.mktemp("endpoint")
    yield root
    kill_servers(root)


def make_backend(root: Path, name: str, *, n_workers: int = 2) -> WorkersBackend:
    session = open_session(resolve_endpoint("embedded", speed=SPEED), root=root)
    jobs = job_settings(n_workers=n_workers, min_interval=0.1)
    return WorkersBackend(jobs.benchmark, jobs.config, experiment=name, session=session)


class TestWorkersBackend(BackendContract):
    is_run_a_job = False

    @pytest.fixture(autouse=True)
    def _endpoint(self, root: Path) -> None:
        self.root = root

    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        return make_backend(self.root, f"contract {folder.name}", n_workers=n_workers)

    def open_log(self, folder: Path, trial_id: int) -> TrialLog:
        session = open_session(resolve_endpoint("embedded", speed=SPEED), root=self.root)
        prefix = f"{ROOT_PREFIX}/{job_prefix(f'contract {folder.name}')}"
        objects = session.objects(default_bucket(session), prefix)
        return ServiceLog(session, lambda: run_logs(objects, trial_id))

    def test_phases_name_the_worker(self, backend: Backend, events: EventReader) -> None:
        """By job and instance; its first run finds it cold."""
        backend.start(Run(trial_id=0, attempt=0), training_config(epochs=2, seconds=0.01))
        events.until_ended(0)
        (phase,) = events.phases
        assert re.fullmatch(r"contract-.+-w-\d+-1-0/algo-1", phase.worker)
        assert (phase.name, phase.warm) == (PhaseName.TRAINING, False)
