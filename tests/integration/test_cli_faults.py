"""``tunewright tune`` as a process: Ctrl-C, kill -9, two at once; always goes on as if nothing had been."""

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

from tunewright.storage import experiments

SCRIPT = """
import argparse, json, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--checkpoint_dir", type=pathlib.Path)
given = parser.parse_args()
state = given.checkpoint_dir / "state.json"
done = json.loads(state.read_text()) if state.exists() else 0
for epoch in range(done + 1, given.epochs + 1):
    time.sleep(0.1)
    state.with_suffix(".new").write_text(json.dumps(epoch))
    state.with_suffix(".new").replace(state)
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "score": given.x * epoch}), flush=True)
"""
SPACE = '[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'
Begin = Callable[[list[str]], subprocess.Popen[str]]
N_TRIALS = 6
N_EPOCHS = 4


@pytest.fixture
def line(tmp_path: Path) -> list[str]:
    """A command line that takes about three seconds."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text(SPACE)
    command = [
        sys.executable,
        "-m",
        "tunewright",
        "tune",
        str(tmp_path / "train.py"),
        "--experiment_tag",
        "t",
    ]
    command += [
        "--space",
        str(tmp_path / "space.toml"),
        "--metric",
        "score",
        "--goal",
        "max",
        "--n_workers",
        "2",
    ]
    command += ["--resource", "epoch", "--max_resource", str(N_EPOCHS), "--max_resource_attr", "epochs"]
    return [*command, "--max_num_trials", str(N_TRIALS)]


@pytest.fixture
def begin(start_process: Callable[..., subprocess.Popen[str]]) -> Begin:
    """Starts a command line in a session of its own."""

    def begin(line: list[str]) -> subprocess.Popen[str]:
        return start_process(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    return begin


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def n_results() -> int:
    return sum(
        line.startswith('{"kind":"result"')
        for folder in experiments("t")
        if folder.journal_path.exists()
        for line in folder.journal_path.read_text().splitlines()
    )


def check_complete(shown: dict[str, Any]) -> None:
    assert shown["status"] == "completed"
    assert shown["trials"] == {"completed": N_TRIALS, "stopped": 0, "paused": 0, "failed": 0}
    assert shown["num_results"] == N_TRIALS * N_EPOCHS


def test_ctrl_c_ends_in_order_and_resume_completes(
    line: list[str], begin: Begin, tunewright: Callable[..., str]
) -> None:
    process = begin(line)
    wait_until(lambda: n_results() >= 3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    assert "interrupted" in output
    assert "Interrupted: ending" in output
    assert "tunewright resume" in output
    assert "Traceback" not in output
    assert json.loads(tunewright("show", "t", "--format", "json"))["status"] == "interrupted"
    tunewright("resume", "t")
    check_complete(json.loads(tunewright("show", "t", "--format", "json")))


def test_a_killed_tuner_goes_on_where_it_was(
    line: list[str], begin: Begin, tunewright: Callable[..., str]
) -> None:
    for at_least in (2, 9):
        process = begin(line) if at_least == 2 else begin([sys.executable, "-m", "tunewright", "resume", "t"])
        wait_until(lambda least=at_least: n_results() >= least)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=300)
    before = json.loads(tunewright("show", "t", "--format", "json"))
    assert before["status"] == "interrupted"
    tunewright("resume", "t")
    after = json.loads(tunewright("show", "t", "--format", "json"))
    check_complete(after)
    assert after["num_results"] >= before["num_results"]
    configs = [trial["config"] for trial in journal_starts()]
    assert len({json.dumps(config) for config in configs}) == N_TRIALS


def journal_starts() -> list[dict[str, Any]]:
    folder = next(iter(experiments("t")))
    lines = map(json.loads, folder.journal_path.read_text().splitlines())
    return [line for line in lines if line["kind"] == "start" and line["attempt"] == 0]


def test_two_runs_of_one_tag_at_once_do_not_meet(
    line: list[str], begin: Begin, tunewright: Callable[..., str]
) -> None:
    processes = [begin([*line, "--max_num_trials", "2"]) for _ in range(2)]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    shown = [json.loads(tunewright("show", folder.name, "--format", "json")) for folder in experiments("t")]
    assert [entry["trials"]["completed"] for entry in shown] == [2, 2]


def test_a_reader_that_goes_away_is_no_traceback(start_process: Callable[..., subprocess.Popen[str]]) -> None:
    command = [sys.executable, "-m", "tunewright", "benchmarks", "mlp_digits"]
    process = start_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=300) == 1
