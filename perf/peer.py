"""What Syne Tune 0.13.0 takes for the work of ``workload.py``: run with its own interpreter, prints figures as JSON."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import time
from datetime import datetime

import numpy as np
from workload import (
    FLOATS,
    INTEGERS,
    LOG_FLOATS,
    MAX_EPOCH,
    N_SIMULATED_WORKERS,
    SIMULATED_EPOCHS,
    Meter,
    drive,
    loss,
    main,
)

with contextlib.redirect_stdout(sys.stderr):
    from syne_tune import StoppingCriterion, Tuner, config_space
    from syne_tune.backend.simulator_backend.simulator_backend import SimulatorConfig
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.backend.trial_status import Trial
    from syne_tune.blackbox_repository import UserBlackboxBackend
    from syne_tune.blackbox_repository.blackbox import Blackbox
    from syne_tune.optimizer.baselines import ASHA, RandomSearch
    from syne_tune.optimizer.scheduler import SchedulerDecision
    from syne_tune.tuner_callback import TunerCallback

logging.disable(logging.CRITICAL)
QUIET = {"debug_log": False}


def space() -> dict:
    """The workload's search space."""
    domains = {name: config_space.loguniform(low, high) for name, (low, high) in LOG_FLOATS.items()}
    domains |= {name: config_space.uniform(low, high) for name, (low, high) in FLOATS.items()}
    return domains | {name: config_space.randint(low, high) for name, (low, high) in INTEGERS.items()}


def random_search():
    """Random search on FIFO."""
    return RandomSearch(space(), metric="loss", mode="min", random_seed=0, search_options=dict(QUIET))


def asha(kind: str, max_epoch: int = MAX_EPOCH):
    """ASHA over random search."""
    return ASHA(
        {**space(), "epochs": max_epoch},
        metric="loss",
        mode="min",
        resource_attr="epoch",
        max_resource_attr="epochs",
        type=kind,
        random_seed=0,
        search_options=dict(QUIET),
    )


class PeerSide:
    """What its Tuner does with a scheduler, without a backend."""

    def __init__(self, scheduler, meter: Meter) -> None:
        self.scheduler = scheduler
        self.meter = meter
        self.trials: dict[int, Trial] = {}
        self.epochs: dict[int, int] = {}

    def suggest(self):
        start = time.process_time()
        suggestion = self.scheduler.suggest(trial_id=len(self.trials))
        if suggestion is None:
            return None
        if suggestion.spawn_new_trial_id:
            trial = Trial(len(self.trials), suggestion.config.copy(), datetime.now())
            self.scheduler.on_trial_add(trial=trial)
        self.meter.add("suggest", start)
        if suggestion.spawn_new_trial_id:
            self.trials[trial.trial_id] = trial
        else:
            trial = self.trials[suggestion.checkpoint_trial_id]
        return trial.trial_id, trial.config, self.epochs.get(trial.trial_id, 0), None

    def report(self, trial_id, epoch, value):
        trial = self.trials[trial_id]
        self.epochs[trial_id] = epoch
        result = {"epoch": epoch, "loss": value}
        start = time.process_time()
        decision = self.scheduler.on_trial_result(trial=trial, result=result)
        self.meter.add("report", start)
        if decision == SchedulerDecision.CONTINUE:
            return True
        if epoch == MAX_EPOCH:
            self.scheduler.on_trial_complete(trial, result)
        else:
            self.scheduler.on_trial_remove(trial)
        return False

    def complete(self, trial_id):
        result = {"epoch": MAX_EPOCH, "loss": 0.0}
        self.scheduler.on_trial_complete(self.trials[trial_id], result)


def figures(make) -> dict[str, float]:
    """Milliseconds of the scheduler's own work."""
    meter = Meter()
    drive(PeerSide(make(), meter))
    return {name: meter.milliseconds(name) for name in ("suggest", "report")}


class Curves(Blackbox):
    """The learning curves of the workload; an epoch takes a second."""

    def __init__(self) -> None:
        fidelity = {"epoch": config_space.randint(1, SIMULATED_EPOCHS)}
        super().__init__(space(), fidelity, ["loss", "elapsed_time"])

    @property
    def fidelity_values(self):
        return np.arange(1, SIMULATED_EPOCHS + 1)

    def _objective_function(self, configuration, fidelity=None, seed=None):
        if fidelity is not None:
            epoch = int(fidelity["epoch"])
            return {"loss": loss(configuration, epoch), "elapsed_time": float(epoch)}
        return np.array([[loss(configuration, epoch), epoch] for epoch in range(1, SIMULATED_EPOCHS + 1)])


class NextEvent(SimulatorCallback):
    """Goes to the next event at once instead of in steps of its waiting time: its fastest way."""

    def on_tuning_sleep(self, sleep_time):
        heap = self._tuner.trial_backend._simulator_state.event_heap
        self._time_keeper.advance_to(heap[0][0]) if heap else self._time_keeper.advance(0.01)


class Count(TunerCallback):
    """Counts results."""

    def __init__(self) -> None:
        self.results = 0

    def on_trial_result(self, trial, status, result, decision):
        self.results += 1


def simulated_promotion() -> dict[str, float]:
    """The same simulated experiment with fewer trials; its time per result grows with them, which is left out."""
    count = Count()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SYNETUNE_FOLDER"] = folder
        backend = UserBlackboxBackend(
            Curves(),
            "elapsed_time",
            max_resource_attr="epochs",
            seed=0,
            simulator_config=SimulatorConfig(0.0, 1e-3, 0.0, 0.0, 0.0),
        )
        start = time.process_time()
        Tuner(
            backend,
            asha("promotion", SIMULATED_EPOCHS),
            StoppingCriterion(max_num_trials_started=N_TRIALS_OF_PEER),
            N_SIMULATED_WORKERS,
            sleep_time=0,
            callbacks=[NextEvent(), count],
            save_tuner=False,
        ).run()
        total = time.process_time() - start
    return {"results": count.results, "ms_per_result": 1000 * total / count.results}


N_TRIALS_OF_PEER = 1000


if __name__ == "__main__":
    main(
        {
            "random": lambda: figures(random_search),
            "asha_stopping": lambda: figures(lambda: asha("stopping")),
            "asha_promotion": lambda: figures(lambda: asha("promotion")),
            "simulated_promotion": simulated_promotion,
        }
    )
