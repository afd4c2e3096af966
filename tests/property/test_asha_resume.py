"""A simulated experiment that is killed at any event and resumed gives the journal of an undisturbed one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tunewright.backends.simulated import Delays, SimulatedBackend, SimulatedConfig
from tunewright.clock import Clock
from tunewright.events import EndEvent, Header
from tunewright.interfaces import Backend
from tunewright.journal import FileJournal, canonical_hash, read_events
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHAKind, ASHASettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import BackendSummary, Checkpoint, Ended, OpenRun, Reported, Run
from tunewright.tuner import Tuner
from tunewright.types import Config


class Killed(BaseException):
    """What kill -9 is to a process."""


class Mortal(Backend):
    """A backend whose tuner dies at one call to it, before or after that call has its effect."""

    def __init__(self, inner: Backend, calls_left: int, *, after: bool) -> None:
        self._inner = inner
        self._calls_left = calls_left
        self._after = after
        self.clock: Clock = inner.clock

    def _count(self) -> bool:
        self._calls_left -= 1
        return self._calls_left == 0

    def _do(self, call, *arguments):
        dies = self._count()
        if dies and not self._after:
            raise Killed
        answer = call(*arguments)
        if dies:
            raise Killed
        return answer

    def start(self, run: Run, config: Config) -> None:
        self._do(self._inner.start, run, config)

    def attach(self, runs: Sequence[OpenRun]) -> None:
        self._do(self._inner.attach, runs)

    def pause(self, trial_id: int) -> None:
        self._do(self._inner.pause, trial_id)

    def stop(self, trial_id: int) -> None:
        self._do(self._inner.stop, trial_id)

    def wait(self, timeout: float) -> Sequence[Reported | Ended]:
        return self._do(self._inner.wait, timeout)

    def free_workers(self) -> int:
        return self._inner.free_workers()

    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._inner.delete_checkpoint(checkpoint)

    def summary(self) -> BackendSummary:
        return self._inner.summary()

    def close(self) -> None:
        self._inner.close()


def train(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    x, y = float(config["x"]), float(config["y"])
    if x > 7.0:
        raise RuntimeError("diverged")
    loss = float("nan") if y > 14.0 else abs(x) + y / epoch
    return {"loss": loss}, 0.1 + y / 7


def tune(path: Path, kind: ASHAKind, checkpoints: bool, calls: int, *, after: bool = False) -> bool:
    """Work on the experiment until its end (True) or until the tuner is killed at a call to its backend."""
    metric = Metric("loss")
    asha = ASHASettings(max_resource=9, kind=kind, brackets=2)
    config = SimulatedConfig(support_checkpointing=checkpoints, dollars_per_hour=2.0)
    backend = SimulatedBackend(train, n_workers=3, max_resource=9, config=config, delays=Delays(stop=0.7))
    tuner = Tuner(
        ASHA(RandomSearcher(CONTINUOUS, seed=1), asha, metric=metric, seed=1),
        Mortal(backend, calls, after=after),
        metrics=[metric],
        stop_when=MaxTrialsStarted(16),
        journal=FileJournal(path, Header(seed=1)),
        max_failures=100,
    )
    try:
        tuner.run()
    except Killed:
        return False
    return True


@pytest.mark.parametrize("checkpoints", [True, False], ids=["checkpoints", "from-scratch"])
@pytest.mark.parametrize("kind", ASHAKind)
def test_killed_at_any_call_and_resumed(tmp_path: Path, kind: ASHAKind, checkpoints: bool) -> None:
    undisturbed = tmp_path / "undisturbed.jsonl"
    assert tune(undisturbed, kind, checkpoints, -1)
    statuses = {event.status for event in read_events(undisturbed) if isinstance(event, EndEvent)}
    assert {"completed", "failed"} < statuses
    expected = canonical_hash(undisturbed)
    n_lines = 1 + sum(1 for _ in read_events(undisturbed))
    for call in range(1, n_lines, 3):
        path = tmp_path / f"{call}.jsonl"
        if tune(path, kind, checkpoints, call, after=call % 2 == 0):
            break
        assert tune(path, kind, checkpoints, -1)
        assert canonical_hash(path) == expected, f"killed at call {call}"


def test_killed_again_and_again(tmp_path: Path) -> None:
    undisturbed, path = tmp_path / "undisturbed.jsonl", tmp_path / "killed.jsonl"
    assert tune(undisturbed, ASHAKind.PROMOTION, True, -1)
    n_kills = 0
    while not tune(path, ASHAKind.PROMOTION, True, 3 + n_kills % 4, after=n_kills % 2 == 0):
        n_kills += 1
    assert n_kills >= 20
    assert canonical_hash(path) == canonical_hash(undisturbed)
