"""Every method: a simulated experiment killed after any journal line and resumed is that of an undisturbed one."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest

from tunewright.backends.simulated import Delays, SimulatedBackend, SimulatedConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.events import decode_mapping, encode_event
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.methods import build_scheduler, find_method, method, method_names
from tunewright.metric import Goal, Metric
from tunewright.space import Float, Prior, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.fault_injection import CrashingJournal, SimulatedCrash
from tunewright.testing.histories import earlier_evaluations
from tunewright.testing.spaces import CONTINUOUS
from tunewright.tuner import Tuner
from tunewright.types import Config, Json

LOSS = Metric("loss")
BENCHMARK = RealBenchmarkDefinition(
    name="resumed", script="none", space=CONTINUOUS, metrics=(LOSS,), max_resource=9
)
BOTH = BENCHMARK.replace(metrics=(LOSS, Metric("size", Goal.MAXIMIZE)))
BELIEVED = BENCHMARK.replace(
    space=SearchSpace(
        {
            "x": Float(-5.0, 10.0, prior=Prior(best=1.0, confidence="high")),
            "y": Float(0.0, 15.0, prior=Prior(best=5.0)),
        }
    )
)


def train(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    x, y = float(config["x"]), float(config["y"])
    if math.sin(1000 * (x + y)) > 0.5:
        raise RuntimeError("diverged")
    loss = float("nan") if y > 14.0 else abs(x) + y / epoch
    return {"loss": loss, "size": y - x / 2}, 0.1 + y / 7


SEVERAL = ("EHVI", "MOASHA", "MOREA", "NSGA2", "RandomScalarization")
BENCHMARKS = {**dict.fromkeys(SEVERAL, BOTH), "PiBO": BELIEVED, "PriorBand": BELIEVED}
SMALL = {"n_initial": 3, "population_size": 6, "sample_size": 3, "n_trees": 2, "n_fantasies": 2}
"""Settings that make methods decide by themselves early, and soon, where they have them."""
OWN: dict[str, dict[str, Json]] = {
    "CMAES": {"population_size": 4},
    "ConstrainedBO": {"constraint": "loss<=9"},
    "CostAwareBO": {"cost": "loss", "cost_model": "linear"},
    "MedianStopping": {"grace_population": 3},
    "OneEpochTopK": {"n_configs": 8, "k": 2},
    "PASHA": {"eta": 2},
    "PB2": {"perturbation_interval": 2},
    "PBT": {"perturbation_interval": 2},
    "PatienceStopping": {"patience": 4, "min_delta": 0.3},
    "ThresholdStopping": {"upper": 12.0},
}
VARIANTS: dict[str, tuple[str, dict[str, Json]]] = {
    **{name: (name, OWN.get(name, {})) for name in method_names()},
    "ASHA-cost": ("ASHA", {"cost": "loss"}),
    "ASHA-stopping": ("ASHA", {"kind": "stopping"}),
    "HyperTune-joint": ("HyperTune", {"model": "joint"}),
    "MOBSTER-independent": ("MOBSTER", {"model": "independent"}),
    "TuRBO-2": ("TuRBO", {"n_regions": 2, "failure_tolerance": 1, "shortest_length": 0.4}),
    "PriorBand-asynchronous": ("PriorBand", {"asynchronous": True}),
}
"""Every method that there is, and other ways of some."""


def scheduler(name: str, own: dict[str, Json]) -> Scheduler:
    found = find_method(name)
    small = {key: value for key, value in SMALL.items() if key in found.parameters}
    evaluations = earlier_evaluations(CONTINUOUS) if found.needs_evaluations else None
    return build_scheduler(
        method(name, **{**small, **own}), BENCHMARKS.get(name, BENCHMARK), 1, {}, evaluations
    )


def tune(scheduler: Scheduler, kept: MemoryJournal, n_lines: int = -1) -> None:
    """Work on the experiment until its end, or until the tuner is killed."""
    config = SimulatedConfig(dollars_per_hour=2.0)
    tuner = Tuner(
        scheduler,
        SimulatedBackend(train, n_workers=3, max_resource=9, config=config, delays=Delays(stop=0.7)),
        metrics=[LOSS],
        stop_when=MaxTrialsStarted(15),
        journal=CrashingJournal(kept, n_lines),
        max_failures=100,
    )
    with suppress(SimulatedCrash):
        tuner.run()


def canonical(journal: MemoryJournal) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in line.items() if key not in ("wall", "suggest_time")}
        for line in map(decode_mapping, map(encode_event, journal.events()))
        if line["kind"] != "session"
    ]


@pytest.mark.parametrize(("name", "own"), VARIANTS.values(), ids=VARIANTS)
def test_killed_again_and_again(name: str, own: dict[str, Json]) -> None:
    undisturbed, killed = MemoryJournal(), MemoryJournal()
    tune(scheduler(name, own), undisturbed)
    expected = canonical(undisturbed)
    n_kills = 0
    while len(canonical(killed)) < len(expected):
        tune(scheduler(name, own), killed, 5 + n_kills % 13)
        n_kills += 1
    tune(scheduler(name, own), killed)
    assert canonical(killed) == expected
    assert n_kills >= 6
    statuses = {line["status"] for line in expected if line["kind"] == "end"}
    assert "failed" in statuses
    assert statuses & {"completed", "paused"}
