"""Recorded curves, warm pools and charged suggestions on the simulated clock."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tunewright.backends.simulated import Delays, SimulatedBackend, SimulatedConfig
from tunewright.backends.simulated.workload import BlackboxWorkload
from tunewright.blackbox import Description, TabularBlackbox
from tunewright.events import Header
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.history import History
from tunewright.interfaces import Backend, Searcher
from tunewright.journal import FileJournal, MemoryJournal, canonical_hash
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher, RestrictedSearcher
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.training_script import train_epoch
from tunewright.trial import OpenRun, PhaseChange, Reported, Run, Suggestion
from tunewright.tuner import Tuner

SPACE = SearchSpace({"x": Float(0.0, 1.0)})
IDEAL = SimulatedConfig(profile="ideal")


def table(levels: Sequence[int] = (1, 2, 3), *, n_configs: int = 4, n_seeds: int = 1) -> TabularBlackbox:
    """Configuration i takes 10 (i + 1) seconds per unit of resource; its loss is i + 100 seed + level / 1000."""
    description = Description(
        name="t",
        dataset="d",
        space=SPACE,
        metrics=("loss", "elapsed"),
        elapsed="elapsed",
        levels=tuple(levels),
        n_seeds=n_seeds,
    )
    row = np.arange(n_configs, dtype=float)[:, None, None]
    level = np.array(levels, dtype=float)
    loss = row + 100.0 * np.arange(n_seeds)[:, None] + level / 1000
    elapsed = np.broadcast_to(10.0 * (row + 1) * level, loss.shape)
    columns = {"x": (np.arange(n_configs) / n_configs).tolist()}
    return TabularBlackbox(description, columns, np.stack([loss, elapsed], axis=-1))


def over(blackbox: TabularBlackbox, *, config: SimulatedConfig = IDEAL, **more: object) -> SimulatedBackend:
    given: dict[str, object] = {"n_workers": 2, "max_resource": blackbox.levels[-1]} | more
    backend = SimulatedBackend(BlackboxWorkload(blackbox, seed=0), config=config, **given)  # type: ignore[arg-type]
    backend.attach(())
    return backend


def play(backend: Backend) -> list[tuple[float, int | str]]:
    """(time, resource or how it ended) until nothing runs."""
    found: list[tuple[float, int | str]] = []
    while got := backend.wait(math.inf):
        (event,) = got
        if isinstance(event, PhaseChange):
            continue
        what = event.resource if isinstance(event, Reported) else event.error or "end"
        found.append((backend.clock.now(), what))
    return found


def test_a_trial_follows_its_recorded_curve() -> None:
    backend = over(table())
    backend.start(Run(trial_id=0, attempt=0), {"x": 0.5, "other": 1})
    (report,) = backend.wait(math.inf)
    assert isinstance(report, Reported)
    assert report.metrics == {"epoch": 1, "loss": 2.001, "elapsed": 30.0}
    assert play(backend) == [(60.0, 2), (90.0, 3), (90.0, "end")]


def test_a_resumed_trial_goes_on_where_the_checkpoint_is() -> None:
    for checkpoints, expected in [(True, [(30.0, 3)]), (False, [(10.0, 1), (20.0, 2), (30.0, 3)])]:
        backend = over(table(), config=replace(IDEAL, support_checkpointing=checkpoints))
        backend.clock.resume_at(0.0 if not checkpoints else 20.0)
        backend.start(Run(trial_id=0, attempt=1, resume_from=2), {"x": 0.0})
        assert play(backend)[:-1] == expected


def test_levels_may_be_sparse() -> None:
    """A run to 9 reports at 8 and comes to rest at 12; the script's own end is the last level within the limit."""
    config, run = {"x": 0.0}, Run(trial_id=0, attempt=0, until=9)
    backend = over(table(levels=(1, 8, 12, 200)))
    backend.start(run, config)
    assert play(backend) == [(10.0, 1), (80.0, 8), (120.0, 12), (120.0, "end")]
    backend.start(Run(trial_id=0, attempt=1, resume_from=12), config)
    assert play(backend) == [(2000.0, 200), (2000.0, "end")]
    backend = over(table(levels=(1, 8, 12, 200)), max_resource=100)
    backend.start(Run(trial_id=0, attempt=0), config)
    assert [what for _, what in play(backend)] == [1, 8, 12, "end"]


