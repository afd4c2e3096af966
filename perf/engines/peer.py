"""The same trials by Ray Tune on the same cluster; run by measure.py with an interpreter that has ``ray[tune]``.

``python peer.py N_TRIALS N_WORKERS EPOCHS`` prints a JSON line: seconds since 1970 of each start, of each first report and of each end.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time

import ray
from ray import tune


class Times(tune.Callback):
    """Notes when trials start, report for the first time and end."""

    def __init__(self) -> None:
        self.started: dict[str, float] = {}
        self.reported: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def on_trial_start(self, iteration, trials, trial, **info) -> None:
        self.started.setdefault(trial.trial_id, time.time())

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
        self.reported.setdefault(trial.trial_id, time.time())

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:
        self.ended[trial.trial_id] = time.time()

    def on_trial_error(self, iteration, trials, trial, **info) -> None:
        raise SystemExit(f"trial {trial.trial_id} failed")


def train(config: dict[str, float]) -> None:
    for epoch in range(1, int(config["epochs"]) + 1):
        time.sleep(1.0)
        tune.report({"epoch": epoch, "loss": config["x"] / epoch})


def main(n_trials: int, n_workers: int, epochs: int) -> None:
    ray.init(address="auto", log_to_driver=False)
    times = Times()
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            param_space={"x": tune.uniform(0.0, 1.0), "epochs": epochs},
            tune_config=tune.TuneConfig(
                metric="loss", mode="min", num_samples=n_trials, max_concurrent_trials=n_workers
            ),
            run_config=tune.RunConfig(storage_path=folder, callbacks=[times], verbose=0),
        )
        tuner.fit()
    trials = [[times.started[one], times.reported[one], times.ended[one]] for one in times.ended]
    print(json.dumps({"began": began, "trials": trials}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
