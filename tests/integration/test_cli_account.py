"""``tunewright sagemaker``: quotas, and what a crash left, on the embedded endpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tunewright.storage import experiments

SCRIPT = """
import time
print('[tune-metric]: {"score": 1.0}', flush=True)
time.sleep(600)
"""
IS_STRICT = os.environ.get("SAGEMAKER_EMULATOR_PRESET") == "strict"
TUNEWRIGHT = (sys.executable, "-m", "tunewright")


@pytest.mark.slow
def test_quotas_are_compared_with_the_need(tunewright: Callable[..., str]) -> None:
    line = ("sagemaker", "quotas", "--benchmark", "mlp_digits", "--endpoint", "embedded", "--warm_pool", "1")
    assert "ml.c5.xlarge for training warm pool usage" in tunewright(*line)
    short = tunewright(*line, "--n_workers", "500", "--trial_seconds", "10", "--format", "json", code=3)
    missing = {entry["quota"]: entry for entry in json.loads(short) if entry["is_missing"]}
    assert missing.keys() == {
        "ml.c5.xlarge for training job usage",
        "ml.c5.xlarge for training warm pool usage",
        "Rate of CreateTrainingJob requests",
        *(["Number of instances across all training jobs"] if IS_STRICT else []),
    }
    assert "--desired-value 500" in missing["ml.c5.xlarge for training job usage"]["remedy"]


@pytest.mark.slow
def test_jobs_of_a_killed_tuner_are_shown_and_ended(
    tmp_path: Path, start_process: Callable[..., subprocess.Popen[bytes]], tunewright: Callable[..., str]
) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
    line = ["tune", str(tmp_path / "train.py"), "--space", str(tmp_path / "space.toml"), "--metric", "score"]
    line += ["--goal", "max", "--method", "RS", "--max_num_trials", "2", "--n_workers", "2"]
    line += ["--experiment_tag", "t", "--backend", "sagemaker", "--speed", "300", "--min_interval", "0.2"]
    process = start_process([*TUNEWRIGHT, *line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 300
    while sum(path.read_text().count('"kind":"result"') for path in journals()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=300)

    shown = tunewright("sagemaker", "cleanup", "--tag", "t", "--dry_run")
    assert shown.count("1 x ml.c5.xlarge") == 2
    assert "Together $0.41 per hour (table, us-east-1, 2026-09-27)" in shown
    assert "0 jobs stopped" in shown
    assert "0 experiments" in tunewright("sagemaker", "cleanup", "--endpoint", "aws")
    ended = tunewright("sagemaker", "cleanup", "--tag", "t", "--endpoint", "embedded")
    assert "1 experiment looked at: 2 jobs stopped" in ended
    while "1 x ml.c5.xlarge" in tunewright("sagemaker", "cleanup", "--dry_run"):
        assert time.monotonic() < deadline + 300


def journals() -> list[Path]:
    return [folder.journal_path for folder in experiments("t") if folder.journal_path.exists()]
