"""The SageMaker backend on the embedded endpoint: real jobs, real processes, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.endpoints import kill_servers, server_pids

from tunewright.aws import open_session, resolve_endpoint
from tunewright.backends.plugin import TrialLog
from tunewright.backends.sagemaker import SageMakerBackend
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.backends.sagemaker.plugin.plugin import ServiceLog
from tunewright.backends.sagemaker.requests import job_prefix
from tunewright.exceptions import BackendError
from tunewright.interfaces import Backend
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.events import EventReader
from tunewright.testing.jobs import job_settings
from tunewright.testing.training_script import training_config
from tunewright.trial import Run

SPEED = 300.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of the embedded endpoints of this module."""
    root = tmp_path_factory.mktemp("endpoint")
    yield root
    kill_servers(root)


def make_backend(root: Path, name: str, *, quotas: dict[str, int] | None = None) -> SageMakerBackend:
    """A backend with two workers and warm pools."""
    session = open_session(resolve_endpoint("embedded", speed=SPEED, quotas=quotas), root=root)
    jobs = job_settings(n_workers=2, warm_pool=True, min_interval=0.1)
    return SageMakerBackend(jobs.benchmark, jobs.config, experiment=name, session=session)


class TestSageMakerBackend(BackendContract):
    @pytest.fixture(autouse=True)
    def _endpoint(self, root: Path) -> None:
        self.root = root

    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        assert n_workers == 2
        return make_backend(self.root, f"contract {folder.name}")

    def open_log(self, folder: Path, trial_id: int) -> TrialLog:
        session = open_session(resolve_endpoint("embedded", speed=SPEED), root=self.root)
        prefix = job_prefix(f"contract {folder.name}")
        return ServiceLog(session, lambda: job_logs(session, prefix, trial_id))


def test_runs_survive_the_death_of_the_endpoint(tmp_path: Path) -> None:
    """It is started again at its address; its jobs died with it, and are retried from their checkpoints."""
    backend = make_backend(tmp_path, "killed endpoint")
    backend.attach(())
    events = EventReader(backend, patience=300.0)
    backend.start(Run(trial_id=0, attempt=0), training_config(epochs=40, seconds=0.05))
    events.until_reported(0, 1)
    (before,) = server_pids(tmp_path)
    kill_servers(tmp_path)
    ended = events.until_ended(0)
    assert (ended.exit, ended.error) == (0, "")
    assert set(events.resources(0)) == set(range(1, 41))
    assert server_pids(tmp_path) != [before]
    assert {report.retry for report in events.reports} == {0, 1}
    backend.close()
    kill_servers(tmp_path)


def test_more_workers_than_instances(tmp_path: Path) -> None:
    """The second run waits for the first one's instance, and starts on it."""
    backend = make_backend(tmp_path, "small quota", quotas={"ml.c5.xlarge": 1})
    backend.attach(())
    events = EventReader(backend, patience=300.0)
    for trial_id in range(2):
        backend.start(Run(trial_id=trial_id, attempt=0), training_config(epochs=2, seconds=0.01))
    assert backend.free_workers() == 0
    for trial_id in range(2):
        assert events.until_ended(trial_id).exit == 0
    assert any("limit" in notice for notice in backend.summary().notices)
    backend.close()
    assert (backend.summary().jobs, backend.summary().warm_starts) == (2, 1)
    kill_servers(tmp_path)


@pytest.mark.parametrize("changed", ["", "runner.pyz", "source/train.py", "source/numpy.py"])
def test_code_that_was_changed_in_s3_is_not_run(root: Path, tmp_path: Path, changed: str) -> None:
    source, trace = tmp_path / "source", tmp_path / "trace"
    source.mkdir()
    script = f"from pathlib import Path\nPath({str(trace)!r}).touch()\n"
    (source / "train.py").write_text(script)
    session = open_session(resolve_endpoint("embedded", speed=SPEED), root=root)
    jobs = job_settings(script=str(source / "train.py"), n_workers=1, min_interval=0.1)
    backend = SageMakerBackend(jobs.benchmark, jobs.config, experiment=f"code {changed}", session=session)
    backend.attach(())
    if changed:
        code = session.objects(backend.deployment.bucket, backend.deployment.code_prefix)
        code.put(changed, f"{script}# changed".encode())
    backend.start(Run(trial_id=0, attempt=0), {"lr": 0.1})
    events = EventReader(backend, patience=300.0)
    if changed:
        with pytest.raises(BackendError, match="The code in S3 was changed: it was not run"):
            events.until_ended(0)
    else:
        assert events.until_ended(0).exit == 0
    backend.close()
    assert trace.exists() == (not changed)
