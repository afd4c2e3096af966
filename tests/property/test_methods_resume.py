"""Every scheduler: a simulated experiment killed after any journal line and resumed is that of an undisturbed one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tunewright.backends.simulated import SimulatedBackend, SimulatedSettings
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.experiments.methods import build_scheduler, method
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.metric import Goal, Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.brackets import HyperbandSettings
from tunewright.schedulers.dehb import DEHB, DEHBSettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.median_stopping import MedianStopping, MedianStoppingSettings
from tunewright.schedulers.pbt import PBT, PBTSettings
from tunewright.schedulers.soft_ranking import SoftRankingCeiling
from tunewright.schedulers.sync_hyperband import SyncHyperband
from tunewright.searchers.bore import BORESettings, bore_searcher
from tunewright.searchers.cqr import CQRSettings, cqr_searcher
from tunewright.searchers.evolution import EvolutionSettings, evolution_searcher
from tunewright.searchers.kde import KDESettings, kde_searcher
from tunewright.searchers.random import RandomSearcher
from tunewright.searchers.scope import Scope
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.earlier import earlier_evaluations
from tunewright.testing.mortal import Killed, MortalJournal
from tunewright.testing.spaces import CONTINUOUS
from tunewright.tuner import Tuner
from tunewright.types import Config

LOSS = Metric("loss")
BENCHMARK = RealBenchmarkDefinition(
    name="resumed", script="none", space=CONTINUOUS, metrics=(LOSS,), max_resource=9
)


BOTH = BENCHMARK.replace(metrics=(LOSS, Metric("size", Goal.MAXIMIZE)))


def train(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    x, y = float(config["x"]), float(config["y"])
    if x > 8.0:
        raise RuntimeError("diverged")
    loss = float("nan") if y > 14.0 else abs(x) + y / epoch
    return {"loss": loss, "size": y - x / 2}, 0.1 + y / 7


def random_searcher() -> RandomSearcher:
    return RandomSearcher(CONTINUOUS, seed=1)


SCHEDULERS: dict[str, Callable[[], Scheduler]] = {
    "SyncHyperband": lambda: SyncHyperband(random_searcher(), HyperbandSettings(max_resource=9), metric=LOSS),
    "DEHB": lambda: DEHB(
        CONTINUOUS, DEHBSettings(plan=HyperbandSettings(max_resource=9)), metric=LOSS, seed=1
    ),
    "PASHA": lambda: ASHA(
        random_searcher(),
        ASHASettings(max_resource=9, eta=2),
        metric=LOSS,
        seed=1,
        ceiling=SoftRankingCeiling((1, 2, 4, 8, 9)),
    ),
    "MedianStopping": lambda: MedianStopping(
        FIFO(random_searcher()), MedianStoppingSettings(grace_population=3), metric=LOSS
    ),
    "REA": lambda: FIFO(
        evolution_searcher(
            Scope(space=CONTINUOUS, seed=1), EvolutionSettings(population_size=6, sample_size=3), metric=LOSS
        )
    ),
    "PBT": lambda: PBT(
        random_searcher(),
        CONTINUOUS,
        PBTSettings(max_resource=9, perturbation_interval=2),
        metric=LOSS,
        seed=1,
    ),
    **{
        name: lambda name=name: build_scheduler(method(name, n_initial=3), BENCHMARK, 1, {})
        for name in ("BayesianOptimization", "MOBSTER", "HyperTune", "SyncMOBSTER", "FreezeThaw", "DyHPO")
    },
    **{
        name: lambda name=name: build_scheduler(method(name), BENCHMARK, 1, {})
        for name in ("KDE", "BOHB", "auto")
    },
    "ASHACQR": lambda: build_scheduler(method("ASHACQR", n_trees=2, n_initial=3), BENCHMARK, 1, {}),
    **{
        name: lambda name=name: build_scheduler(
            method(name), BENCHMARK, 1, {}, earlier_evaluations(CONTINUOUS)
        )
        for name in ("RUSH", "TransferGP")
    },
    **{
        name: lambda name=name, settings=settings: build_scheduler(method(name, **settings), BOTH, 1, {})
        for name, settings in {
            "MOASHA": {},
            "MOREA": {"population_size": 6, "sample_size": 3},
            "NSGA2": {"population_size": 5},
            "RandomScalarization": {"n_initial": 3},
            "EHVI": {"n_initial": 3},
        }.items()
    },
    **{
        name: lambda name=name, settings=settings: build_scheduler(method(name, **settings), BENCHMARK, 1, {})
        for name, settings in (
            ("ConstrainedBO", {"constraint": "loss<=9", "n_fantasies": 2}),
            ("CostAwareBO", {"cost": "loss", "cost_model": "linear", "n_fantasies": 2}),
            ("PiBO", {"n_fantasies": 2}),
            ("PriorBand", {"asynchronous": True}),
            ("ASHA", {"cost": "loss"}),
        )
    },
    "SyncBOHB": lambda: SyncHyperband(
        kde_searcher(Scope(space=CONTINUOUS, seed=1), KDESettings(), metric=LOSS, levels=(1, 3, 9)),
        HyperbandSettings(max_resource=9),
        metric=LOSS,
    ),
    "ASHABORE": lambda: ASHA(
        bore_searcher(
            Scope(space=CONTINUOUS, seed=1), BORESettings(n_trees=3), metric=LOSS, levels=(1, 3, 9)
        ),
        ASHASettings(max_resource=9),
        metric=LOSS,
        seed=1,
    ),
    "CQR": lambda: FIFO(cqr_searcher(Scope(space=CONTINUOUS, seed=1), CQRSettings(n_trees=2), metric=LOSS)),
}


def tune(scheduler: Scheduler, kept: MemoryJournal, n_lines: int = -1) -> None:
    """Work on the experiment until its end, or until the tuner is killed."""
    settings = SimulatedSettings(stop_delay=0.7, dollars_per_hour=2.0)
    tuner = Tuner(
        scheduler,
        SimulatedBackend(train, n_workers=3, max_resource=9, settings=settings),
        metrics=[LOSS],
        stop_when=MaxTrialsStarted(24),
        journal=MortalJournal(kept, n_lines),
        max_failures=100,
    )
    with suppress(Killed):
        tuner.run()


def canonical(journal: MemoryJournal) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in line.items() if key not in ("wall", "suggest_time")}
        for line in journal.lines()
        if line["kind"] != "session"
    ]


@pytest.mark.parametrize("build", SCHEDULERS.values(), ids=SCHEDULERS)
def test_killed_again_and_again(build: Callable[[], Scheduler]) -> None:
    undisturbed, killed = MemoryJournal(), MemoryJournal()
    tune(build(), undisturbed)
    expected = canonical(undisturbed)
    n_kills = 0
    while len(canonical(killed)) < len(expected):
        tune(build(), killed, 5 + n_kills % 6)
        n_kills += 1
    tune(build(), killed)
    assert canonical(killed) == expected
    assert n_kills >= 10
    statuses = {line["status"] for line in expected if line["kind"] == "end"}
    assert "failed" in statuses
    assert statuses & {"completed", "paused"}
