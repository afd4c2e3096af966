"""``main`` of hpo_main.py, with processes here and without a backend."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.experiments import load_outcome, method
from tunewright.launchers import hpo_main_local, hpo_main_sagemaker
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.storage import experiments

Launch = Callable[..., int]
METHODS = {"RS": method("RandomSearch"), "ASHA": method("ASHA", kind="stopping")}


def run_of(tag: str) -> list[tuple[str, int]]:
    return [(folder.metadata()["label"], folder.metadata()["seed"]) for folder in experiments(tag)]


def test_methods_and_seeds_run_one_after_the_other(
    launch: Launch, toy: RealBenchmarkDefinition, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "--experiment_tag two_words --num_seeds 2 --start_seed 5 --max_num_trials 1 --n_workers 1"
    assert launch(hpo_main_local.main, line, METHODS, {"toy": toy}) == 0
    assert sorted(run_of("two_words")) == [("ASHA", 5), ("ASHA", 6), ("RS", 5), ("RS", 6)]
    shown = capsys.readouterr()
    assert shown.out.index("RS on toy, seed 6") < shown.out.index("ASHA on toy, seed 5")
    assert "stored as 'two-words'" in shown.err
    assert shown.out.count("Best:    score") == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--method AHSA", "Unknown method 'AHSA'. Did you mean 'ASHA'?"),
        ("--benchmark toi", "Unknown benchmark 'toi'. Did you mean 'toy'?"),
        ("--num_seed 2", "Did you mean '--num_seeds'?"),
        ("--experiment_tag ../up", "looks like a path"),
        ("--max_failures -1", "max_failures must be >= 0"),
        ("--method ASHA --max_num_trials 1 --grace_period 3", "grace_period=3"),
        ("", "Nothing would end RS"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    launch: Launch,
    toy: RealBenchmarkDefinition,
    capsys: pytest.CaptureFixture[str],
    tunewright_home: Path,
    line: str,
    message: str,
) -> None:
    extra = [{"name": "grace_period", "type": int}]
    assert launch(hpo_main_local.main, line, METHODS, {"toy": toy}, extra) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert not tunewright_home.exists()


def test_a_benchmark_must_be_chosen_where_there_are_several(
    launch: Launch, toy: RealBenchmarkDefinition, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(hpo_main_local.main, "", METHODS, {"a": toy, "b": toy}) == 2
    assert "--benchmark one of a, b" in capsys.readouterr().err


def test_own_flags_reach_the_methods_that_have_them(launch: Launch, toy: RealBenchmarkDefinition) -> None:
    extra = [{"name": "eta", "type": float, "help": "reduction factor"}]
    line = "--experiment_tag t --max_num_trials 1 --eta 4"
    assert launch(hpo_main_local.main, line, METHODS, {"toy": toy}, extra) == 0
    settings = {folder.metadata()["label"]: folder.metadata()["settings"] for folder in experiments("t")}
    assert settings == {"RS": {}, "ASHA": {"eta": 4.0}}


def test_own_flags_may_be_mapped_by_hand(launch: Launch, toy: RealBenchmarkDefinition) -> None:
    seen: list[dict[str, Any]] = []

    def mine(benchmark: RealBenchmarkDefinition, seed: int, settings: dict[str, Any]) -> FIFO:
        seen.append(settings)
        return FIFO(RandomSearcher(benchmark.space, seed=seed))

    def mapped(arguments: Namespace, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "from": name, "twice": 2 * arguments.depth}

    line = "--experiment_tag t --max_num_trials 1 --depth 4"
    extra = [{"name": "depth", "type": int}]
    assert launch(hpo_main_local.main, line, {"Mine": mine}, {"toy": toy}, extra, mapped) == 0
    assert seen[0] == {"depth": 4, "from": "Mine", "twice": 8}
    assert str(next(iter(experiments("t"))).metadata()["method"]).endswith("mine")


@pytest.mark.parametrize(
    "extra", [{"name": "--depth"}, {"type": int}, {"name": "seed_", "typ": int}, {"name": "method"}]
)
def test_own_flags_that_cannot_be_are_refused(
    toy: RealBenchmarkDefinition, extra: dict[str, Any], launch: Launch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(hpo_main_local.main, "", METHODS, {"toy": toy}, [extra]) == 2
    assert "extra_args" in capsys.readouterr().err


def test_a_failed_experiment_is_exit_code_1(
    launch: Launch, toy: RealBenchmarkDefinition, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(toy.script).write_text("raise SystemExit('no data found')")
    line = "--method RS --num_seeds 2 --max_num_trials 2 --max_failures 0 --n_workers 1"
    assert launch(hpo_main_local.main, line, METHODS, {"toy": toy}) == 1
    shown = capsys.readouterr()
    assert "no data found" in shown.out
    assert "Error: 1 trial failed, more than max_failures=0" in shown.err
    assert "Traceback" not in shown.err
    assert launch(hpo_main_local.main, f"{line} --verbose", METHODS, {"toy": toy}) == 1
    assert "Traceback" in capsys.readouterr().err


def test_resume_skips_what_is_finished(
    launch: Launch, toy: RealBenchmarkDefinition, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "--experiment_tag t --method RS --max_num_trials 1"
    for more in ("", " --resume", " --resume 0"):
        assert launch(hpo_main_local.main, line + more, METHODS, {"toy": toy}) == 0
    assert len(run_of("t")) == 2
    assert capsys.readouterr().out.count("Finished already") == 1


def test_a_dry_run_prints_json_and_creates_nothing(
    launch: Launch, toy: RealBenchmarkDefinition, capsys: pytest.CaptureFixture[str], tunewright_home: Path
) -> None:
    line = "--experiment_tag tutorial_sagemaker --method ASHA --endpoint embedded --max_num_trials 9 --dry_run --instance_type ml.m5.large"
    assert launch(hpo_main_sagemaker.main, line, METHODS, {"toy": toy}) == 0
    request = json.loads(capsys.readouterr().out)
    assert request["ResourceConfig"]["InstanceType"] == "ml.m5.large"
    assert request["TrainingJobName"].startswith("tutorial-sagemaker")
    assert not tunewright_home.exists()


def test_checkpoints_may_be_removed(launch: Launch, toy: RealBenchmarkDefinition) -> None:
    line = "--experiment_tag t --method RS --max_num_trials 1 --delete_checkpoints 1"
    assert launch(hpo_main_local.main, line, METHODS, {"toy": toy}) == 0
    folder = next(iter(experiments("t")))
    assert folder.metadata()["delete_checkpoints"] is True
    assert load_outcome(folder).status == "completed"
