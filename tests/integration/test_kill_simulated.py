"""kill -9 of the tuner at random instants, over and over: the journal comes out as that of an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tunewright.journal import canonical_hash, read_events

EXPERIMENT = '''
"""Usage: experiment.py JOURNAL KIND HOLD KILLS: runs an experiment in forked children and kills KILLS of them."""

import os, random, signal, sys, time
from pathlib import Path

from tunewright.backends.simulated import SimulatedBackend
from tunewright.events import Header
from tunewright.journal import FileJournal
from tunewright.metric import Goal, Metric
from tunewright.schedulers.asha import ASHA, ASHAKind, ASHASettings
from tunewright.replicates import ReplicateMeans, Replicates
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.racing import Racing
from tunewright.schedulers.stopping_rules import RuleStopping
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.tuner import Tuner

METRIC = Metric("accuracy", Goal.MAXIMIZE)
SPACE = SearchSpace({"x": Float(0.0, 1.0), "epochs": 9})


def train(config, epoch):
    time.sleep(0.001)
    return {"accuracy": config["x"] * (1 - 1 / (epoch + 1))}, 1.0 + config["x"]


def run(path, kind, hold):
    searcher = RandomSearcher(SPACE, seed=0)
    means = None
    if kind == "racing":
        replicates = Replicates(n=9)
        scheduler = RuleStopping(FIFO(searcher), Racing(replicates, metric=METRIC))
        means = ReplicateMeans(replicates, [METRIC])
    else:
        scheduler = ASHA(searcher, ASHASettings(max_resource=9, kind=ASHAKind(kind)), metric=METRIC, seed=0)
    backend = SimulatedBackend(train, n_workers=4, max_resource=9)
    journal = FileJournal(path, Header(seed=0), hold=hold)
    stop_when = MaxTrialsStarted(150)
    Tuner(scheduler, backend, metrics=[METRIC], replicates=means, stop_when=stop_when, journal=journal).run()


path, kind, hold, kills = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
instants = random.Random(0)
killed = 0
while True:
    child = os.fork()
    if child == 0:
        try:
            run(path, kind, hold)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if killed < kills:
        time.sleep(instants.uniform(0.005, 0.05))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        killed += 1
        continue
    print(killed)
    sys.exit(os.waitstatus_to_exitcode(status))
'''


def run_experiment(tmp_path: Path, name: str, kind: str, hold: float, kills: int) -> tuple[Path, int]:
    script = tmp_path / "experiment.py"
    script.write_text(EXPERIMENT)
    journal = tmp_path / f"{name}.jsonl"
    done = subprocess.run(
        [sys.executable, str(script), str(journal), kind, str(hold), str(kills)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return journal, int(done.stdout)


@pytest.mark.parametrize(
    ("kind", "hold"), [("promotion", 0.0), ("stopping", 0.0), ("promotion", 0.01), ("racing", 0.0)]
)
def test_twenty_kills_change_nothing(tmp_path: Path, kind: str, hold: float) -> None:
    undisturbed, _ = run_experiment(tmp_path, "undisturbed", kind, 0.0, 0)
    disturbed, kills = run_experiment(tmp_path, "disturbed", kind, hold, 20)
    assert kills == 20, "the run was over before it was killed often enough"
    assert canonical_hash(disturbed) == canonical_hash(undisturbed)
    seen = [
        (line.trial_id, line.attempt, line.seq) for line in read_events(disturbed) if line.kind == "result"
    ]
    assert len(set(seen)) == len(seen), "no result twice"
