"""``--dataset_path`` and ``--config`` of the launchers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.cli.flags import FixedFlags
from tunewright.cli.parsing import record_app, run_app
from tunewright.cli.records import Given, RecordCommand
from tunewright.exceptions import SettingsError, SpaceError
from tunewright.experiments import method
from tunewright.launchers import hpo_main_local
from tunewright.metric import Metric
from tunewright.space import Float, Integer, SearchSpace
from tunewright.storage import experiments


@pytest.fixture
def benchmark() -> RealBenchmarkDefinition:
    return RealBenchmarkDefinition(
        name="toy",
        script=__file__,
        space=SearchSpace(
            {"lr": Float(0.1, 1.0), "n": Integer(1, 9), "epochs": 9, "dataset_path": "./", "best": "False"}
        ),
        metrics=(Metric("loss"),),
        max_resource_attr="epochs",
        points_to_evaluate=({"lr": 0.5, "n": 3},),
    )


def fixed(benchmark: RealBenchmarkDefinition, *given: str) -> RealBenchmarkDefinition:
    changed = [benchmark]

    def run(flags: Given) -> int:
        changed.append(flags.record(FixedFlags).apply(benchmark))
        return 0

    run_app(record_app(RecordCommand(run, {"Script": [FixedFlags]}), "fixed", ""), given)
    return changed[-1]


def test_without_flags_nothing_changes(benchmark: RealBenchmarkDefinition) -> None:
    assert fixed(benchmark) is benchmark


def test_entries_are_changed_added_and_fixed(benchmark: RealBenchmarkDefinition) -> None:
    changed = fixed(
        benchmark, "--config", "n=4", "--config=width=16", "--config", "best=1", "--config", "a=x=y"
    )
    constants = {"n": 4, "epochs": 9, "dataset_path": "./", "best": "1", "width": 16, "a": "x=y"}
    assert changed.space.constants == constants
    assert list(changed.space.domains) == ["lr"]
    assert changed.points_to_evaluate == ({"lr": 0.5},)


def test_a_shorter_full_run(benchmark: RealBenchmarkDefinition) -> None:
    assert fixed(benchmark, "--config", "epochs=3").max_resource == 3


def test_data_that_are_here_get_their_whole_path(
    benchmark: RealBenchmarkDefinition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for given, expected in (("data", str(tmp_path / "data")), ("./", "./"), ("/opt/ml/x", "/opt/ml/x")):
        assert fixed(benchmark, "--dataset_path", given).space.constants["dataset_path"] == expected


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("width", SettingsError, "--config takes NAME=VALUE"),
        ("=3", SettingsError, "--config takes NAME=VALUE"),
        ("epochs=many", SettingsError, "a whole number >= 1"),
        ("n=12", SpaceError, "n"),
    ],
)
def test_what_cannot_be_is_refused(
    benchmark: RealBenchmarkDefinition, given: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fixed(benchmark, "--config", given)


def test_trials_get_them(launch: Callable[..., int], toy: RealBenchmarkDefinition) -> None:
    line = "--experiment_tag t --max_num_trials 1 --n_workers 1 --config epochs=1"
    assert launch(hpo_main_local.main, line, {"RS": method("RandomSearch")}, {"toy": toy}) == 0
    (folder,) = experiments("t")
    lines = [json.loads(line) for line in folder.journal_path.read_text().splitlines()]
    assert [line["resource"] for line in lines if line.get("kind") == "result"] == [1]