def test_a_curve_that_ends_early_ends_the_script() -> None:
    blackbox = table()
    blackbox.values[1, 0, 2:] = np.nan
    backend = over(blackbox)
    backend.start(Run(trial_id=0, attempt=0), {"x": 0.25})
    assert [what for _, what in play(backend)] == [1, 2, "end"]


def test_what_was_not_recorded_is_a_crash_with_the_remedy() -> None:
    backend = over(table())
    backend.start(Run(trial_id=0, attempt=0), {"x": 0.123})
    ((_, error),) = play(backend)
    assert "no recorded run of x=0.123: set restrict_configurations" in str(error)


def test_each_trial_follows_one_recorded_seed() -> None:
    def seeds(seed: int, **more: int) -> list[int]:
        workload = BlackboxWorkload(table(n_seeds=3), seed=seed, **more)
        steps = [workload.training(trial_id, {"x": 0.0}).after(0) for trial_id in range(30)]
        return [int(step.metrics["loss"]) // 100 for step in steps if step is not None]

    assert seeds(0) == seeds(0) != seeds(1)
    assert set(seeds(0)) == {0, 1, 2}
    assert set(seeds(0, blackbox_seed=2)) == {2}


WARM = SimulatedConfig(keep_alive=60.0, dollars_per_hour=3600.0)
STARTS = Delays(start=100.0, warm_start=10.0, report=0.0, completion=0.0, stop=0.0)


def start_at(backend: SimulatedBackend, seconds: float, trial_id: int) -> None:
    backend.wait(seconds - backend.clock.now())
    backend.start(Run(trial_id=trial_id, attempt=0, until=1), {"x": 0.0})


def test_a_run_starts_warm_on_an_instance_that_waits() -> None:
    backend = over(table(), config=WARM, delays=STARTS)
    start_at(backend, 0.0, 0)
    assert play(backend)[-1] == (110.0, "end")
    start_at(backend, 150.0, 1)  # it has waited for 40 s
    start_at(backend, 150.0, 2)  # the only one was taken
    assert play(backend) == [(170.0, 1), (170.0, "end"), (260.0, 1), (260.0, "end")]
    start_at(backend, 300.0, 3)  # the first was given up at 230, the other has waited for 40 s
    assert play(backend)[-1] == (320.0, "end")
    summary = backend.summary()
    assert (summary.jobs, summary.warm_starts) == (4, 2)
    assert summary.pool_idle_seconds == 40.0 + 60.0 + 40.0
    assert summary.billable_seconds == 110.0 + 20.0 + 110.0 + 20.0
    assert summary.cost == pytest.approx(summary.billable_seconds + summary.pool_idle_seconds)
    backend.wait(1000.0)
    assert backend.summary().pool_idle_seconds == 40.0 + 60.0 + 40.0 + 60.0


def test_the_begin_of_training_is_a_phase() -> None:
    """Cold after 100 s, warm after 10 s; a run that goes on after its begin does not tell it again."""
    backend = over(table(), config=WARM, delays=STARTS)
    found: list[tuple[float, int, bool | None]] = []
    for trial_id, seconds in enumerate((0.0, 150.0)):
        start_at(backend, seconds, trial_id)
        while got := backend.wait(math.inf):
            found += [(backend.clock.now(), e.trial_id, e.warm) for e in got if isinstance(e, PhaseChange)]
    assert found == [(100.0, 0, False), (160.0, 1, True)]
    again = SimulatedBackend(
        BlackboxWorkload(table(), seed=0), n_workers=2, max_resource=9, config=WARM, delays=STARTS
    )
    run = Run(trial_id=0, attempt=0)
    again.attach([OpenRun(run=run, config={"x": 0.0}, started_at=0.0, seen=1, seen_resource=1)])
    assert not any(isinstance(event, PhaseChange) for event in again.wait(math.inf))
    quick = over(table(), config=IDEAL)
    start_at(quick, 0.0, 0)
    assert isinstance(quick.wait(math.inf)[0], Reported)


def test_without_keep_alive_every_start_is_cold() -> None:
    backend = over(table(), config=replace(WARM, keep_alive=0.0), delays=STARTS)
    start_at(backend, 0.0, 0)
    play(backend)
    start_at(backend, 110.0, 1)
    assert play(backend)[-1] == (220.0, "end")
    assert backend.summary().warm_starts == 0
    assert backend.summary().pool_idle_seconds == 0.0


METRIC = Metric("loss")


def run_asha(path: Path, *, n_trials: int, config: SimulatedConfig, delays: Delays | None) -> None:
    blackbox = table(levels=tuple(range(1, 10)), n_configs=200, n_seeds=2)
    journal = FileJournal(path, Header(seed=0))
    backend = SimulatedBackend(
        BlackboxWorkload(blackbox, seed=0),
        n_workers=4,
        max_resource=9,
        config=config,
        delays=delays,
        past=journal.events(),
    )
    searcher = RestrictedSearcher(blackbox.configs, space=SPACE, seed=0)
    scheduler = ASHA(searcher, ASHASettings(max_resource=9), metric=METRIC, seed=0)
    stop = MaxTrialsStarted(n_trials)
    Tuner(scheduler, backend, metrics=[METRIC], stop_when=stop, journal=journal).run()


def cut(path: Path, n_lines: int) -> None:
    """What a kill leaves behind."""
    lines = path.read_text().splitlines(keepends=True)[:n_lines]
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("config", "delays"),
    [(WARM, STARTS), (replace(WARM, keep_alive=3600.0), STARTS), (IDEAL, None)],
    ids=["short", "long", "ideal"],
)
def test_a_killed_experiment_comes_out_the_same(
    tmp_path: Path, config: SimulatedConfig, delays: Delays | None
) -> None:
    """Pools included: which instances wait is found in the journal."""
    whole = tmp_path / "whole.jsonl"
    run_asha(whole, n_trials=40, config=config, delays=delays)
    for n_lines in (3, 40, 121, 122, 123, 124, 125):
        path = tmp_path / f"{n_lines}.jsonl"
        path.write_bytes(whole.read_bytes())
        cut(path, n_lines)
        run_asha(path, n_trials=40, config=config, delays=delays)
        assert canonical_hash(path) == canonical_hash(whole), n_lines


