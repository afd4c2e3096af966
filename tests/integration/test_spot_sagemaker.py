"""ASHA on spot instances of the embedded endpoint, which takes them away again and again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.integration.endpoints import kill_servers

from tunewright.aws import open_session, resolve_endpoint
from tunewright.backends.sagemaker import SageMakerBackend
from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.journal import FileJournal, read_events
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.jobs import job_settings
from tunewright.trial import Result, TrialStatus, Verdict
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
    time.sleep(0.7)
    state.with_suffix(".new").write_text(json.dumps(epoch))
    state.with_suffix(".new").replace(state)
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "loss": given.x / epoch, "begun": done}), flush=True)
"""
SPACE = SearchSpace({"x": Float(0.0, 1.0), "epochs": 8})
METRIC = Metric("loss")
RUNGS = ASHASettings(max_resource=8, grace_period=2, eta=2)
BEGINNINGS = (1, 3, 5)
"""The epochs at which runs from rung to rung report first."""
N_TRIALS = 4
SPEED = 100.0


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "endpoint"
    yield root
    kill_servers(root)


def add_faults(root: Path, *faults: dict[str, Any]) -> None:
    (state,) = (json.loads(file.read_text()) for file in root.glob("*/endpoint.json"))
    body = json.dumps({"faults": faults}).encode()
    line = HTTPConnection(urlsplit(state["url"]).netloc, timeout=300)
    line.request("POST", "/_faults", body, {"x-emulator-key": state["access_key"]})
    assert line.getresponse().status == 200
    line.close()


class TakeAway(Callback):
    """Takes the instance of each run away when its first report was seen."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        del verdict
        if result.resource in BEGINNINGS:
            attempt = max(run.attempt for run in history.runs if run.trial_id == trial_id)
            add_faults(self._root, {"kind": "spot_interruption", "target": f"*-{trial_id}-{attempt}-0"})


@pytest.mark.slow
def test_interrupted_trials_lose_nothing(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "source" / "train.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    session = open_session(resolve_endpoint("embedded", speed=SPEED), root=root)
    jobs = job_settings(
        script=str(script),
        n_workers=3,
        spot=True,
        min_interval=0.1,
        checkpoint_seconds=0.01,
        request_template={"RetryStrategy": {"MaximumRetryAttempts": 3}},
    )
    add_faults(root, {"kind": "internal_error", "target": "*-1-0-0", "seconds": 0.3})
    backend = SageMakerBackend(jobs.benchmark, jobs.config, experiment="spot", session=session)
    journal = FileJournal(tmp_path / "journal.jsonl")
    history = Tuner(
        ASHA(RandomSearcher(SPACE, seed=0), RUNGS, metric=METRIC, seed=0),
        backend,
        metrics=[METRIC],
        stop_when=MaxTrialsStarted(N_TRIALS),
        journal=journal,
        callbacks=[TakeAway(root)],
    ).run()
    journal.close()

    lines = list(read_events(tmp_path / "journal.jsonl"))
    results, ends, starts = (
        [line for line in lines if line.kind == kind] for kind in ("result", "end", "start")
    )
    assert history.n_trials == N_TRIALS
    assert not history.ids(TrialStatus.FAILED)
    assert len(ends) == len(starts), "every run ended, and once"
    for trial in range(N_TRIALS):
        resources = [result.resource for result in history.results(trial)]
        assert resources == list(range(1, len(resources) + 1)), "no result is lost or twice"
    keys = {(line.trial_id, line.attempt, line.retry, line.seq) for line in results}
    assert len(keys) == len(results)
    lived_on = [line for line in results if line.retry > 0]
    assert lived_on, "nothing was interrupted: the test shows nothing"
    assert any(line.metrics["begun"] in BEGINNINGS for line in lived_on), "lives go on from a checkpoint"
    summary = backend.summary()
    assert summary.jobs == summary.calls["CreateTrainingJob"] == len(starts), (
        "the service replaced them itself"
    )
    assert summary.interruptions > 0
    assert summary.spot_saved_seconds > summary.billable_seconds > 0
