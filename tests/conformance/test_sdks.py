"""SageMaker's own Python SDKs, of both major versions, unmodified, against the emulator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

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
