"""The examples run as they stand."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tunewright.experiments import load_outcome
from tunewright.storage import experiments

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_function_is_tuned() -> None:
    assert run(sys.executable, "examples/tune_function.py").startswith("Best(trial_id=")


def test_a_script_is_tuned_by_the_command_in_its_docstring() -> None:
    text = (ROOT / "examples" / "train.py").read_text()
    command = text[text.index("    tunewright tune") : text.index("\n\nand with")].replace("\\\n", " ")
    assert "Best:    loss" in run(*shlex.split(command), "--max_num_trials", "5")
    outcome = load_outcome(next(iter(experiments("train"))))
    assert outcome.status == "completed"
    assert outcome.history.n_trials == 5


def test_the_launchers_folder_runs_as_documented() -> None:
    command = (
        "benchmarking/nursery/launch_local/hpo_main.py --experiment_tag tutorial_local --benchmark mlp_digits"
    )
    more = "--method ASHA --num_seeds 1 --max_num_trials 2"
    assert "Best:    accuracy" in run(sys.executable, *command.split(), *more.split())
