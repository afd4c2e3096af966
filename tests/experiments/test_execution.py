"""Which way of running trials is chosen, and what is said about it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunewright.backends.sagemaker import JobSettings, plugin
from tunewright.backends.sagemaker.config import Execution, SageMakerConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.journal import SCHEMA_VERSION
from tunewright.metric import Metric
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.storage import create_experiment

AUTO = SageMakerConfig(execution="auto")


def choose_execution(benchmark: RealBenchmarkDefinition, config: SageMakerConfig) -> tuple[Execution, str]:
    return plugin.choose_execution(JobSettings(benchmark=benchmark, config=config))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path))


def benchmark(n_workers: int = 8, **more: Any) -> RealBenchmarkDefinition:
    space = SearchSpace({"lr": Float(0.0, 1.0), **more.pop("space", {})})
    return RealBenchmarkDefinition(
        name="mine", script="train.py", space=space, metrics=(Metric("loss"),), n_workers=n_workers, **more
    )


def earlier(seconds: float, *, clock: str = "wall", runs: int = 6) -> str:
    """An experiment whose runs trained for so long."""
    folder = create_experiment("earlier")
    folder.write_metadata({"benchmark": {"name": "mine"}, "clock": clock})
    lines: list[dict[str, Any]] = [{"kind": "experiment", "schema": SCHEMA_VERSION}]
    for trial in range(runs):
        for share in (0.5, 1.0):
            metrics = {"loss": 1.0, "st_worker_time": seconds * share}
            seq = 1 if share == 0.5 else 2
            report = {
                "trial_id": trial,
                "attempt": 0,
                "retry": 0,
                "seq": seq,
                "resource": seq,
                "metrics": metrics,
            }
            verdict = {"decision": "continue", "reason": "", "cost": 0.0}
            lines.append({"kind": "result", "t": 0.0, "wall": 0.0, **report, **verdict})
    folder.journal_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder.name


def test_workers_where_a_job_per_run_cannot_keep_all_busy() -> None:
    """Runs of five seconds: five workers' worth of jobs a second."""
    name = earlier(5.0)
    mode, text = choose_execution(benchmark(), AUTO)
    assert mode == "workers"
    assert name in text
    assert "5 s of training" in text
    assert "2 jobs of up to 4" in text


def test_jobs_where_they_can() -> None:
    """Also where nobody knows; an experiment in simulated time, or of a few runs, does not count."""
    earlier(5.0, clock="simulated")
    earlier(5.0, runs=2)
    assert choose_execution(benchmark(), AUTO)[0] == "jobs"
    earlier(500.0)
    assert choose_execution(benchmark(), AUTO)[0] == "jobs"


def test_workers_for_very_many() -> None:
    assert choose_execution(benchmark(1000), AUTO)[0] == "workers"


@pytest.mark.parametrize("asked_for", ["jobs", "workers"])
def test_what_was_asked_for_is_done(asked_for: Execution) -> None:
    asked = replace(AUTO, execution=asked_for)
    assert choose_execution(benchmark(1000), asked)[0] == asked_for


@pytest.mark.parametrize(
    "more",
    [{"instance_count": 2}, {"space": {"instance_type": Categorical(["ml.c5.xlarge", "ml.c5.2xlarge"])}}],
)
def test_trials_with_instances_of_their_own_need_jobs(more: dict[str, Any]) -> None:
    """``auto`` takes jobs; asking for workers is an error that says why."""
    assert choose_execution(benchmark(1000, **more), AUTO)[0] == "jobs"
    with pytest.raises(SettingsError, match="--execution jobs"):
        choose_execution(benchmark(1000, **more), replace(AUTO, execution="workers"))


def test_an_unknown_number_of_gpus_leaves_jobs_mode_alone() -> None:
    unknown = replace(AUTO, instance_type="ml.g99.48xlarge")
    mode, text = choose_execution(benchmark(1000), unknown)
    assert mode == "jobs"
    assert "--trials_per_instance" in text
    with pytest.raises(SettingsError, match="--trials_per_instance"):
        choose_execution(benchmark(1000), replace(unknown, execution="workers"))
    assert choose_execution(benchmark(1000), replace(unknown, trials_per_instance=8))[0] == "workers"
