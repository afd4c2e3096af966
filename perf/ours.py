"""What Tunewright takes for the work of ``workload.py``: ``python perf/ours.py TASK`` prints figures as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

from workload import (
    FLOATS,
    INTEGERS,
    LOG_FLOATS,
    MAX_EPOCH,
    N_SIMULATED_TRIALS,
    N_SIMULATED_WORKERS,
    SIMULATED_EPOCHS,
    Meter,
    drive,
    loss,
    main,
)

from tunewright.backends.simulated import SimulatedBackend
from tunewright.interfaces import Callback, Scheduler
from tunewright.journal import FileJournal, Journal, MemoryJournal
from tunewright.ledger import Ledger
from tunewright.metric import Metric
from tunewright.runner.build import build_runner
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, Integer, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.trial import Checkpoint, Decision, Ended, Reported, Resume, Start
from tunewright.tuner import Tuner

METRIC = Metric("loss")


def space() -> SearchSpace:
    """The workload's search space."""
    domains = {name: Float(low, high, log=True) for name, (low, high) in LOG_FLOATS.items()}
    domains |= {name: Float(low, high) for name, (low, high) in FLOATS.items()}
    return SearchSpace(domains | {name: Integer(low, high) for name, (low, high) in INTEGERS.items()})


def asha(kind: str, max_resource: int = MAX_EPOCH) -> ASHA:
    """ASHA over random search."""
    settings = ASHASettings(max_resource=max_resource, kind=kind)
    return ASHA(RandomSearcher(space(), seed=0), settings, metric=METRIC, seed=0)


class Metered(Scheduler):
    """Passes every call on and measures it."""

    def __init__(self, inner: Scheduler, meter: Meter) -> None:
        self.inner = inner
        self.meter = meter

    def suggest(self, history):
        start = time.process_time()
        suggestion = self.inner.suggest(history)
        self.meter.add("suggest", start)
        return suggestion

    def on_trial_start(self, history, run):
        start = time.process_time()
        self.inner.on_trial_start(history, run)
        self.meter.add("suggest", start, calls=0)

    def on_trial_result(self, history, trial_id, result):
        start = time.process_time()
        verdict = self.inner.on_trial_result(history, trial_id, result)
        self.meter.add("report", start)
        return verdict

    def on_trial_end(self, history, trial_id, status):
        self.inner.on_trial_end(history, trial_id, status)

    def resumable(self, history):
        return self.inner.resumable(history)


class OurSide:
    """The ledger drives the scheduler, as in the Tuner."""

    def __init__(self, scheduler: Scheduler, journal: Journal, meter: Meter) -> None:
        self.scheduler = scheduler
        self.ledger = Ledger(scheduler, journal, [METRIC])
        self.meter = meter
        self.seq: dict[int, int] = {}

    def suggest(self):
        start = time.process_time()
        suggestion: Start | Resume | None = self.scheduler.suggest(self.ledger.history)
        if suggestion is None:
            return None
        run = self.ledger.begin(suggestion, now=0.0)
        self.meter.add("suggest+journal", start)
        self.seq[run.trial_id] = 0
        config = self.ledger.history.trial(run.trial_id).config
        return run.trial_id, config, run.resume_from, run.until

    def report(self, trial_id, epoch, value):
        self.seq[trial_id] += 1
        attempt = self.ledger.history.run(trial_id).attempt
        seq = self.seq[trial_id]
        metrics = {"epoch": epoch, "loss": value}
        start = time.process_time()
        event = Reported(trial_id=trial_id, attempt=attempt, seq=seq, resource=epoch, metrics=metrics)
        handled = self.ledger.report(event, now=0.0)
        self.meter.add("report+journal", start)
        goes_on = handled.verdict.decision is Decision.CONTINUE
        if not goes_on:
            self.end(trial_id, attempt, epoch)
        return goes_on

    def complete(self, trial_id):
        self.end(trial_id, self.ledger.history.run(trial_id).attempt, MAX_EPOCH)

    def end(self, trial_id, attempt, epoch):
        checkpoint = Checkpoint(trial_id=trial_id, resource=epoch)
        self.ledger.end(Ended(trial_id=trial_id, attempt=attempt, exit=0, checkpoint=checkpoint), now=0.0)


def scheduler_alone(make) -> dict[str, float]:
    """Milliseconds of the scheduler's own work: once bare, once with the ledger and a journal on disk."""
    alone, journaled = Meter(), Meter()
    drive(OurSide(Metered(make(), alone), MemoryJournal(), Meter()))
    with tempfile.TemporaryDirectory() as folder:
        journal = FileJournal(Path(folder) / "journal.jsonl")
        drive(OurSide(make(), journal, journaled))
        journal.close()
    return {
        "suggest": alone.milliseconds("suggest"),
        "report": alone.milliseconds("report"),
        "suggest+journal": journaled.milliseconds("suggest+journal"),
        "report+journal": journaled.milliseconds("report+journal"),
    }


