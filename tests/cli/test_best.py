"""``best``, ``note`` and ``delete`` on stored experiments."""

from __future__ import annotations

import ast
import json
import shlex
import tomllib
from contextlib import closing

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.cli import main
from tunewright.experiments import Experiment, Limits, Outcome, method, run_experiment
from tunewright.journal import FileJournal
from tunewright.storage import experiments


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


@pytest.fixture
def outcome() -> Outcome:
    """The newer one of two experiments."""
    cells = [
        Experiment(
            tag=tag,
            benchmark=simulated_benchmark("digits"),
            method=method("RandomSearch"),
            label="RS",
            backend=SimulatedConfig(),
            limits=Limits(max_num_trials=3),
        )
        for tag in ("another", "newer")
    ]
    return [run_experiment(cell) for cell in cells][-1]


def test_the_best_configuration_is_printed_for_other_programs(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome.best is not None
    config = dict(outcome.best.config)

    def printed(form: str) -> str:
        code, out, _ = call(capsys, "best", "newer", "--format", form)
        assert code == 0
        return out

    assert json.loads(printed("json")) == config
    assert tomllib.loads(printed("toml")) == config
    assert ast.literal_eval(printed("python")) == config
    assert shlex.split(printed("cli")) == [f"--{name}={value}" for name, value in config.items()]
    pairs = [line.split(": ", 1) for line in printed("yaml").splitlines()]
    assert {name: json.loads(value) for name, value in pairs} == config
    shown = printed("table")
    assert f"trial {outcome.best.trial_id}" in shown
    assert ("highest" if outcome.metric.goal == "max" else "lowest") in shown


def test_without_a_result_there_is_no_best(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    header = outcome.folder.journal_path.read_text().splitlines(keepends=True)[0]
    outcome.folder.journal_path.write_text(header)
    code, _, err = call(capsys, "best", "@last")
    assert code == 2
    assert f"{outcome.folder.name} has no best result" in err


def test_a_note_is_shown_until_it_is_removed(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "note", "@last", "with the new data")[0] == 0
    assert "with the new data" in call(capsys, "note", "newer")[1]
    assert "note        with the new data" in call(capsys, "show", outcome.folder.name)[1]
    assert call(capsys, "note", "@last", "")[0] == 0
    assert "has no note" in call(capsys, "note", "newer")[1]
    assert "with the new data" not in call(capsys, "show", outcome.folder.name)[1]


def test_nothing_is_deleted_without_consent(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["newer"], ["--experiment_tag", "another"], ["nothing", "--yes"], []):
        code, _, err = call(capsys, "delete", *arguments)
        assert code == 2
        assert "Error: " in err
    assert len(list(experiments())) == 2
    code, out, _ = call(capsys, "delete", "@last", "--yes")
    assert (code, out.splitlines()) == (0, [outcome.folder.name, "Deleted 1 experiment"])
    assert [folder.tag for folder in experiments()] == ["another"]
    assert call(capsys, "delete", "--experiment_tag", "another", "--yes")[0] == 0
    assert not list(experiments())
    code, _, err = call(capsys, "best", "@last")
    assert (code, "no experiments yet" in err) == (2, True)


def test_a_running_experiment_is_not_deleted(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(FileJournal(outcome.folder.journal_path)):
        code, _, err = call(capsys, "delete", "newer", "--yes")
    assert code == 2
    assert "is running: stop it first" in err
    assert outcome.path.exists()
