"""A real Slurm cluster for the tests of this folder; one for each process that runs them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conformance.slurm.cluster import Cluster

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.testing import training_script


@contextmanager
def new_cluster() -> Generator[Cluster]:
    """A cluster, from its start to its end; skips where that is impossible."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name) is None]
    if missing:
        pytest.skip(
            f"Slurm is missing ({', '.join(missing)}): apt-get install slurmctld slurmd slurm-client munge"
        )
    if os.geteuid():
        pytest.skip("A Slurm node can only be started by root")
    with tempfile.TemporaryDirectory(prefix="tw-slurm-") as folder:
        try:
            cluster = Cluster(Path(folder))
        except PermissionError as error:
            pytest.skip(f"The devices of a node cannot be made here ({error})")
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    with new_cluster() as cluster:
        yield cluster


@pytest.fixture
def own_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of the test alone, whose daemons it may end."""
    with new_cluster() as cluster:
        monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
        yield cluster


@pytest.fixture
def cluster(running_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster, found by this process's commands."""
    monkeypatch.setenv("SLURM_CONF", str(running_cluster.conf))
    return running_cluster


@pytest.fixture(scope="session")
def benchmark() -> RealBenchmarkDefinition:
    return RealBenchmarkDefinition(
        name="training_script",
        script=str(training_script.PATH),
        space=SearchSpace({"x": Float(0.0, 1.0)}),
        metrics=(Metric("loss"),),
        resource_attr=training_script.RESOURCE_ATTR,
        n_workers=2,
    )
