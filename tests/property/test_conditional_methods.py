"""Every method: what is not active is in no configuration, relations hold, and no configuration comes twice."""

from __future__ import annotations

import pytest

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.interfaces import Scheduler
from tunewright.methods import build_scheduler, find_method, method, method_names
from tunewright.metric import Metric
from tunewright.space import SearchSpace
from tunewright.testing.histories import earlier_evaluations
from tunewright.testing.scheduler_simulator import ALL_FAULTS, SchedulerSimulator
from tunewright.testing.spaces import CONDITIONAL

SPACE = SearchSpace(
    CONDITIONAL,
    constraints=[
        "width_3 <= width_2",
        "n_layers * width_2 <= 200",
        "lr + momentum <= 0.6",
        "optimizer != 'adam' or lr <= 0.005",
    ],
)
"""Four in ten draws keep its relations."""
LOSS = Metric("loss")
REPEATING = {"PBT"}
"""Methods whose clones may have the configuration of a member."""
CHEAP = {"DEHB", "KDE", "MOREA", "NSGA2", "PBT", "REA", "TPE"}
"""Methods that get 24 trials, as they make configurations of their own later than others."""
SMALL = {"n_initial": 3, "population_size": 5, "n_trees": 3, "n_candidates": 40, "n_quantiles": 1}
"""Settings that make methods decide by themselves early, where they have them."""


def scheduler(name: str, space: SearchSpace, metrics: tuple[Metric, ...]) -> Scheduler:
    benchmark = RealBenchmarkDefinition(
        name="conditional", script="none", space=space, metrics=metrics, max_resource=9
    )
    found = find_method(name)
    known = {key: value for key, value in SMALL.items() if key in found.parameters}
    evaluations = earlier_evaluations(space) if found.needs_evaluations else None
    return build_scheduler(method(name, **known), benchmark, 0, {}, evaluations)


@pytest.mark.parametrize("name", method_names())
def test_conditions_and_relations_are_kept(name: str) -> None:
    n_trials = 24 if name in CHEAP else 6
    simulator = SchedulerSimulator(
        scheduler(name, SPACE, (LOSS,)), LOSS, max_resource=9, n_trials=n_trials, faults=ALL_FAULTS
    )
    simulator.play()
    history = simulator.history
    configs = [history.trial(trial_id).config for trial_id in range(history.n_trials)]
    assert len(configs) == n_trials
    for config in configs:
        SPACE.validate(config)
    assert len({frozenset(config) for config in configs}) > 1
    if name not in REPEATING:
        assert len({SPACE.key(config) for config in configs}) == len(configs)


def test_ask_tell_gives_what_is_active() -> None:
    """And the metrics decide which branch comes more often."""
    tuning = AskTell(scheduler("BO", CONDITIONAL, (LOSS,)), [LOSS])
    optimizers: list[object] = []
    for _ in range(14):
        asked = tuning.ask()
        assert asked is not None
        CONDITIONAL.validate(asked.config)
        optimizers.append(asked.config["optimizer"])
        tuning.tell(asked, {"loss": 0.0 if asked.config["optimizer"] == "adam" else 1.0}, resource=1)
        tuning.complete(asked)
    assert optimizers[6:].count("adam") >= 4
