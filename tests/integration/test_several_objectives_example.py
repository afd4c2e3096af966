"""The example of several objectives, and the command line with two metrics: journal, table, JSON, resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from tunewright.cli import main
from tunewright.experiments import load_outcome
from tunewright.models.pareto import pareto_mask
from tunewright.storage import experiments

FUNCTION = """
import tunewright

def train(x, epochs):
    for epoch in range(1, epochs + 1):
        tunewright.report(epoch=epoch, error=x + 1 / epoch, score=x * x)
"""


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        main(list(arguments))
    return int(exited.value.code or 0)


def test_the_example_ends_with_a_set_of_compromises(
    run_example: Callable[[str], CompletedProcess[str]],
) -> None:
    done = run_example("several_objectives")
    assert done.stdout.startswith("error ")
    assert "that no other dominates" in done.stderr
    outcome = load_outcome(next(iter(experiments("several-objectives"))))
    front = [(point.values["error"], point.values["seconds"]) for point in outcome.pareto]
    assert len(front) >= 2
    assert front == sorted(front)
    assert [seconds for _, seconds in front] == sorted((s for _, s in front), reverse=True)
    assert {outcome.history.status(i).value for i in range(12)} >= {"paused", "completed"}


def test_two_metrics_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two.py").write_text(FUNCTION)
    (tmp_path / "space.toml").write_text('epochs = 2\n[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
    base = ["tune", f"{tmp_path / 'two.py'}:train", "--space", str(tmp_path / "space.toml")]
    base += ["--resource", "epoch", "--n_workers", "2", "--max_num_trials", "4", "--experiment_tag", "two"]
    several = ["--metric", "error", "--metric", "score", "--goal", "min,max"]
    assert call(*base, *several, "--method", "BO") == 2
    assert "BayesianOptimization tunes one metric, not 2 (error, score)" in capsys.readouterr().err
    assert call(*base, *several, "--method", "NSGA2") == 0
    (folder,) = experiments("two")
    capsys.readouterr()
    assert call("show", folder.name, "--format", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["metrics"] == [{"name": "error", "goal": "min"}, {"name": "score", "goal": "max"}]
    outcome = load_outcome(folder)
    results = [result for _, result in outcome.history.results_since(0)]
    kept = [[r.metrics["error"], -r.metrics["score"]] for r in results]
    assert len(shown["pareto"]) == int(pareto_mask(np.array(kept)).sum())
    assert call("show", folder.name) == 0
    text = capsys.readouterr().out
    assert f"best        {len(shown['pareto'])} results that no other dominates" in text
    assert "error" in text.splitlines()[0]
    assert "score" in text.splitlines()[0]
