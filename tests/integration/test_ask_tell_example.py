"""The example of a loop of one's own: trials are paused, go on, and the best one is good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_trials_go_on_where_they_were_paused() -> None:
    done = subprocess.run(
        [sys.executable, "examples/ask_tell.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary, best = done.stdout.splitlines()
    n_trials, n_resumed = int(summary.split()[0]), int(summary.split()[2])
    assert n_trials > 6
    assert n_resumed > n_trials
    assert float(best.partition("value=")[2].partition(",")[0]) < 0.25
