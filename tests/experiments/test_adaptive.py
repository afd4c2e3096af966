"""Adaptive: its parts, one by one, and what the user sees of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tunewright.backends.simulated import SimulatedBackend, SimulatedConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.callbacks.progress import PlainProgress
from tunewright.cli.stored import overview
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, run_experiment
from tunewright.formatting import ProgressFacts, messages
from tunewright.history import History
from tunewright.journal import MemoryJournal
from tunewright.methods import build_scheduler, find_method, method
from tunewright.metric import Metric
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.histories import earlier_evaluations
from tunewright.testing.spaces import CONTINUOUS
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.trial import TrialStatus
from tunewright.tuner import Tuner
from tunewright.types import Config

LOSS = Metric("loss")
BENCHMARK = RealBenchmarkDefinition(
    name="adapts", script="none", space=CONTINUOUS, metrics=(LOSS,), max_resource=9
)


def cells(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    """A table of 12 cells: most configurations repeat an earlier one."""
    x, y = round(float(config["x"]) / 5), round(float(config["y"]) / 5)
    return {"loss": abs(x - 1) + y / epoch, "st_worker_time": float(epoch * (1 + y))}, 1.0 + y


def tuned(
    n_trials: int, earlier: TransferEvaluations | None = None, say: Any = None, **settings: Any
) -> History:
    small = {"n_fantasies": 0, "max_observations": 20, **settings}
    facts = ProgressFacts(title="t", metric=LOSS, space=CONTINUOUS, n_workers=2)
    return Tuner(
        build_scheduler(method("Adaptive", **small), BENCHMARK, 0, {}, earlier),
        SimulatedBackend(cells, n_workers=2, max_resource=9, config=SimulatedConfig(profile="ideal")),
        metrics=[LOSS],
        stop_when=MaxTrialsStarted(n_trials),
        journal=MemoryJournal(),
        callbacks=[PlainProgress(facts, say)] if say else [],
    ).run()


def arms(history: History) -> Counter[object]:
    notes: list[Any] = [history.note(trial_id, 0).get("searcher", {}) for trial_id in range(history.n_trials)]
    return Counter(note.get("arm") for note in notes)


def test_the_share_follows_the_results_and_its_changes_are_said() -> None:
    lines: list[str] = []
    history = tuned(24, say=lines.append)
    said = [text for run in history.runs for text in messages(history.note(run.trial_id, run.attempt))]
    assert said
    assert all(text.startswith("New configurations: ") for text in said)
    assert [line for line in lines if line.startswith("New configurations: ")] == said
    found = arms(history)
    assert found[None] == 1
    assert found["random"] >= 5
    assert found["model"] > 0


@pytest.mark.parametrize(("share", "expected"), [(0.0, {"random": 5, "model": 12}), (1.0, {"random": 17})])
def test_a_fixed_share(share: float, expected: dict[str, int]) -> None:
    history = tuned(18, random_share=share)
    assert arms(history) == {None: 1, **expected}
    assert not any(messages(history.note(trial_id, 0)) for trial_id in range(18))


def test_repeats_are_stopped_unless_they_are_wanted() -> None:
    stopped = [
        len(tuned(24, random_share=1.0, drop_repeats=drops).ids(TrialStatus.STOPPED))
        for drops in (True, False)
    ]
    assert stopped[0] >= 8
    assert stopped[1] == 0


def test_with_earlier_experiments_chance_draws_where_these_did_well() -> None:
    history = tuned(30, earlier_evaluations(CONTINUOUS, n_trials=30), random_share=1.0)
    assert arms(history) == {None: 5, "transfer": 25}
    drawn = [float(history.trial(trial_id).config["x"]) for trial_id in range(5, 30)]
    alone = tuned(30, random_share=1.0)
    others = [float(alone.trial(trial_id).config["x"]) for trial_id in range(5, 30)]
    assert sum(drawn) / 25 < sum(others) / 25 - 1.5  # losses grow with x, from -5 to 10


def test_settings_that_cannot_work_are_refused() -> None:
    found = find_method("Adaptive")
    for settings in ({"random_share": 2}, {"least_share": 0.7}, {"hyperband_share": -1}):
        with pytest.raises(SettingsError):
            found.make_settings(settings)
    assert found.promotion_eta(found.make_settings({"eta": 4})) == 4


@pytest.mark.usefixtures("tunewright_home")
def test_the_newest_decisions_are_shown() -> None:
    experiment = Experiment(
        tag="adaptive",
        benchmark=simulated_benchmark("digits"),
        method=method("auto"),
        label="auto",
        backend=SimulatedConfig(profile="ideal"),
        limits=Limits(max_num_trials=9),
    )
    lines = overview(run_experiment(experiment)).splitlines()
    decisions = [line for line in lines if "New configurations: " in line]
    assert 1 <= len(decisions) <= 5
    assert decisions[0].startswith("decisions   trial 6: New configurations: ")
