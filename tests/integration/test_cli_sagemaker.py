"""``tunewright tune --backend sagemaker`` on the embedded endpoint: killed in its middle, resumed, looked at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.dashboard.service_logs import ServiceLogs
from tunewright.storage import experiments

SCRIPT = """
import argparse, json, os, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
given = parser.parse_args()
state = pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "state.json")
done = json.loads(state.read_text()) if state.exists() else 0
print("begins after epoch", done, flush=True)
for epoch in range(done + 1, given.epochs + 1):
    time.sleep(0.1)
    state.with_suffix(".new").write_text(json.dumps(epoch))
    state.with_suffix(".new").replace(state)
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "score": given.x * epoch}), flush=True)
"""
SPACE = '[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'
TUNEWRIGHT = (sys.executable, "-m", "tunewright")


@pytest.fixture
def shown(tunewright: Callable[..., str]) -> Callable[[], dict[str, Any]]:
    return lambda: json.loads(tunewright("show", "t", "--format", "json"))


def n_results() -> int:
    journals = [folder.journal_path for folder in experiments("t") if folder.journal_path.exists()]
    return sum(path.read_text().count('{"kind":"result"') for path in journals)


def check_results(journal: Path) -> None:
    """Every report counts once, and none is missing."""
    lines = [line for line in map(json.loads, journal.read_text().splitlines()) if line["kind"] == "result"]
    names = ("trial_id", "attempt", "retry", "seq")
    assert len({tuple(line[name] for name in names) for line in lines}) == len(lines)
    for trial_id in {line["trial_id"] for line in lines}:
        resources = [line["resource"] for line in lines if line["trial_id"] == trial_id]
        assert resources == list(range(1, len(resources) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["0", "1"])
def test_a_killed_tuner_adopts_its_jobs_and_completes(
    tmp_path: Path,
    isolation: str,
    start_process: Callable[..., subprocess.Popen[str]],
    tunewright: Callable[..., str],
    shown: Callable[[], dict[str, Any]],
) -> None:
    """Over S3, and over the log from jobs that reach no network."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text(SPACE)
    line = ["tune", str(tmp_path / "train.py"), "--space", str(tmp_path / "space.toml"), "--metric", "score"]
    line += ["--goal", "max", "--resource", "epoch", "--max_resource", "3", "--max_resource_attr", "epochs"]
    line += ["--method", "ASHA", "--max_num_trials", "4", "--n_workers", "2", "--experiment_tag", "t"]
    line += ["--backend", "sagemaker", "--warm_pool", "1", "--speed", "300", "--network_isolation", isolation]
    line += ["--min_interval", "0.2"]
    process = start_process([*TUNEWRIGHT, *line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 300
    while n_results() < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert "NO AWS CREDENTIALS" in output
    assert shown()["status"] == "interrupted"

    assert "Best:    score" in tunewright("resume", "t")
    after = shown()
    assert after["status"] == "completed"
    assert after["trials"]["failed"] == 0
    assert sum(after["trials"].values()) == 4
    folder = next(iter(experiments("t")))
    starts = folder.journal_path.read_text().count('{"kind":"start"')
    assert (
        starts - 2 <= after["sagemaker"]["calls"]["CreateTrainingJob"] <= starts
    )  # killed before it wrote its account
    calls = after["sagemaker"]["calls"]
    assert not {"DescribeTrainingJob", "StopTrainingJob"} & set(calls)
    assert ("FilterLogEvents" in calls) == (isolation == "1")
    check_results(folder.journal_path)
    assert after["sagemaker"]["warm_starts"] > 0
    assert folder.metadata()["backend"]["config"]["endpoint"] == "embedded"
    assert "begins after epoch 0" in tunewright("logs", "t", "0")
    assert "begins after epoch 0" in ServiceLogs().read(folder, 0, "")["text"]  # the dashboard's
    tunewright("best", "t", "--copy_checkpoint", str(tmp_path / "copy"))
    assert json.loads((tmp_path / "copy" / "state.json").read_text()) >= after["best"]["resource"]


@pytest.mark.parametrize(
    "place", ["--backend local", "--backend sagemaker --warm_pool 1 --speed 300 --min_interval 0.2"]
)
def test_the_best_trial_that_stopped_at_a_third_is_trained_to_the_end(
    tmp_path: Path, place: str, tunewright: Callable[..., str], shown: Callable[[], dict[str, Any]]
) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text(SPACE)
    line = (
        f"tune {tmp_path}/train.py --space {tmp_path}/space.toml --metric score --goal max --resource epoch"
    )
    line += " --max_resource 9 --max_resource_attr epochs --method ASHA --max_num_trials 3"
    line += f" --n_workers 1 --experiment_tag t {place}"
    end = tunewright(*line.split())
    (folder,) = experiments("t")
    assert "No trial came to the end of its training: epoch 3 of 9 at most" in end
    assert f"tunewright best {folder.name} --retrain" in end
    best = shown()["best"]
    assert best["resource"] == 3

    said = tunewright("best", "t", "--retrain", "--yes")
    (again,) = experiments("best-t")
    assert f"score at the end: {3 * best['value']:.5g} (epoch 9); {best['value']:.5g} at epoch 3" in said
    trained = json.loads(tunewright("show", again.name, "--format", "json"))
    assert trained["best"]["config"] == best["config"]
    assert (trained["status"], trained["origin"], trained["best"]["resource"]) == (
        "completed",
        folder.name,
        9,
    )
    if "sagemaker" in place:
        assert trained["sagemaker"]["calls"]["CreateTrainingJob"] == 1
    check_results(again.journal_path)

    tunewright("best", "@last", "--copy_checkpoint", str(tmp_path / "weights"))
    assert json.loads((tmp_path / "weights" / "state.json").read_text()) == 9
