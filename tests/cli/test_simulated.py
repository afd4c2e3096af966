"""``main`` of the simulated launcher, and the preview."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.analysis import all_curves, load
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.blackbox import Description
from tunewright.blackbox.tables.stored import TableInfo, write_dataset, write_info
from tunewright.cli import main as command
from tunewright.cli.launch import Launch
from tunewright.cli.output import select
from tunewright.cli.parsing import record_app, run_app
from tunewright.cli.records import Given
from tunewright.experiments import Experiment, Limits, MethodSpec, method, method_names
from tunewright.experiments.preview import preview
from tunewright.launchers import hpo_main_simulated, launch_remote_simulated
from tunewright.metric import Goal, Metric
from tunewright.space import Float, SearchSpace
from tunewright.storage import experiments

Launcher = Callable[..., int]
METHODS = {
    "RS": method("RandomSearch"),
    "ASHA": method("ASHA"),
    "FUTURE": MethodSpec(name="NotYetInvented"),
    "ZERO": method("ZeroShot"),
}
DEFINITIONS = {"digits": simulated_benchmark("digits"), "pd1-x": simulated_benchmark("digits", table="pd1")}
NURSERY = Path(__file__).parents[2] / "benchmarking" / "nursery"
SHORT = "--max_num_evaluations 20 --n_jobs 1"


def test_what_is_here_is_run_and_the_rest_is_named(
    launch: Launcher, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"--experiment_tag two_words {SHORT} --num_seeds 2 --random_seed 7 --profile sagemaker --keep_alive 600"
    extra = [{"name": "grace_period", "type": int}]
    assert launch(hpo_main_simulated.main, f"{line} --grace_period 3", METHODS, DEFINITIONS, extra) == 0
    shown = capsys.readouterr()
    assert "FUTURE is left out: this version has no method NotYetInvented" in shown.out
    assert "ZERO is left out: it learns from earlier experiments, which --warm_start names" in shown.out
    assert "Left out, as their tables are not here: pd1" in shown.out
    assert "4 of 4 cells run" in shown.out
    assert "tunewright report two-words" in shown.out
    metadata = [folder.metadata() for folder in experiments("two_words")]
    assert {(m["label"], m["seed"], m["random_seed"]) for m in metadata} == {
        (label, seed, 7) for label in ("RS", "ASHA") for seed in (0, 1)
    }
    assert all(m["backend"]["config"]["keep_alive"] == 600 for m in metadata)
    assert {str(m["settings"]) for m in metadata if m["label"] == "ASHA"} == {"{'grace_period': 3}"}
    assert metadata[0]["table"]["values"] == "surrogate"
    with pytest.raises(SystemExit):
        command(["show", metadata[0]["experiment"]])
    assert "predicted, not recorded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--method AHSA", "Unknown method 'AHSA'. Did you mean 'ASHA'?"),
        ("--method FUTURE --benchmark digits", "Unknown method 'NotYetInvented'"),
        ("--benchmark digitz", "Did you mean 'digits'?"),
        ("--benchmark lcb-*", "No benchmark matches 'lcb-*'. There are digits, pd1-x"),
        ("--benchmark pd1-x", "The table 'pd1' is not here: 'tunewright tables info pd1' says how to get it"),
        ("--support_checkpoint 0", "Did you mean '--support_checkpointing'?"),
        ("--profile sagemakr", "Choose from"),
        ("--keep_alive -1", "keep_alive=-1"),
    ],
)
def test_bad_input_is_one_line_and_nothing_starts(
    launch: Launcher, capsys: pytest.CaptureFixture[str], tunewright_home: Path, line: str, message: str
) -> None:
    assert launch(hpo_main_simulated.main, line, METHODS, DEFINITIONS) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tunewright_home / "experiments").exists()


@pytest.fixture
def one_level(tunewright_home: Path) -> SurrogateBenchmarkDefinition:
    """A benchmark whose trials report once, as their table has the end of training only."""
    folder = tunewright_home / "tables" / "once"
    folder.mkdir(parents=True)
    description = Description(
        name="once",
        dataset="d",
        space=SearchSpace({"lr": Float(1e-4, 1.0, log=True)}),
        metrics=("accuracy", "elapsed"),
        elapsed="elapsed",
        levels=(100,),
        untrained={"accuracy": 0.1},
    )
    values = np.stack([np.random.default_rng(0).random((20, 1, 1)), np.ones((20, 1, 1))], axis=-1)
    columns = {"lr": np.geomspace(1e-3, 0.1, 20).tolist()}
    files = {"d": write_dataset(folder, description, columns, values, suffix=".npz")}
    write_info(folder, TableInfo(name="once", title="t", version=1, licence="l", datasets=files))
    return SurrogateBenchmarkDefinition(
        name="once",
        table="once",
        dataset="d",
        metrics=(Metric("accuracy", Goal.MAXIMIZE),),
        surrogate="nearest",
    )


def test_methods_that_do_not_fit_a_benchmark_are_left_out(
    launch: Launcher, capsys: pytest.CaptureFixture[str], one_level: SurrogateBenchmarkDefinition
) -> None:
    both = {"digits": DEFINITIONS["digits"], "once": one_level}
    assert launch(hpo_main_simulated.main, f"{SHORT} --method RS,ASHA", METHODS, both) == 0
    shown = capsys.readouterr().out
    assert "Left out on once: ASHA, as each compares trials at rungs" in shown
    assert "3 of 3 cells run" in shown
    scales = {found.benchmark: found.scale for found in all_curves(load("experiment"))}
    assert (scales["once"].start, scales["once"].cap) == (-0.1, -0.1), "the value of an untrained model"
    assert scales["digits"].cap == np.inf
    assert launch(hpo_main_simulated.main, f"{SHORT} --method ASHA --benchmark once", METHODS, both) == 2
    assert "take a benchmark with learning curves" in capsys.readouterr().err


def test_methods_that_do_not_fit_get_no_tuning_job(
    launch: Launcher, capsys: pytest.CaptureFixture[str], one_level: SurrogateBenchmarkDefinition
) -> None:
    entry = str(NURSERY / "launch_simulated" / "launch_remote.py")
    line = f"{SHORT} --endpoint http://127.0.0.1:1 --num_seeds 2 --yes"
    code = launch(
        launch_remote_simulated.launch_remote,
        f"{line} --method RS,ASHA",
        entry,
        METHODS,
        {"once": one_level},
    )
    shown = capsys.readouterr()
    assert "Left out on once: ASHA, as each compares trials at rungs" in shown.out
    assert "1 tuning jobs on ml.c5.4xlarge, which run 2 experiments" in shown.out
    assert code != 0
    assert shown.err.startswith("Error: ")


def plan_of(launch: Launch, *tokens: str) -> list[Experiment]:
    """The experiments that a command line asks for."""
    plan: list[Experiment] = []

    def run(given: Given) -> int:
        plan.extend(launch.plan(given))
        return 0

    run_app(record_app(launch.command(run), "hpo_main.py", ""), tokens)
    return plan


def test_default_methods_run_unless_others_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    launch = Launch(methods=METHODS, definitions=DEFINITIONS, backend="simulated", default_methods=("ASHA",))

    def labels(*given: str) -> list[str]:
        return [cell.label for cell in plan_of(launch, "--benchmark", "digits", *given)]

    assert labels() == ["ASHA"]
    assert (
        "Not run by default: RS, FUTURE, ZERO (--method names them; --method '*' is all)"
        in capsys.readouterr().out
    )
    assert labels("--method", "RS") == ["RS"]
    assert labels("--method", "[RA]S*") == ["RS", "ASHA"]


def test_methods_may_get_fewer_seeds() -> None:
    launch = Launch(methods=METHODS, definitions=DEFINITIONS, backend="simulated", most_seeds={"ASHA": 2})
    given = "--benchmark digits --method RS,ASHA --num_seeds 3 --start_seed 4"
    plan = plan_of(launch, *given.split())
    assert [(cell.label, cell.seed) for cell in plan] == [
        ("RS", 4), ("ASHA", 4), ("RS", 5), ("ASHA", 5), ("RS", 6),
    ]  # fmt: skip


def test_no_table_at_all_says_how_to_get_one(launch: Launcher, capsys: pytest.CaptureFixture[str]) -> None:
    absent = {"pd1-x": DEFINITIONS["pd1-x"]}
    assert launch(hpo_main_simulated.main, "", METHODS, absent) == 2
    assert "tunewright tables add pd1" in capsys.readouterr().err


def test_failed_cells_make_the_exit_code(
    launch: Launcher,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tunewright_home: Path,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    tunewright_home.mkdir()
    (tunewright_home / "experiments").write_text("in the way")
    line = f"--experiment_tag t --benchmark digits --method RS {SHORT}"
    assert launch(hpo_main_simulated.main, line, METHODS, DEFINITIONS) == 1
    shown = capsys.readouterr()
    assert "Failed: RS on digits, seed 0" in shown.err
    assert "Set TUNEWRIGHT_HOME" in shown.err
    assert "Traceback" not in shown.err
    assert "1 failed: --resume continues them" in shown.out


def test_fewer_workers_get_more_time_where_asked_for() -> None:
    launch = Launch(methods=METHODS, definitions=DEFINITIONS, backend="simulated")

    def seconds(*given: str) -> float | None:
        (cell,) = plan_of(launch, "--benchmark", "digits", "--method", "RS", *given)
        return cell.limits.max_wallclock_time

    default = DEFINITIONS["digits"].max_wallclock_time
    assert default is not None
    assert seconds("--n_workers", "1") == default
    assert seconds("--n_workers", "1", "--scale_max_wallclock_time") == 4 * default
    assert seconds("--n_workers", "8", "--scale_max_wallclock_time") == default


def test_names_globs_and_quotes() -> None:
    known = ["lcbench-a", "lcbench-b", "digits"]
    assert select("benchmark", "'lcbench-*',digits,lcbench-a", known) == ["lcbench-a", "lcbench-b", "digits"]
    assert select("benchmark", "\"digits\" , 'lcbench-[b]'", known) == ["digits", "lcbench-b"]
    with pytest.raises(ValueError, match="names none"):
        select("benchmark", ", ", known)


def call(*arguments: str) -> Any:
    with pytest.raises(SystemExit) as exited:
        command(arguments)
    return exited.value.code or 0


def test_the_preview_counts_what_a_method_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = "--method ASHA --benchmark digits --max_num_trials 90 --seconds_per_unit 36 --dollars_per_hour 2"
    assert call("preview", *line.split(), "--profile", "ideal", "--set", "kind=promotion") == 0
    shown = capsys.readouterr().out
    assert "trials         90" in shown
    assert "all trials to the end would be 2430" in shown
    hours = float(shown.split("worker hours")[1].split()[0])
    units = int(shown.split("resource       ")[1].split()[0])
    assert hours == pytest.approx(units * 36 / 3600, abs=0.01)
    assert f"${2 * hours:.2f}" in shown
    space = tmp_path / "space.toml"
    space.write_text('[lr]\ntype = "float"\nlow = 0.1\nhigh = 1.0\n')
    assert call("preview", "--space", str(space), "--method", "RS", "--max_num_trials", "5") == 0
    assert "5 completed" in capsys.readouterr().out
    assert call("preview", "--benchmark", "mlp_digits", "--max_wallclock_time", "100") == 0
    assert "0 (no report)" in capsys.readouterr().out
    for bad, message in {
        "--max_num_trials 3": "Give either --benchmark or --space",
        "--benchmark digitz": "Did you mean 'digits'?",
        "--benchmark digits": "Nothing would end it",
        "--benchmark digits --set kind": "--set takes NAME=VALUE",
    }.items():
        assert call("preview", *bad.split()) == 2
        assert message in capsys.readouterr().err


def test_a_preview_counts_workers_that_a_limit_cuts_off() -> None:
    found = preview(
        method("RandomSearch"),
        simulated_benchmark("digits", n_workers=3),
        limits=Limits(max_wallclock_time=100),
        seconds_per_unit=7,
    )
    assert found.time == 100
    assert found.worker_seconds == pytest.approx(300)
    assert found.statuses["running"] == 3
    with pytest.raises(ValueError, match="seconds_per_unit"):
        preview(method("ASHA"), simulated_benchmark("digits"), limits=Limits(), seconds_per_unit=0)


@pytest.mark.parametrize("name", ["simulated", "hypertune", "dehb", "dyhpo", "automl", "all"])
def test_experiment_folders_compare_known_methods_with_both_baselines(
    name: str, script_folder: Callable[[Path], None]
) -> None:
    folder = NURSERY / (f"launch_{name}" if name == "simulated" else f"benchmark_{name}")
    script_folder(folder)
    files = {file.name for file in folder.iterdir() if file.is_file()}
    assert {"hpo_main.py", "launch_remote.py", "requirements.txt"} < files
    methods = runpy.run_path(str(folder / "baselines.py"))["methods"]
    definitions = runpy.run_path(str(folder / "benchmark_definitions.py"))["benchmark_definitions"]
    assert {"RandomSearch", "OneEpochTopK"} <= {spec.name for spec in methods.values()}
    assert all(key == definition.name for key, definition in definitions.items())
    for spec in methods.values():
        if spec.name in method_names():
            method(spec.name, **spec.settings)
