"""Trials as Ray jobs without a shared folder: code, reports, requests and checkpoints go through S3."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import boto3
import pytest
from tests.conformance.conftest import Endpoint
from tests.conformance.ray.cluster import Cluster
from typing_extensions import override

from tunewright.backends.plugin import ExperimentContext, TrialLog
from tunewright.backends.ray import RayBackend, RayConfig
from tunewright.backends.ray.plugin import RayPlugin
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import BackendError
from tunewright.interfaces import Backend
from tunewright.storage import ExperimentFolder
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.events import EventReader
from tunewright.testing.training_script import training_config
from tunewright.trial import Run

BUCKET = "trials"
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture
def config(
    cluster: Cluster,
    serve: Callable[..., Endpoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> RayConfig:
    """Jobs know the address of S3 from the tuner, and have credentials of their own."""
    endpoint = serve()
    for name, value in endpoint.variables.items():
        monkeypatch.setenv(name, value)
    boto3.Session().client("s3").create_bucket(Bucket=BUCKET)
    environment = tmp_path / "env.json"
    keys = {name: endpoint.variables[name] for name in SECRETS}
    environment.write_text(json.dumps({"env_vars": keys}))
    return RayConfig(
        list_seconds=0.6,
        stop_grace=60.0,
        cpus_per_trial=0.5,
        shared_folder=f"s3://{BUCKET}/ours",
        runtime_env=str(environment),
        python=sys.executable,
    )


class TestRayInS3(BackendContract):
    patience: ClassVar[float] = 240.0
    epoch_seconds: ClassVar[float] = 0.5
    execution: ClassVar[str] = "jobs"
    benchmark: RealBenchmarkDefinition
    config: RayConfig

    @pytest.fixture(autouse=True)
    def use(self, config: RayConfig, benchmark: RealBenchmarkDefinition) -> None:
        self.benchmark = benchmark
        self.config = dataclasses.replace(config, execution=self.execution)

    @override
    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        benchmark = dataclasses.replace(self.benchmark, n_workers=n_workers)
        return RayBackend(benchmark, self.config, experiment=folder.name, folder=folder / "trials")

    @override
    def open_log(self, folder: Path, trial_id: int) -> TrialLog:
        context = ExperimentContext(
            benchmark=self.benchmark, tag="e", seed=0, stored=ExperimentFolder(folder)
        )
        return RayPlugin().logs(self.config, context, trial_id)


class TestRayWorkersInS3(TestRayInS3):
    """Runs are tasks of jobs that take one after the other."""

    is_run_a_job: ClassVar[bool] = False
    execution: ClassVar[str] = "workers"


@pytest.mark.parametrize("execution", ["jobs", "workers"])
def test_a_job_that_is_lost_goes_on_from_its_checkpoint(
    cluster: Cluster,
    config: RayConfig,
    benchmark: RealBenchmarkDefinition,
    tmp_path: Path,
    execution: str,
) -> None:
    config = dataclasses.replace(config, execution=execution, checkpoint_seconds=0.0, silent_after=60.0)
    benchmark = dataclasses.replace(benchmark, n_workers=1)
    backend = RayBackend(benchmark, config, experiment=tmp_path.name, folder=tmp_path / "trials")
    backend.attach(())
    events = EventReader(backend, patience=240.0)
    backend.start(Run(trial_id=0, attempt=0), training_config(epochs=12, seconds=1.0))
    events.until_reported(0, 3)
    (job,) = (name for name, one in cluster.jobs(f"tw-{tmp_path.name}-").items() if one.status == "RUNNING")
    cluster.client.stop(job)
    ended = events.until_ended(0)
    assert (ended.exit, ended.error) == (0, "")
    assert {one.resource for one in events.reports} == set(range(1, 13))
    assert {one.retry for one in events.reports} == {0, 1}
    assert next(one for one in events.reports if one.retry == 1).resource > 1
    backend.close()
    assert not list((tmp_path / "trials").glob("*")), "nothing is in the folder of the experiment"


def test_a_node_that_may_not_use_the_bucket_is_named(
    config: RayConfig, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"env_vars": dict.fromkeys(SECRETS, "wrong")}))
    config = dataclasses.replace(config, runtime_env=str(wrong))
    backend = RayBackend(benchmark, config, experiment=tmp_path.name, folder=tmp_path / "trials")
    backend.attach(())
    backend.start(Run(trial_id=0, attempt=0), training_config(epochs=1, seconds=0.0))
    with pytest.raises(BackendError, match=r"(?s)cannot use s3://.*--runtime_env"):
        EventReader(backend, patience=240.0).until_ended(0)
    backend.close()