class Pace(Callback):
    """Notes the CPU time at every result and every start of a run."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_trial_start(self, history, run):
        self.at.append(time.process_time())

    def on_trial_result(self, history, trial_id, result, verdict):
        self.at.append(time.process_time())

    def last_over_first(self) -> float:
        """Time per event in the last tenth over that in the first: medians of pieces of 100 events.

        Medians leave out the pauses of Python's garbage collector, which come at a few odd moments; the events per
        second include them.
        """
        pieces = [later - sooner for sooner, later in pairwise(self.at[::100])]
        tenth = len(pieces) // 10
        return median(pieces[-tenth:]) / median(pieces[:tenth])


def simulated(function, scheduler: Scheduler, n_trials: int, max_resource: int) -> dict[str, float]:
    """Events per CPU second, and how the time per event grows."""
    pace = Pace()
    with tempfile.TemporaryDirectory() as folder:
        tuner = Tuner(
            scheduler,
            SimulatedBackend(function, n_workers=N_SIMULATED_WORKERS, max_resource=max_resource),
            metrics=[METRIC],
            stop_when=MaxTrialsStarted(n_trials),
            journal=FileJournal(Path(folder) / "journal.jsonl"),
            callbacks=[pace],
        )
        start = time.process_time()
        history = tuner.run()
        total = time.process_time() - start
    n_events = history.n_results + history.n_runs
    return {
        "trials": history.n_trials,
        "results": history.n_results,
        "events_per_second": n_events / total,
        "ms_per_result": 1000 * total / history.n_results,
        "last_over_first": pace.last_over_first(),
    }


def simulated_all_reports() -> dict[str, float]:
    """Each trial is better than all before it, so that ASHA (stopping) lets all of them report nine times."""
    order: dict[float, int] = {}

    def function(config, epoch):
        rank = order.setdefault(config["lr"], len(order))
        return {"loss": 1.0 / (1 + rank) + 1.0 / epoch}, 1.0

    return simulated(function, asha("stopping", SIMULATED_EPOCHS), N_SIMULATED_TRIALS, SIMULATED_EPOCHS)


def simulated_promotion() -> dict[str, float]:
    """ASHA (promotion) on learning curves: most trials pause for good."""

    def function(config, epoch):
        return {"loss": loss(config, epoch)}, 1.0

    return simulated(function, asha("promotion", SIMULATED_EPOCHS), N_SIMULATED_TRIALS, SIMULATED_EPOCHS)


FIRST_LINE = """
import os, sys, time
with open(f"/proc/{os.getppid()}/stat") as stat:
    ticks = [int(value) for value in stat.read().rpartition(")")[2].split()[11:13]]
seconds = sum(ticks) / os.sysconf("SC_CLK_TCK") + time.process_time()
with open(sys.argv[2] + ".partial", "w") as out:
    out.write(str(seconds))
os.replace(sys.argv[2] + ".partial", sys.argv[2])
"""


def runner() -> dict[str, float]:
    """CPU seconds of runner and script from the start of a job to the script's first line.

    The folders and variables are those of a training job. Nobody answers at the S3 address: the first line comes
    before anything is sent there.
    """
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        code, config, answer = base / "input/data/code", base / "input/config", base / "answer"
        (code / "source").mkdir(parents=True)
        config.mkdir()
        (code / "source" / "script.py").write_text(FIRST_LINE)
        order = {"script": "script.py"}
        job = {"order": order, "poll_seconds": 1.0, "checkpoint_seconds": 60.0}
        (code / "job.json").write_text(json.dumps(job))
        parameters = {"tunewright_config": json.dumps({"answer": str(answer)})}
        (config / "hyperparameters.json").write_text(json.dumps(parameters))
        variables = {
            "TUNEWRIGHT_RUN": json.dumps({"trial_id": 0, "attempt": 0, "retry": 0, "source": None}),
            "TUNEWRIGHT_S3": "s3://bucket/prefix/",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_REGION": "us-east-1",
        }
        command = [sys.executable, str(build_runner(code / "runner.pyz")), "sagemaker", str(base)]
        with subprocess.Popen(command, env=os.environ | variables) as process:
            try:
                while not answer.exists() and process.poll() is None:
                    time.sleep(0.01)
                return {"seconds": float(answer.read_text())}
            finally:
                process.kill()


if __name__ == "__main__":
    main(
        {
            "random": lambda: scheduler_alone(lambda: FIFO(RandomSearcher(space(), seed=0))),
            "asha_stopping": lambda: scheduler_alone(lambda: asha("stopping")),
            "asha_promotion": lambda: scheduler_alone(lambda: asha("promotion")),
            "simulated_all_reports": simulated_all_reports,
            "simulated_promotion": simulated_promotion,
            "runner": runner,
        }
    )
