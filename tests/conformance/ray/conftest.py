"""A real Ray cluster for the tests of this folder; one for each process that runs them."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conformance.conftest import Client
from tests.conformance.ray.cluster import Cluster

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.testing import training_script


@contextmanager
def new_cluster(programs: Path) -> Generator[Cluster]:
    """A cluster, from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="tw-ray-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(programs, Path(folder))
        try:
            yield cluster
        finally:
            cluster.close()


@pytest.fixture(scope="session")
def running_cluster(client: Client) -> Iterator[Cluster]:
    with new_cluster(client("ray")) as cluster:
        yield cluster


@pytest.fixture
def own_cluster(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of the test alone, whose head it may end."""
    with new_cluster(client("ray")) as cluster:
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        yield cluster


@pytest.fixture
def cluster(running_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster, found by this process and its children."""
    for name, value in running_cluster.environment.items():
        monkeypatch.setenv(name, value)
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
