"""An experiment in MLflow and in Weights & Biases, exported twice by the real packages, offline."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tunewright import Categorical, Float, tune
from tunewright.experiments import Outcome

from .conftest import CLIENTS, PATIENCE, ROOT, Client

SCRIPT = """
import argparse, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--kind")
parser.add_argument("--epochs", type=int)
parser.add_argument("--checkpoint_dir")
given = parser.parse_args()
if given.kind == "bad":
    raise SystemExit("no such kind")
for epoch in range(1, given.epochs + 1):
    folder = pathlib.Path(given.checkpoint_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(str(epoch))
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "loss": given.x / epoch, "a(b)": epoch}), flush=True)
"""
ARN = "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/mine"
Run = Callable[..., str]


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    """An experiment with completed, paused and failed trials, and checkpoints."""
    (tmp_path / "toy.py").write_text(SCRIPT)
    points = [{"x": 0.9}, {"x": 0.5, "kind": "bad"}, {"x": 0.1}, {"x": 0.6}, {"x": 0.7}]
    return tune(
        tmp_path / "toy.py",
        {"x": Float(0.0, 1.0), "kind": Categorical(["good", "bad"]), "epochs": 3},
        metric="loss",
        method="ASHA",
        resource="epoch",
        max_resource_attr="epochs",
        max_resource=3,
        points=points,
        n_trials=5,
        n_workers=1,
        progress=False,
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a program of an environment with Tunewright's sources, without a network."""

    def run(program: Path, *arguments: str | Path, **variables: str) -> str:
        offline = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "WANDB_MODE": "offline"}
        done = subprocess.run(
            [str(program), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **offline, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def export(run: Run, python: Path, outcome: Outcome, to: str, **variables: str) -> str:
    return run(python, "-m", "tunewright", "export", outcome.path, "--to", to, **variables)


def points_of(outcome: Outcome, trial: int, name: str) -> list[list[float]]:
    return [[result.resource, result.metrics[name]] for result in outcome.history.results(trial)]


def test_mlflow(client: Client, run: Run, outcome: Outcome, tmp_path: Path) -> None:
    python = client("mlflow") / "python"
    address = f"sqlite:///{tmp_path}/store/mlflow.db"
    said = export(run, python, outcome, f"mlflow:tracking_uri={address}")
    assert said.splitlines()[-1] == f"5 trials in mlflow: mlflow ui --backend-store-uri {address}"
    first = json.loads(run(python, CLIENTS / "mlflow_runs.py", address))
    assert len(first) == 6
    parent = next(one for one in first if one["name"] == outcome.folder.name)
    best = outcome.best
    assert best is not None
    assert (parent["status"], parent["group"]) == ("FINISHED", "toy")
    assert parent["tags"]["tunewright.best_trial"] == f"trial-{best.trial_id}"
    assert parent["metrics"]["best_loss"][-1][1] == best.value
    assert parent["params"]["space.x"] == repr(outcome.space["x"])
    for trial in outcome.trials:
        child = next(one for one in first if one["name"] == f"trial-{trial.id}")
        status = outcome.history.status(trial.id)
        assert child["tags"]["mlflow.parentRunId"] == parent["id"]
        assert child["params"] == {name: str(value) for name, value in trial.config.items()}
        assert child["status"] == ("FAILED" if status == "failed" else "FINISHED")
        assert child["tags"]["tunewright.status"] == status
        assert child["metrics"].get("loss", []) == points_of(outcome, trial.id, "loss")
        assert set(child["metrics"]) <= {"loss", "a_b_"}
        is_best = trial.id == best.trial_id
        assert child["files"] == (["checkpoint/model.json"] if is_best else [])
    export(run, python, outcome, f"mlflow:tracking_uri={address}")
    assert json.loads(run(python, CLIENTS / "mlflow_runs.py", address)) == first


def test_a_server_of_sagemaker_is_addressed_by_its_arn(
    client: Client, run: Run, outcome: Outcome, tmp_path: Path
) -> None:
    """Its plugin signs the requests; a local server, which does not check that, stands for the account's."""
    programs = client("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    url, store = f"http://127.0.0.1:{port}", f"sqlite:///{tmp_path}/server.db"
    command = [programs / "python", "-m", "mlflow", "server", "--port", port, "--backend-store-uri", store]
    command += ["--workers", "1", "--no-serve-artifacts", "--default-artifact-root", tmp_path / "artifacts"]
    with subprocess.Popen(list(map(str, command)), cwd=tmp_path, start_new_session=True) as server:
        try:
            _wait_for(f"{url}/health", server)
            variables = {
                "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": url,
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            for _ in range(2):
                export(run, programs / "python", outcome, f"mlflow:tracking_uri={ARN}", **variables)
            found = json.loads(run(programs / "python", CLIENTS / "mlflow_runs.py", url))
        finally:
            os.killpg(server.pid, 15)
    assert sorted(one["name"] for one in found) == sorted(
        [outcome.folder.name, *(f"trial-{trial.id}" for trial in outcome.trials)]
    )
    best = outcome.best
    assert best is not None
    child = next(one for one in found if one["name"] == f"trial-{best.trial_id}")
    assert child["files"] == ["checkpoint/model.json"]


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert server.poll() is None, "the server ended at its start"
        assert time.monotonic() < deadline, "the server does not start"
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return


def test_wandb_offline(client: Client, run: Run, outcome: Outcome) -> None:
    python = client("wandb") / "python"
    folder = outcome.path / "wandb"

    def runs() -> list[dict[str, Any]]:
        return json.loads(run(python, CLIENTS / "wandb_runs.py", folder).splitlines()[-1])

    said = export(run, python, outcome, "wandb:project=digits")
    assert f"wandb sync {folder}/offline-run-*" in said
    first = runs()
    assert sorted(one["name"] for one in first) == [f"trial-{trial}" for trial in range(5)]
    for one in first:
        trial = int(one["name"].removeprefix("trial-"))
        assert (one["group"], one["project"]) == (outcome.folder.name, "digits")
        assert outcome.history.trial(trial).config.items() <= one["config"].items()
        status = outcome.history.status(trial)
        assert one["summary"]["status"] == status
        assert one["exit"] == (status == "failed")
        steps = [[row["step"], row["loss"]] for row in one["history"] if "loss" in row]
        assert steps == points_of(outcome, trial, "loss")
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("offline-run-*")}
    export(run, python, outcome, "wandb:project=digits")
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("offline-run-*")} == times


def test_the_callback_with_the_real_package(client: Client, run: Run, tmp_path: Path) -> None:
    """A tuner in the environment of MLflow; its callback ends with it."""
    (tmp_path / "training.py").write_text("def train(x):\n    return x\n")
    address = f"sqlite:///{tmp_path}/mlflow.db"
    code = "from tunewright import Float, tune; tune('training.py:train', {'x': Float(0.0, 1.0)}, metric='loss', "
    code += f"n_trials=2, callbacks=['mlflow:tracking_uri={address}'], progress=False)"
    python = client("mlflow") / "python"
    run(python, "-c", code)
    found = json.loads(run(python, CLIENTS / "mlflow_runs.py", address))
    assert sorted(one["name"] for one in found)[-2:] == ["trial-0", "trial-1"]
    assert [one["status"] for one in found] == ["FINISHED"] * 3
