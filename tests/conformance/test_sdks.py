"""SageMaker's own Python SDKs, of both major versions, unmodified, against the emulator."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import CLIENTS, ROLE, Client, Endpoint

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/python:3"


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_an_estimator_of_sdk_2_trains_fails_stops_and_reuses_a_warm_pool(
    client: Client, serve: Callable[..., Endpoint]
) -> None:
    endpoint = serve()
    done = endpoint.run([client("sdk_v2") / "python", CLIENTS / "estimator_v2.py", CLIENTS, ROLE, IMAGE])
    seen = outcome(done)
    assert seen["model"].startswith("s3://sdk-two/")
    assert seen["model"].endswith("/output/model.tar.gz")
    assert seen["pool"]["Status"] == "Reused"
    assert seen["pool"]["ReusedByJob"] == seen["warm"]
    assert "total=42 name='two words'" in done.stdout  # logs="All" shows what the script printed
    assert "Training job completed" in done.stdout
    assert "ValueError: no epochs to train" in done.stdout
    assert "AlgorithmError" in seen["refusal"]
    assert seen["stopped"] == "Stopped"


def test_a_model_trainer_of_sdk_3_trains_and_fails(client: Client, serve: Callable[..., Endpoint]) -> None:
    endpoint = serve()
    done = endpoint.run([client("sdk_v3") / "python", CLIENTS / "model_trainer_v3.py", CLIENTS, ROLE, IMAGE])
    seen = outcome(done)
    assert seen["status"] == "Completed"
    assert seen["model"].endswith("model.tar.gz")
    assert "AlgorithmError" in seen["refusal"]
    assert seen["listed"] == ["bad", "good"]


@pytest.mark.parametrize("version", ["2", "3"])
def test_an_object_of_the_sdk_is_tuned(
    client: Client, serve: Callable[..., Endpoint], tmp_path: Path, version: str
) -> None:
    """All of its attributes are known: none is left out for want of a rule."""
    (packages,) = (client(f"sdk_v{version}").parent / "lib").glob("python3*/site-packages")
    (tmp_path / "source").mkdir()
    endpoint = serve(speed=300.0)
    script = CLIENTS / "from_sdk.py"
    seen = outcome(endpoint.run([sys.executable, script, version, packages, tmp_path / "source", ROLE]))
    assert seen["loss"] == seen["lr"]
    own = {"output_data_config.s3_output_path"} if version == "3" else set()
    assert set(seen["left_out"]) == {"base_job_name"} | own
    assert "distribut" in seen["refusal"]
    job = seen["job"]
    assert job["TrainingJobStatus"] == "Completed"
    assert job["RoleArn"] == ROLE
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200}
    assert job["ResourceConfig"] == {
        "InstanceType": "ml.c5.xlarge",
        "InstanceCount": 1,
        "VolumeSizeInGB": 30,
        "KeepAlivePeriodInSeconds": 300,
    }
    assert [one["Name"] for one in job["AlgorithmSpecification"]["MetricDefinitions"]] == ["own", "loss"]
    assert f"sdk-{'two' if version == '2' else 'three'}/" in job["OutputDataConfig"]["S3OutputPath"]
    data = next(one for one in job["InputDataConfig"] if one["ChannelName"] == "training")
    assert data.get("InputMode") == ("FastFile" if version == "2" else None)
    image = job["AlgorithmSpecification"]["TrainingImage"]
    assert ("pytorch-training:2.5.1-cpu-py311" in image) == (version == "2")
