"""ASHA on spot instances of the embedded endpoint, which takes them away again and again."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tunewright.aws import open_session, resolve_endpoint
from tunewright.backends.sagemaker import SageMakerBackend, SageMakerSettings, TrainingScript
from tunewright.journal import FileJournal, read_journal
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.searchers.random import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.trial import TrialStatus
from tunewright.tuner import Tuner

SCRIPT = """
import argparse, json, os, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
given = parser.parse_args()
state = pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "state.json")
done = json.loads(state.read_text()) if state.exists() else 0
for epoch in range(done + 1, given.epochs + 1):
    time.sleep(0.15)
    state.with_suffix(".new").write_text(json.dumps(epoch))
    state.with_suffix(".new").replace(state)
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "loss": given.x / epoch, "begun": done}), flush=True)
"""
SPACE = SearchSpace({"x": Float(0.0, 1.0), "epochs": 9})
METRIC = Metric("loss")
N_TRIALS = 6
SPEED = 200.0


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "endpoint"
    yield root
    for state in root.glob("*/endpoint.json"):
        pid = json.loads(state.read_text())["pid"]
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def add_faults(root: Path, *faults: dict[str, Any]) -> None:
    (state,) = (json.loads(file.read_text()) for file in root.glob("*/endpoint.json"))
    body = json.dumps({"faults": faults}).encode()
    line = HTTPConnection(urlsplit(state["url"]).netloc, timeout=20)
    line.request("POST", "/_faults", body, {"x-emulator-key": state["access_key"]})
    assert line.getresponse().status == 200
    line.close()


@pytest.mark.slow
def test_interrupted_trials_lose_nothing(root: Path, tmp_path: Path) -> None:
    """Half of all lives are cut half a second after they began to train; some instances are lost without notice."""
    script = tmp_path / "source" / "train.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    session = open_session(resolve_endpoint("embedded", speed=SPEED), root=root)
    settings = SageMakerSettings(
        n_workers=3,
        spot=True,
        min_interval=0.1,
        checkpoint_seconds=0.1,
        request_template={"RetryStrategy": {"MaximumRetryAttempts": 3}},
    )
    add_faults(
        root,
        {"kind": "spot_interruption", "seconds": 0.5, "probability": 0.5, "count": None},
        {"kind": "internal_error", "seconds": 0.6, "probability": 0.2, "count": None},
    )
    backend = SageMakerBackend(
        TrainingScript(path=str(script), resource_attr="epoch"),
        experiment="spot",
        session=session,
        settings=settings,
    )
    scheduler = ASHA(RandomSearcher(SPACE, seed=0), ASHASettings(max_resource=9), metric=METRIC, seed=0)
    journal = FileJournal(tmp_path / "journal.jsonl")
    tuner = Tuner(scheduler, backend, metrics=[METRIC], stop_when=MaxTrialsStarted(N_TRIALS), journal=journal)
    history = tuner.run()
    journal.close()

    lines = list(read_journal(tmp_path / "journal.jsonl"))
    results = [line for line in lines if line["kind"] == "result"]
    ends = [line for line in lines if line["kind"] == "end"]
    starts = [line for line in lines if line["kind"] == "start"]
    assert history.n_trials == N_TRIALS
    assert len(ends) == len(starts), "every run ended, and once"
    assert not history.ids(TrialStatus.FAILED)
    for trial in range(N_TRIALS):
        resources = [result.resource for result in history.results(trial)]
        assert resources == list(range(1, len(resources) + 1)), "no result is lost or twice"
    keys = Counter((line["trial_id"], line["attempt"], line["retry"], line["seq"]) for line in results)
    assert set(keys.values()) == {1}
    lived_on = [line for line in results if line["retry"] > 0]
    assert lived_on, "nothing was interrupted: the test shows nothing"
    assert any(line["metrics"]["begun"] > 0 for line in lived_on), "lives go on from a checkpoint"
    summary = backend.summary()
    assert summary.jobs == summary.calls["CreateTrainingJob"] == len(starts), (
        "the service replaced them itself"
    )
    assert summary.interruptions > 0
    assert summary.spot_saved_seconds > summary.billable_seconds > 0
