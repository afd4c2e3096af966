"""Scripts of Syne Tune's own form are tuned unmodified, by both backends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.backends.local.config import LocalConfig
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.experiments import Experiment, Limits, method, run_experiment
from tunewright.metric import Goal, Metric
from tunewright.space import Float, SearchSpace

BY_HAND = """
import argparse, json, os, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--st_checkpoint_dir", type=str)
args, _ = parser.parse_known_args()
state = os.path.join(args.st_checkpoint_dir, "epoch.json")
start = json.load(open(state))["epoch"] if os.path.exists(state) else 0
for epoch in range(start + 1, args.epochs + 1):
    os.makedirs(args.st_checkpoint_dir, exist_ok=True)
    json.dump({"epoch": epoch}, open(state, "w"))
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "acc": args.lr * epoch, "started_after": start}), flush=True)
    time.sleep(0.3)
"""
WITH_REPORTER = """
from argparse import ArgumentParser
from syne_tune import Reporter
from syne_tune.constants import ST_CHECKPOINT_DIR
parser = ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--" + ST_CHECKPOINT_DIR, type=str)
args = parser.parse_args()
report = Reporter()
for epoch in range(1, args.epochs + 1):
    report(epoch=epoch, acc=args.lr * epoch, started_after=0)
"""
EMBEDDED = SageMakerConfig(endpoint="embedded", speed=300.0, warm_pool=True, min_interval=0.2)


@pytest.mark.parametrize("script", [BY_HAND, WITH_REPORTER], ids=["by_hand", "reporter"])
@pytest.mark.parametrize("backend", [LocalConfig(), EMBEDDED], ids=["local", "sagemaker"])
def test_unmodified(tmp_path: Path, script: str, backend: Any) -> None:
    path = tmp_path / "train_height.py"
    path.write_text(script)
    benchmark = RealBenchmarkDefinition(
        name="height",
        script=str(path),
        space=SearchSpace({"lr": Float(0.1, 1.0), "epochs": 4}),
        metrics=(Metric("acc", Goal.MAXIMIZE),),
        n_workers=2,
        resource_attr="epoch",
        max_resource_attr="epochs",
    )
    outcome = run_experiment(
        Experiment(
            tag="syne",
            benchmark=benchmark,
            method=method("ASHA", kind="promotion", eta=2) if script is BY_HAND else method("RandomSearch"),
            label="method",
            backend=backend,
            limits=Limits(max_num_trials=4 if script is BY_HAND else 2),
        )
    )
    rows = [result for trial in outcome.trials for result in outcome.history.results(trial.id)]
    assert outcome.best is not None
    assert max(result.resource for result in rows) == 4
    assert json.dumps(outcome.to_json())
    if script is BY_HAND:
        assert max(result.metrics["started_after"] for result in rows) >= 1  # resumed from its checkpoint