def test_profiles_by_name() -> None:
    assert SimulatedConfig().delays == Delays()
    jobs = SimulatedConfig(profile="sagemaker").delays
    assert jobs.start > 100.0 > jobs.warm_start > 10.0
    assert IDEAL.delays.start == 0.0
    with pytest.raises(UnknownNameError, match="Did you mean 'sagemaker'"):
        SimulatedConfig(profile="sagemakr")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="keep_alive"):
        SimulatedConfig(keep_alive=-1.0)


class SlowSearcher(Searcher):
    """Thinks for a hundredth of a second."""

    def __init__(self) -> None:
        self._searcher = RandomSearcher(SPACE, seed=0)

    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        time.sleep(0.01)
        return self._searcher.suggest(history, until=until)


def test_suggestions_cost_simulated_time_where_they_are_charged() -> None:
    times = []
    for is_charged in (False, True):
        backend = SimulatedBackend(
            lambda config, r: ({"loss": 1.0}, 1.0),
            n_workers=1,
            max_resource=1,
            config=replace(IDEAL, charge_suggest_time=is_charged),
        )
        scheduler = FIFO(SlowSearcher())
        tuner = Tuner(
            scheduler,
            backend,
            metrics=[METRIC],
            stop_when=MaxTrialsStarted(5),
            journal=MemoryJournal(),
        )
        assert tuner.run().n_trials == 5
        times.append(backend.clock.now())
    assert times[0] == 5.0
    assert times[1] >= 5.0 + 5 * 0.01


class TestSimulatedBackendWithWarmPools(BackendContract):
    def open_log(self, folder: Path, trial_id: int) -> None:
        return None

    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        return SimulatedBackend(
            train_epoch,
            n_workers=n_workers,
            max_resource=20_000,
            config=replace(WARM, keep_alive=5.0),
            delays=STARTS,
        )


def test_a_thousand_workers_and_categorical_rows() -> None:
    """Every configuration once, in the order of their ends."""
    space = SearchSpace({"k": Categorical([f"v{i}" for i in range(1200)])})
    description = Description(
        name="t", dataset="d", space=space, metrics=("loss", "elapsed"), elapsed="elapsed", levels=(1,)
    )
    values = np.stack([np.arange(1200.0), np.arange(1.0, 1201.0)], axis=-1)[:, None, None]
    blackbox = TabularBlackbox(description, {"k": [f"v{i}" for i in range(1200)]}, values)
    backend = over(blackbox, n_workers=1000)
    searcher = RestrictedSearcher(blackbox.configs, space=space, seed=0)
    tuner = Tuner(
        FIFO(searcher), backend, metrics=[METRIC], stop_when=MaxTrialsStarted(2000), journal=MemoryJournal()
    )
    history = tuner.run()
    assert history.n_trials == history.n_results == 1200
    times = [result.time for _, result in history.results_since(0)]
    assert times == sorted(times)
