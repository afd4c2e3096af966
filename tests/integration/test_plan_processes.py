"""Plans over processes: the journals depend on the plan alone, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import psutil
import pytest

from tunewright.backends.local.config import LocalConfig
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks import Benchmark
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments import (
    Experiment,
    Limits,
    PlanProgress,
    method,
    run_plan,
)
from tunewright.interfaces import Scheduler
from tunewright.journal import canonical_hash
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.storage import create_experiment, experiments
from tunewright.types import Json

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarking" / "nursery" / "launch_simulated"
Launch = Callable[..., subprocess.Popen[str]]
PLAN = ["--benchmark", "digits", "--num_seeds", "2", "--method", "RS,ASHA-PROM", "--max_wallclock_time", "15"]


def cell(**changes: object) -> Experiment:
    fields: dict[str, object] = {
        "tag": "t",
        "benchmark": simulated_benchmark("digits"),
        "method": method("ASHA"),
        "label": "ASHA",
        "backend": SimulatedConfig(),
        "limits": Limits(max_num_evaluations=30),
    }
    return Experiment(**{**fields, **changes})  # type: ignore[arg-type]


def hashes(tag: str) -> dict[tuple[str, int], str]:
    """Of each cell that has a journal: a killed process may leave a folder without one."""
    return {
        (folder.metadata()["label"], folder.metadata()["seed"]): canonical_hash(folder.journal_path)
        for folder in experiments(tag)
        if folder.journal_path.exists()
    }


def own_method(benchmark: Benchmark, seed: int, settings: Mapping[str, Json]) -> Scheduler:
    del settings
    return FIFO(RandomSearcher(benchmark.space, seed=seed))


def dying_method(benchmark: Benchmark, seed: int, settings: Mapping[str, Json]) -> Scheduler:
    if psutil.Process().name() and "pool_worker" in " ".join(psutil.Process().cmdline()):
        os.kill(os.getpid(), signal.SIGKILL)
    return own_method(benchmark, seed, settings)


def raising_method(benchmark: Benchmark, seed: int, settings: Mapping[str, Json]) -> Scheduler:
    if "pool_worker" in " ".join(psutil.Process().cmdline()):
        raise ZeroDivisionError("a bug of the user")
    return own_method(benchmark, seed, settings)


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def launch(start_process: Callable[..., subprocess.Popen[str]]) -> Launch:
    """Starts the launcher with the plan of this file."""

    def launch(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(FOLDER / "hpo_main.py"), *PLAN, *arguments]
        # a test run in the background of a shell hands an ignored SIGINT down to all its processes
        return start_process(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_heed_interrupts,
        )

    return launch


def wait_for(condition: Callable[[], object], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if there is none, since an experiment's folder is listed before it has a journal."""
    return path.stat().st_size if path.exists() else 0


def test_one_process_and_two_with_a_kill_write_the_same_journals(launch: Launch) -> None:
    whole = launch("--experiment_tag", "whole", "--n_jobs", "1")
    assert "4 of 4 cells run" in whole.communicate()[0]
    assert whole.returncode == 0

    killed = launch("--experiment_tag", "killed", "--n_jobs", "2")
    wait_for(lambda: sum(size_of(f.journal_path) for f in experiments("killed")) > 20_000)
    killed.kill()
    killed.communicate()
    assert len(hashes("killed")) < 4 or hashes("killed") != hashes("whole")

    again = launch("--experiment_tag", "killed", "--n_jobs", "2", "--resume")
    assert "4 of 4 cells" in again.communicate()[0]
    assert again.returncode == 0
    assert hashes("killed") == hashes("whole")


def test_ctrl_c_ends_in_order_and_can_be_continued(launch: Launch) -> None:
    process = launch("--experiment_tag", "c", "--n_jobs", "1")
    wait_for(lambda: [f for f in experiments("c") if f.journal_path.exists()])
    process.send_signal(signal.SIGINT)
    out = process.communicate()[0]
    assert process.returncode == 130, out
    assert "Traceback" not in out


def test_cells_that_fail_or_die_are_told_and_the_others_run(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)  # where the processes find this module's methods
    plan = [
        cell(method=dying_method, label="dying"),
        cell(method=raising_method, label="raising"),
        cell(method=own_method, label="own"),
        cell(),
    ]
    progress: list[PlanProgress] = []
    dying, raising, own, asha = run_plan(plan, n_processes=1, look=progress.append)
    assert dying.status == "failed"
    assert "signal 9" in str(dying.error)
    assert str(raising.error) == "ZeroDivisionError: a bug of the user"
    assert "raising_method" in raising.traceback
    assert own.status == asha.status == "stopped"
    assert own.n_results >= 30
    assert progress[-1].n_failed == 2
    assert len(progress[-1].results) == 4
    assert capfd.readouterr().out == ""


def test_what_cannot_work_is_said_before_anything_starts(tunewright_home: Path) -> None:
    with pytest.raises(SettingsError, match="the local backend cannot run it"):
        cell(backend=LocalConfig())
    with pytest.raises(SettingsError, match="define it with def"):
        run_plan([cell(method=partial(own_method), label="no name")], n_processes=1)
    assert not (tunewright_home / "experiments").exists()


def test_results_are_exported_where_asked_for_and_cells_survive_metadata() -> None:
    (done,) = run_plan([cell()], n_processes=1, export=True)
    (folder,) = experiments("t")
    assert folder == done.folder
    assert folder.results_path.exists()
    assert Experiment.from_json(folder.metadata()) == done.experiment
    create_experiment("t").metadata_path.write_text("{")  # of another, and damaged
    (again,) = run_plan([cell()], n_processes=1, resume=True)
    assert again.is_skipped
    assert (again.status, again.folder) == (done.status, done.folder)
