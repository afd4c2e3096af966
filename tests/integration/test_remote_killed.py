"""Tuning jobs whose trials are processes, or rows of a table, are killed in their middle: nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tunewright.aws.mirror import read_segments
from tunewright.cli.slices import RemoteOptions
from tunewright.journal import canonical_hash
from tunewright.storage import experiments

SCRIPT = """\
import os, time
from argparse import ArgumentParser
from tunewright.report import Reporter

gate = os.environ.get("GATE")
parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=6)
arguments = parser.parse_args()
report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    while gate and epoch > 3 and not os.path.exists(gate):
        time.sleep(0.1)
    report(epoch=epoch, loss=(arguments.lr - 0.1) ** 2 + 1 / epoch)
"""

BASELINES = '''\
import os, time
from tunewright.interfaces import Searcher
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher

class Slow(Searcher):
    """Random search that stands still after forty trials, as long as there is a gate that is shut."""

    def __init__(self, inner):
        self.inner = inner

    def suggest(self, history, *, until=None):
        gate = os.environ.get("GATE")
        while gate and history.n_trials >= 40 and not os.path.exists(gate):
            time.sleep(0.1)
        return self.inner.suggest(history, until=until)

def slow(benchmark, seed, settings):
    return FIFO(Slow(RandomSearcher(benchmark.space, seed=seed)))

methods = {"Slow": slow}
'''


def test_trials_that_are_processes(remote: Any, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    remote.tunewright("init", str(remote.folder), "--script", str(tmp_path / "train.py"))
    tag, name = "killed_local", "RS-train-0"
    earlier = tmp_path / "earlier.json"
    known = {"name": "a", "configs": [{"lr": 0.25, "epochs": 6}], "losses": [0.1]}
    earlier.write_text(json.dumps({"sources": ["a"], "tasks": [known]}))
    line = (
        f"--experiment_tag {tag} --method RS --max_num_trials 6 --n_workers 2 --endpoint embedded --speed 300"
        f" --warm_start {earlier}"
    )
    gate = tmp_path / "gate"
    options = RemoteOptions(environment={"GATE": str(gate)})
    assert remote.launch("local", line, options=options) == 0, remote.err
    before = remote.until_results(tag, name, 6)
    check_that_a_second_one_refuses(remote, tag)
    assert "running elsewhere" in remote.tunewright("list")
    remote.kill(before.status.jobs[-1])
    remote.until(lambda: remote.views(tag)[name].status.why == "its tuning job died")
    assert "interrupted" in remote.tunewright("list")
    left = in_s3(remote, tag, name)
    gate.touch()

    assert remote.launch("local", f"{line} --resume --wait", options=options) == 0, remote.err
    assert f"{name}: finished" in remote.out
    assert "1 experiment," in remote.tunewright("remote", "fetch", tag)
    (folder,) = experiments()
    journal = folder.journal_path.read_bytes()
    assert journal == in_s3(remote, tag, name)
    assert journal.startswith(left)
    (after,) = json.loads(remote.tunewright("list", "--format", "json"))
    assert (after["status"], after["num_results"]) == ("completed", 6 * 6)
    start = next(read for read in map(json.loads, journal.splitlines()) if read.get("kind") == "start")
    assert start["config"]["lr"] == 0.25  # what an earlier experiment found travelled along
    assert len(remote.views(tag)[name].status.jobs) == 2


def test_trials_in_simulated_time(remote: Any, tmp_path: Path) -> None:
    """All seeds of a method are one slice; its journals come out as those of an undisturbed run here.

    What earlier experiments tell travels along.
    """
    remote.tunewright("init", str(remote.folder), "--backend", "simulated")
    (remote.folder / "baselines.py").write_text(BASELINES)
    tag, name = "killed_simulated", "Slow"
    hpo_main = [sys.executable, str(remote.folder / "hpo_main.py"), "--n_jobs", "1", "--benchmark", "digits"]
    earlier = [*hpo_main, "--experiment_tag", "earlier", "--max_num_trials", "5"]
    subprocess.run(earlier, check=True, capture_output=True, timeout=300)
    common = "--num_seeds 2 --max_num_trials 70 --warm_start earlier"
    line = f"--experiment_tag {tag} --benchmark digits {common} --endpoint embedded --speed 300"
    gate = tmp_path / "gate"
    options = RemoteOptions(environment={"GATE": str(gate)})
    assert remote.launch("simulated", line, options=options) == 0, remote.err
    assert "1 tuning jobs on ml.c5.4xlarge, which run 2 experiments" in remote.out
    before = remote.until_results(tag, name, 20)
    remote.kill(before.status.jobs[-1])
    remote.until(lambda: remote.views(tag)[name].status.why == "its tuning job died")
    gate.touch()

    assert remote.launch("simulated", f"{line} --resume --wait", options=options) == 0, remote.err
    assert "2 experiments" in remote.tunewright("remote", "fetch", tag)
    here = [*hpo_main, "--experiment_tag", "here", *common.split()]
    subprocess.run(here, check=True, capture_output=True, timeout=300)
    assert hashes(tag) == hashes("here")
    assert len(hashes(tag)) == 2
    assert len(remote.views(tag)[name].status.jobs) == 2


def check_that_a_second_one_refuses(remote: Any, tag: str) -> None:
    """A tuning job of the same slice, however it was created, ends without touching anything."""
    session, fleet = remote.open(tag)
    (status,) = fleet.look()
    session.call("CreateTrainingJob", TrainingJobName="intruder", **status.slice.request)

    def failed() -> str:
        job = session.call("DescribeTrainingJob", TrainingJobName="intruder")
        return job.get("FailureReason", "") if job["TrainingJobStatus"] == "Failed" else ""

    assert "works on this slice" in remote.until(failed)


def in_s3(remote: Any, tag: str, name: str) -> bytes:
    """The journal of a slice's experiment as S3 has it."""
    _, fleet = remote.open(tag)
    (status,) = [one for one in fleet.look() if one.slice.name == name]
    (experiment,) = status.experiments
    return read_segments(fleet.objects(name).under(f"experiments/{experiment}"))


def hashes(tag: str) -> set[str]:
    return {canonical_hash(folder.journal_path) for folder in experiments(tag)}
