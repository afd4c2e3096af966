"""``tunewright request``: to an experiment without a tuner, to a live one, and to one that was killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tunewright.cli import main
from tunewright.cli import request as command
from tunewright.events import RequestEvent, encode_event
from tunewright.experiments import load_outcome
from tunewright.experiments.remote_marker import RemoteMarker, write_marker
from tunewright.journal import read_events
from tunewright.storage import ExperimentFolder, find_experiment
from tunewright.trial import TrialStatus

SCRIPT = """
import argparse, json, os, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--checkpoint_dir")
given = parser.parse_args()
done = pathlib.Path(given.checkpoint_dir, "epoch")
epoch = int(done.read_text()) if done.exists() else 0
go = pathlib.Path(__file__).with_name("go")
while epoch < given.epochs:
    while epoch == 1 and not go.exists():
        time.sleep(0.02)
    epoch += 1
    done.write_text(str(epoch))
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "loss": given.x / epoch}), flush=True)
"""
SPACE = """
[x]
type = "float"
low = 0.0
high = 1.0
"""
Request = Callable[..., tuple[int, str]]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[list[str]]:
    """A command line that tunes a script, which waits after its first epoch until the file ``go`` is there."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text(SPACE)
    yield [
        "tune",
        *(str(tmp_path / "train.py"), "--space", str(tmp_path / "space.toml"), "--metric", "loss"),
        *("--resource", "epoch", "--method", "RandomSearch", "--max_num_trials", "2", "--n_workers", "2"),
    ]
    (tmp_path / "go").touch()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Request:
    """Calls ``tunewright``; returns the exit code and all that it prints."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(list(arguments))
        return int(exited.value.code or 0), "".join(capsys.readouterr())

    return run


@pytest.fixture
def finished(job: list[str], call: Request, tmp_path: Path) -> ExperimentFolder:
    """An experiment of two trials that has ended."""
    (tmp_path / "go").touch()
    assert call(*job)[0] == 0
    return find_experiment("@last")


def test_without_a_tuner_requests_wait_for_a_resume(finished: ExperimentFolder, call: Request) -> None:
    code, text = call("request", "limits", "@last", "--max_num_trials", "3", "--reason", "more")
    assert code == 0
    assert f"tunewright resume {finished.name}" in text
    assert call("request", "try", "@last", "x=0.25")[0] == 0
    assert call("request", "workers", "@last", "1")[0] == 0
    assert call("request", "note", "@last", "odd\x1b[31m", "--trial", "1")[0] == 0
    shown = call("show", "@last")[1]
    assert "waits: change limits max_num_trials=3" in shown
    assert "waits: try config x=0.25" in shown
    assert call("resume", "@last")[0] == 0
    outcome = load_outcome(finished)
    assert [trial.config["x"] for trial in outcome.trials][2:] == [0.25]
    assert outcome.metadata.limits.max_num_trials == 3
    assert outcome.metadata.benchmark.n_workers == 1
    assert [event.reason for event in outcome.requests] == ["more", "", "", ""]
    shown = call("show", "@last")[1]
    assert "waits" not in shown
    assert "note on trial 1: odd [31m" in shown
    data = json.loads(call("show", "@last", "--format", "json")[1])
    assert [one["done"] for one in data["requests"]] == ["change_limits", "try_config", "set_workers", "note"]


def test_a_waiting_request_is_taken_back(finished: ExperimentFolder, call: Request) -> None:
    _, text = call("request", "stop", "@last", "0")
    number = text.split()[-1]
    assert call("request", "cancel", "@last", number) == (0, f"Taken back: {number}\n")
    assert call("request", "cancel", "@last", number)[0] == 2
    assert not list(finished.requests_path.iterdir())


BAD = (
    (("try", "@last", "x=7"), "x: '7' is outside"),
    (("try", "@last", "x"), "NAME=VALUE"),
    (("try", "@last"), "empty"),
    (("limits", "@last"), "No limit"),
    (("limits", "@last", "--max_wallclock_time", "soon"), "no time"),
    (("note", "@last", " "), "note"),
    (("workers", "@last", "0"), "n_workers"),
)


def test_bad_requests_are_one_line(finished: ExperimentFolder, call: Request) -> None:
    for arguments, cause in BAD:
        code, text = call("request", *arguments)
        assert code == 2, arguments
        assert cause.lower() in text.lower()
        assert text.count("\n") == 1
    assert not finished.requests_path.exists()


def test_a_request_to_a_tuning_job_is_answered_by_its_journal(
    finished: ExperimentFolder, call: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = RemoteMarker(tag="far", name="far-0", state="running", looked_at=0.0)
    write_marker(finished.path, marker)
    code, text = call("request", "stop", "@last")
    assert code == 2
    assert "far was launched from another machine" in text

    def fetch(*_: object) -> None:
        arguments = {"request": "7", "text": "far"}
        event = RequestEvent(
            t=9.0, wall=9.0, action="note", trial_id=None, arguments=arguments, done="note", reason=""
        )
        with finished.journal_path.open("ab") as journal:
            journal.write(encode_event(event))

    launch = SimpleNamespace(look=list)
    monkeypatch.setattr(command, "open_launch", lambda tag: contextlib.nullcontext(launch))
    monkeypatch.setattr(command, "send_request", lambda *_: "7")
    monkeypatch.setattr(command, "fetch_views", fetch)
    monkeypatch.setattr(command, "_REMOTE_LOOK", 0.0)
    code, text = call("request", "note", "@last", "far")
    assert code == 0
    assert "in the tuning job of far-0" in text
    assert "Done: note: far" in text
    code, text = call("request", "note", "@last", "far", "--wait", "0")
    assert code == 0
    assert "waits in S3" in text
    assert "tunewright remote fetch far" in text


def _until(is_true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60.0
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_live_tuner_answers_and_a_killed_one_has_done_everything_once(
    job: list[str], call: Request, tmp_path: Path
) -> None:
    line = [sys.executable, "-m", "tunewright", *job, "--experiment_tag", "live"]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tuner:
        try:
            root = Path(os.environ["TUNEWRIGHT_HOME"]) / "experiments" / "live"
            _until(lambda: list(root.glob("*/journal.jsonl")))
            folder = find_experiment("@last")
            _until(lambda: load_outcome(folder).history.n_results == 2)
            assert (
                "Done: pause trial 0 (busy)" in call("request", "pause", "@last", "0", "--reason", "busy")[1]
            )
            code, text = call("request", "stop", "@last", "9")
            assert (code, "Refused: There is no trial 9" in text) == (2, True)
            _until(lambda: load_outcome(folder).history.ids(TrialStatus.PAUSED))
        finally:
            tuner.send_signal(signal.SIGKILL)
    assert call("request", "resume", "@last", "0")[0] == 0
    (tmp_path / "go").touch()
    assert call("resume", "@last")[0] == 0
    history = load_outcome(folder).history
    assert len(history.ids(TrialStatus.COMPLETED)) == 2
    assert [(run.trial_id, run.resume_from) for run in history.runs] == [(0, 0), (1, 0), (0, 1)]
    events = [event for event in read_events(folder.journal_path) if isinstance(event, RequestEvent)]
    assert [event.action for event in events] == ["pause_trial", "stop_trial", "resume_trial"]
