"""Metadata of version 0.1 are read in the present form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.backends.local.config import LocalConfig
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.experiments import Experiment
from tunewright.experiments.experiment import identity_of
from tunewright.storage import ExperimentFolder, upgrade_metadata

STORED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "metadata_0_1.json").read_text()
)
"""As version 0.1 wrote them, one for each backend."""


@pytest.fixture(params=["local", "sagemaker", "simulated"])
def stored(request: pytest.FixtureRequest) -> dict[str, Any]:
    return STORED[request.param]


def test_settings_keep_their_values() -> None:
    assert Experiment.from_json(STORED["local"]).backend == LocalConfig(
        num_gpus_per_trial=2, gpus=(0, 1, 2, 3)
    )
    assert Experiment.from_json(STORED["sagemaker"]).backend == SageMakerConfig(
        endpoint="embedded",
        region="us-east-1",
        speed=60.0,
        execution="workers",
        warm_pool=True,
        max_run=600,
        tags={"team": "a"},
        framework_version="2.6",
        request_template={"VpcConfig": {"Subnets": ["s"], "SecurityGroupIds": ["g"]}},
    )
    assert Experiment.from_json(STORED["simulated"]).backend == SimulatedConfig(
        profile="sagemaker", keep_alive=600.0, support_checkpointing=False
    )


@pytest.mark.parametrize("backend", ["local", "sagemaker"])
def test_script_options_become_part_of_the_benchmark(backend: str) -> None:
    benchmark = Experiment.from_json(STORED[backend]).real_benchmark
    assert benchmark.environment == {"A": "2", "B": "3"}
    assert benchmark.inputs == {"train": "s3://b/p"}
    assert benchmark.dependencies == ("lib", "/x/y.py")
    assert benchmark.config_json


def test_an_upgrade_is_whole_and_done_once(stored: dict[str, Any], tmp_path: Path) -> None:
    """A folder gives the present form, which a second upgrade leaves alone, and the cell keeps its identity."""
    folder = ExperimentFolder(tmp_path)
    folder.write_metadata(stored)
    found = folder.metadata()
    assert found == upgrade_metadata(found) == upgrade_metadata(stored)
    assert found["experiment"] == stored["experiment"]
    experiment = Experiment.from_json(stored)
    assert identity_of(stored) == identity_of(found) == experiment.identity()
    assert Experiment.from_json(experiment.to_json()) == experiment
