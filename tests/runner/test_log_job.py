"""A run in a job that has no network: lines of the log out, folders in and out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.runner import log_lines
from tunewright.runner.channel import EXITED, TERMINATED, UNTIL, End, Report
from tunewright.runner.checkpoints import SyncedCheckpoints, load_from
from tunewright.runner.log_lines import LINE_BYTES

SCRIPT = """
import argparse, json, os, pathlib, signal, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--leave", type=int, default=0)
parser.add_argument("--text", default="")
options = parser.parse_args()
weights = pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "deep", "weights")
weights.parent.mkdir(exist_ok=True)
done = int(weights.read_text()) if weights.exists() else 0
for epoch in range(done + 1, options.epochs + 1):
    weights.write_text(str(epoch))
    print("[tune-metric]:", json.dumps({"epoch": epoch, "text": options.text}), flush=True)
    print("no end of line", end="", flush=True)
    if epoch == options.leave:
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
    if str(epoch) == os.environ["TUNEWRIGHT_UNTIL"]:
        time.sleep(60)
"""


def read(lines: list[str]) -> list[Report | End]:
    """The messages of a log, in order."""
    found: list[Report | End] = []
    parts: list[log_lines.Part] = []
    for part in filter(None, map(log_lines.decode, lines)):
        parts.append(part)
        if part.number == part.n_parts:
            found.append(log_lines.message_of(parts))
            parts = []
    return found


@given(
    text=st.text(max_size=60),
    n=st.integers(0, 400),
    seq=st.integers(1, 10**9),
    before=st.text(st.characters(exclude_characters="\n[", codec="utf-8"), max_size=9),
)
@settings(max_examples=40, deadline=None)
def test_any_message_comes_back(text: str, n: int, seq: int, before: str) -> None:
    message = Report(seq, 3, {"text": text * n, "nothing": None}, 0.1, 1.7e9)
    lines = log_lines.encode("3-1-2", seq, message)
    assert all(len(line) <= LINE_BYTES and line.endswith(b"\n") for line in lines)
    shown = [before + line.decode().rstrip("\n") for line in lines]
    assert [log_lines.without_messages(line) for line in shown] == [before] * len(lines)
    parts = [part for part in map(log_lines.decode, shown) if part is not None]
    assert {(p.trial_id, p.attempt, p.retry, p.seq, p.is_end) for p in parts} == {(3, 1, 2, seq, False)}
    assert log_lines.message_of(parts) == message


def test_other_lines_are_passed_over() -> None:
    (line,) = log_lines.encode("3-1-2", 1, End(EXITED, 0, "", 0.1, 1.0, None))
    assert log_lines.decode("[tune-metric]: {}") is None
    for wrong in (line.decode().replace('"exit"', '"way out"'), line.decode()[:-9]):
        part = log_lines.decode(wrong.rstrip())
        assert part is not None
        with pytest.raises(ValueError, match=r"runner|delimiter|Expecting|Unterminated"):
            log_lines.message_of([part])


class Job:
    """A folder like /opt/ml, and the runner in it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "input" / "config").mkdir(parents=True)
        code = base / "input" / "data" / "code"
        (code / "source").mkdir(parents=True)
        (code / "source" / "train.py").write_text(SCRIPT)
        order = {"script": "train.py", "resource_attr": "epoch", "arguments": "list", "booleans": "value"}
        self.job: dict[str, Any] = {"order": order, "poll_seconds": 1.0, "checkpoint_seconds": 100.0}

    def run(self, parameter: str, **facts: Any) -> tuple[int, list[str]]:
        """Exit code of the runner, and the lines that it printed."""
        known = {"trial_id": 0, "attempt": 0, "retry": 0, "until": None, "resume_from": 0, "source": None}
        (self.base / "input" / "data" / "code" / "job.json").write_text(json.dumps(self.job))
        parameters = self.base / "input" / "config" / "hyperparameters.json"
        parameters.write_text(json.dumps({"tunewright_config": parameter}))
        ended = subprocess.run(
            [sys.executable, "-m", "tunewright.runner", "logs", str(self.base)],
            env={**os.environ, "TUNEWRIGHT_RUN": json.dumps(known | facts)},
            stdout=subprocess.PIPE,
            check=False,
        )
        return ended.returncode, ended.stdout.decode().splitlines()

    def kept(self, resource: int) -> str:
        """What a checkpoint in the copied folder holds."""
        return (self.base / "kept" / str(resource) / "deep" / "weights").read_text()

    def bring(self, resource: int) -> None:
        """The service brings a kept checkpoint as an input channel, into a new job."""
        channel = self.base / "input" / "data" / "tunewright-checkpoint"
        (self.base / "kept" / str(resource)).rename(channel)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "ml")


def test_a_run_and_the_next_one(job: Job) -> None:
    """The first ends at its rung; the second goes on from what the first kept."""
    code, lines = job.run('{"epochs": 4}', until=2)
    *reports, end = read(lines)
    assert code == 0
    assert [report.metrics["epoch"] for report in reports if isinstance(report, Report)] == [1, 2]
    assert isinstance(end, End)
    assert (end.cause, end.checkpoint, job.kept(2)) == (UNTIL, 2, "2")
    job.bring(2)
    code, lines = job.run('{"epochs": 4}', attempt=1, resume_from=2, source=[0, 2])
    first, *_, end = read(lines)
    assert isinstance(first, Report)
    assert isinstance(end, End)
    assert (code, first.metrics["epoch"], end.cause, job.kept(4)) == (0, 3, EXITED, "4")


def test_a_stop_keeps_the_checkpoint(job: Job) -> None:
    """SIGTERM is the only way in which such a job can be told anything."""
    job.job["checkpoint_seconds"] = 0.0
    code, lines = job.run('{"epochs": 9, "leave": 2}')
    end = read(lines)[-1]
    assert isinstance(end, End)
    assert (code, end.cause, end.checkpoint, job.kept(2)) == (0, TERMINATED, 2, "2")
    assert [folder.name for folder in (job.base / "kept").iterdir()] == ["2"], "those on the way are gone"


def test_what_is_too_long(job: Job) -> None:
    """A configuration that no hyperparameter holds comes by a channel, and a long report in several lines."""
    channel = job.base / "input" / "data" / "tunewright-config"
    channel.mkdir()
    (channel / "0-0-0.json").write_text(json.dumps({"epochs": 1, "text": "ü" * 3000}))
    code, lines = job.run("s3://bucket/prefix/configs/0-0-0.json")
    report, _ = read(lines)
    assert isinstance(report, Report)
    assert (code, report.metrics["text"]) == (0, "ü" * 3000)


def test_a_second_instance_says_and_keeps_nothing(job: Job) -> None:
    resources = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}
    (job.base / "input" / "config" / "resourceconfig.json").write_text(json.dumps(resources))
    code, lines = job.run('{"epochs": 1}')
    assert (code, read(lines)) == (0, [])
    assert not (job.base / "kept").exists()


def test_what_is_not_whole_is_not_loaded(tmp_path: Path) -> None:
    content, target = tmp_path / "content", tmp_path / "target"
    for folder in (content, target):
        folder.mkdir()
    synced = SyncedCheckpoints(tmp_path / "kept")
    assert not synced.keep(content, 1), "an empty folder is no checkpoint"
    (content / "weights").write_text("12")
    assert synced.keep(content, 1)
    assert synced.keep(content, 1), "it is there"
    (tmp_path / "kept" / "1" / "weights").write_text("1")
    with pytest.raises(FileNotFoundError, match="2 bytes"):
        load_from(tmp_path / "kept" / "1", target)
