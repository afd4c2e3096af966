"""The tuner of a measurement, in a process of its own, which may be killed and begun again on the same folder.

    python perf/sagemaker/tuner.py FOLDER

``FOLDER/plan.json`` says what is tuned and where; ``FOLDER/journal.jsonl`` is the experiment's journal, and
``FOLDER/done.json`` is written at the end.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewright.aws import open_session, resolve_endpoint
from tunewright.backends.sagemaker import SageMakerBackend, SageMakerConfig
from tunewright.backends.sagemaker.workers import WorkersBackend, WorkerSettings
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.events import Header
from tunewright.history import History
from tunewright.interfaces import Backend, Callback, Scheduler
from tunewright.journal import FileJournal
from tunewright.methods import build_scheduler, method
from tunewright.metric import Goal, Metric
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted, MaxWallclockTime
from tunewright.trial import Run
from tunewright.tuner import Tuner

METRICS = (Metric("accuracy", Goal.MAXIMIZE),)
PLAN, JOURNAL, DONE, SAMPLES = "plan.json", "journal.jsonl", "done.json", "samples.jsonl"


def benchmark(plan: dict[str, Any]) -> RealBenchmarkDefinition:
    """What is tuned: a virtual training, whose epochs take the same time or, given a range, one of their own."""
    given = plan["seconds"]
    seconds = Float(*given) if isinstance(given, list) else given
    space = SearchSpace(
        {"x": Float(0.0, 1.0), "y": Float(0.0, 1.0), "epochs": plan["epochs"], "seconds": seconds}
    )
    return RealBenchmarkDefinition(
        name="virtual",
        script=__file__,
        space=space,
        metrics=METRICS,
        resource_attr="epoch",
        max_resource_attr="epochs",
        n_workers=plan["n_workers"],
    )


def scheduler_of(plan: dict[str, Any]) -> Scheduler:
    """The plan's method."""
    name = plan["method"]
    settings = {"kind": "promotion"} if name == "ASHA" else {}
    return build_scheduler(method(name, **settings), benchmark(plan), plan["seed"], {})


class Samples(Callback):
    """Writes now and then how much CPU and memory the tuner has used, and how many trials it has begun."""

    def __init__(self, path: Path, pause: float) -> None:
        self._path = path
        self._pause = pause
        self._next = 0.0

    def on_trial_start(self, history: History, run: Run) -> None:
        """Look."""
        self._look(history)

    def on_wait(self, history: History, now: float, summary: Any) -> None:
        """Look."""
        self._look(history)

    def _look(self, history: History) -> None:
        now = time.time()
        if now < self._next:
            return
        self._next = now + self._pause
        sample = {"wall": now, "cpu": cpu_seconds(), "mb": memory_mb(), "runs": history.n_runs}
        with self._path.open("a") as file:
            file.write(json.dumps(sample) + "\n")


def cpu_seconds() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_mb() -> float:
    """Memory of this process that is in RAM, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def backend_of(plan: dict[str, Any]) -> Backend:
    """Jobs or workers, on the plan's endpoint."""
    session = open_session(resolve_endpoint(plan["url"], region="us-east-1"))
    config = SageMakerConfig(role="arn:aws:iam::123456789012:role/SageMakerRole", **plan["settings"])
    virtual = replace(benchmark(plan), script=plan["script"])
    if plan["execution"] == "jobs":
        return SageMakerBackend(virtual, config, experiment=plan["name"], session=session)
    workers = WorkerSettings(**plan["workers"])
    return WorkersBackend(virtual, config, experiment=plan["name"], session=session, workers=workers)


def run(folder: Path) -> None:
    """Begin the experiment of a folder, or go on with it."""
    plan = json.loads((folder / PLAN).read_text())
    backend = backend_of(plan)
    limit = MaxTrialsStarted(plan["n_trials"]) if plan["n_trials"] else MaxWallclockTime(plan["wall"])
    tuner = Tuner(
        scheduler_of(plan),
        backend,
        metrics=METRICS,
        stop_when=limit,
        journal=FileJournal(folder / JOURNAL, Header(experiment=plan["name"])),
        callbacks=[Samples(folder / SAMPLES, plan["sample_seconds"])],
        max_failures=plan["n_trials"] or 1000,
    )
    history = tuner.run()
    summary = backend.summary()
    facts = {
        "n_trials": history.n_trials,
        "n_runs": history.n_runs,
        "jobs": summary.jobs,
        "warm_starts": summary.warm_starts,
        "interruptions": summary.interruptions,
        "calls": dict(summary.calls),
        "billed_seconds": summary.billable_seconds,
        "notices": list(summary.notices),
        "cpu_seconds": cpu_seconds(),
        "memory_mb": memory_mb(),
    }
    (folder / DONE).write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
