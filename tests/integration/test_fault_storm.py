"""The fault storm of perf/sagemaker, small: nothing is lost and nothing stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

STORM = Path(__file__).parents[2] / "perf" / "sagemaker" / "storm.py"


def test_a_storm_of_faults_loses_nothing(tmp_path: Path) -> None:
    """Interruptions, capacity and internal errors, lost answers, throttling, and a tuner that is killed on its way."""
    out = tmp_path / "out.json"
    command = [sys.executable, str(STORM), "--folder", str(tmp_path), "--out", str(out), "--method", "ASHA"]
    command += ["--seeds", "0", "--trials", "24", "--n_workers", "12", "--kills", "1"]
    command += ["--speed", "200", "--min_interval", "0.05", "--storm_pause", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (one,) = json.loads(out.read_text())
    assert (one["wrong"], one["kills"]) == ([], 1)
