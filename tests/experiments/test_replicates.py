"""``--replicates``: a script that reports its folds in any order, from the command line to the best with its error."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tunewright.cli import main
from tunewright.exceptions import SettingsError
from tunewright.experiments import Outcome, load_outcome, tune_function
from tunewright.replicates import Replicates
from tunewright.runner.call_function import load_function
from tunewright.space import Float
from tunewright.storage import experiments
from tunewright.trial import TrialStatus

SCRIPT = """
import sys
x = float(sys.argv[sys.argv.index("--x") + 1])
order = [3, 1, 2, 4] if x > 0.5 else [1, 4, 3, 2]
for fold in order:
    print('[tune-metric]: {"fold": %d, "loss": %r}' % (fold, x + fold / 10))
"""
SPACE = '[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'
FLAGS = "--metric loss --replicates 4 --resource fold --n_workers 1 --experiment_tag folds"


@pytest.fixture
def tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command of ``tunewright``; returns its exit code and its output."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cv.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text(SPACE)

    def run(command: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exited:
            main(command.split())
        said = capsys.readouterr()
        return int(exited.value.code or 0), said.out + said.err

    return run


def stored(tag: str) -> Outcome:
    (folder,) = experiments(tag)
    return load_outcome(folder)


def test_folds_race_and_the_best_is_shown_with_its_error(tune) -> None:
    code, said = tune(f"tune cv.py --space space.toml {FLAGS} --max_num_trials 5")
    assert code == 0, said
    outcome = stored("folds")
    xs = [trial.config["x"] for trial in outcome.trials]
    best = outcome.best
    assert best is not None
    full = [i for i in range(5) if len(outcome.history.results(i)) == 4]
    assert best.trial_id == min(full, key=lambda i: xs[i]) == xs.index(min(xs))
    assert best.value == pytest.approx(min(xs) + 0.25)
    assert best.standard_error == pytest.approx(0.1 * (5 / 3 / 4) ** 0.5)
    for i, x in enumerate(xs[1:], start=1):  # one worker: the best so far is known
        stops = x > min(xs[:i])
        assert (outcome.history.status(i) is TrialStatus.STOPPED) == stops
        assert len(outcome.history.results(i)) == (2 if stops else 4)
    assert "± 0.065 (lowest; trial" in said
    code, shown = tune(f"show {outcome.folder.name}")
    assert f"loss {best.value:.5g} ± 0.065 (lowest; trial {best.trial_id}, fold 4)" in shown
    data = json.loads(tune(f"show {outcome.folder.name} --format json")[1])
    assert data["best"]["standard_error"] == best.standard_error
    assert data["constraints"] == ["replicates>=4"]


def test_a_resume_keeps_the_race(tune) -> None:
    flags = f"tune cv.py --space space.toml {FLAGS} --significance 0.1"
    assert tune(f"{flags} --max_num_trials 3")[0] == 0
    name = stored("folds").folder.name
    assert tune(f"resume {name} --max_num_trials 5")[0] == 0
    resumed = stored("folds")
    assert tune(f"{flags.replace('folds', 'whole')} --max_num_trials 5")[0] == 0
    whole = stored("whole")
    n_results = [[len(one.history.results(i)) for i in range(5)] for one in (resumed, whole)]
    assert n_results[0] == n_results[1]
    assert resumed.best == whole.best


def test_a_report_without_the_number_of_its_fold_is_an_error(tune) -> None:
    flags = FLAGS.replace("--resource fold", "--resource seed")
    code, said = tune(f"tune cv.py --space space.toml {flags} --max_num_trials 1")
    assert code == 1
    assert "lacks the tuned metric 'seed'" in said


def test_contradictions_are_refused(tune) -> None:
    flags = "tune cv.py --space space.toml --metric loss --max_num_trials 1"
    for more, message in [
        ("--significance 0.1", "--significance needs --replicates"),
        ("--replicates 1", "replicates=1 must be >= 2"),
        ("--replicates 5 --max_resource 9", "max_resource is 9, but there are 5 replicates"),
    ]:
        code, said = tune(f"{flags} {more}")
        assert code == 2
        assert message in said
    with pytest.raises(SettingsError, match="significance=2"):
        tune_function(
            "m:f", {"x": Float(0.0, 1.0)}, metric="loss", replicates=Replicates(n=5, significance=2)
        )


def test_a_function_gets_the_number_of_folds_and_auto_chooses_no_rungs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cv.py"
    path.write_text(
        "import tunewright\n"
        "def train(x, folds):\n"
        "    for fold in range(folds):\n"
        "        tunewright.report(loss=x + fold)\n"
    )
    outcome = tune_function(
        f"{path}:train",
        {"x": Float(0.0, 1.0)},
        metric="loss",
        method="auto",
        replicates=3,
        max_resource_attr="folds",
        max_num_trials=2,
        n_workers=1,
    )
    assert "auto is BayesianOptimization: trials race over replicates" in capsys.readouterr().err
    best = outcome.best
    assert best is not None
    assert (best.value, best.resource) == (pytest.approx(best.config["x"] + 1), 3)


def test_the_example_reports_the_error_of_every_fold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    example = Path(__file__).parents[2] / "examples" / "cross_validation.py"
    monkeypatch.setattr(sys, "argv", [str(example)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, example.stem, sys)  # afterwards there is no such module
    load_function(f"{example}:train")(C=10.0, gamma=0.001)  # as a trial does: the file tunes, too
    reports = [json.loads(line.partition(": ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert [report["fold"] for report in reports] == [1, 2, 3, 4, 5]
    assert all(0.0 < report["error"] < 0.05 for report in reports)
