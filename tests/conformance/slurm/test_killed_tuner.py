"""The command line on a real cluster: ``kill -9`` of the tuner, and its continuation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conformance.slurm.cluster import Cluster

from tunewright.storage import experiments

TUNEWRIGHT = (sys.executable, "-m", "tunewright")
N_TRIALS = 3
N_EPOCHS = 4
SCRIPT = f"""
import time
from argparse import ArgumentParser
from tunewright.report import Reporter, load_newest, save_checkpoint
parser = ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
saved = load_newest()
report = Reporter()
for epoch in range(saved.step + 1 if saved else 1, {N_EPOCHS + 1}):
    time.sleep(0.5)
    save_checkpoint(epoch, {{}})
    report(epoch=epoch, loss=x / epoch)
"""


def results() -> list[dict[str, Any]]:
    lines = [
        json.loads(line)
        for folder in experiments("killed")
        if folder.journal_path.exists()
        for line in folder.journal_path.read_text().splitlines()
        if line.startswith('{"kind":"result"')
    ]
    return [line for line in lines if line["kind"] == "result"]


def test_a_killed_tuner_goes_on_with_the_jobs_that_run(
    cluster: Cluster, tmp_path: Path, start_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """Each epoch of each trial is heard once, and no job is begun again."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
    tune = ("tune", str(tmp_path / "train.py"), "--space", str(tmp_path / "space.toml"), "--metric", "loss")
    limits = ("--resource", "epoch", "--max_num_trials", str(N_TRIALS), "--n_workers", "2")
    slurm = ("--experiment_tag", "killed", "--backend", "slurm", "--squeue_seconds", "0.6")
    with (tmp_path / "out").open("wb") as out:
        process = start_process([*TUNEWRIGHT, *tune, *limits, *slurm], stdout=out, stderr=out)
    deadline = time.monotonic() + 120
    while len(results()) < 2:
        assert time.monotonic() < deadline, (tmp_path / "out").read_text()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(
        [*TUNEWRIGHT, "resume", "killed"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    heard = Counter((line["trial_id"], line["resource"]) for line in results())
    assert heard == Counter((trial, epoch) for trial in range(N_TRIALS) for epoch in range(1, N_EPOCHS + 1))
    names = [name for _, name, _ in cluster.jobs() if name.startswith("tw-killed-")]
    assert len(names) == N_TRIALS
    assert all(name.endswith("-0-0") for name in names)
