"""Earlier experiments, stored as the command line stores them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tunewright.backends.simulated import SimulatedBackend
from tunewright.events import Header
from tunewright.journal import FileJournal
from tunewright.metric import Goal, Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.storage import ExperimentFolder, create_experiment
from tunewright.tuner import Tuner
from tunewright.types import Config

Train = Callable[[Config], float]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., ExperimentFolder]:
    """Runs random search on a function of configurations, and keeps it."""
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "home"))

    def run(
        tag: str,
        benchmark: str,
        space: SearchSpace,
        value: Train,
        *,
        metric: Metric | None = None,
        n: int = 12,
    ) -> ExperimentFolder:
        tuned = metric or Metric("loss", Goal.MINIMIZE)
        folder = create_experiment(tag, "RS", benchmark, "0")
        metrics = [{"name": tuned.name, "goal": str(tuned.goal)}]
        folder.write_metadata(
            {
                "benchmark": {"name": benchmark, "metrics": metrics},
                "backend": {"kind": "local"},
                "label": "RS",
                "seed": 0,
            }
        )
        backend = SimulatedBackend(
            lambda config, epoch: ({tuned.name: value(config) + 1 / epoch}, 1.0), n_workers=1, max_resource=2
        )
        Tuner(
            FIFO(RandomSearcher(space, seed=len(benchmark))),
            backend,
            metrics=[tuned],
            stop_when=MaxTrialsStarted(n),
            journal=FileJournal(folder.journal_path, Header(seed=0)),
            max_failures=100,
        ).run()
        return folder

    return run
