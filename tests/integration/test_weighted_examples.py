"""The examples of constraints, costs and priors run, and show what they say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from tunewright.experiments import load_outcome
from tunewright.storage import experiments

Example = Callable[[str], CompletedProcess[str]]


def test_the_best_keeps_the_bound(run_example: Example) -> None:
    (line,) = run_example("constraints").stdout.splitlines()
    assert line.startswith("Best(trial_id=")
    outcome = load_outcome(next(iter(experiments("constraints"))))
    assert outcome.best is not None
    assert int(outcome.best.config["width"]) <= 128
    everything = [result.metrics for _, result in outcome.history.results_since(0)]
    assert min(metrics["error"] for metrics in everything if metrics["memory"] <= 8) == outcome.best.value
    assert min(metrics["error"] for metrics in everything) < outcome.best.value
    shown = subprocess.run(
        [Path(sys.executable).with_name("tunewright"), "show", outcome.folder.name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "constraints memory<=8" in shown
    assert f"trial {outcome.best.trial_id}" in shown


def test_for_the_same_money_there_are_more_trials(run_example: Example) -> None:
    lines = run_example("cost_aware").stdout.splitlines()
    trials = [int(line.split()[1]) for line in lines]
    assert [line.split(":")[0] for line in lines] == ["CostAwareBO", "BayesianOptimization", "ASHA"]
    assert trials[0] > 1.5 * trials[1]


def test_priors_lead_to_the_good_values(run_example: Example) -> None:
    (line,) = run_example("priors").stdout.splitlines()
    assert "'optimizer': 'adam'" in line
