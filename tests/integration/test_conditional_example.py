"""The example with conditional hyperparameters: scripts get what is active, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tunewright.journal import read_journal
from tunewright.storage import experiments

ROOT = Path(__file__).resolve().parents[2]


def test_scripts_get_what_is_active() -> None:
    done = subprocess.run(
        [sys.executable, "examples/conditional.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Best(trial_id=")
    (folder,) = experiments("conditional")
    configs = [line["config"] for line in read_journal(folder.journal_path) if line["kind"] == "start"]
    assert len(configs) == 8
    for config in configs:
        inactive = "beta" if config["optimizer"] == "sgd" else "momentum"
        assert config.keys() == {"optimizer", "lr", "momentum", "beta"} - {inactive}
    assert {config["optimizer"] for config in configs} == {"sgd", "adam"}
