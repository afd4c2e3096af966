"""Runs a scheduler event by event with injected faults, without a backend."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from tunewright.events import RequestEvent, decode_mapping, encode_event
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.ledger import Ledger
from tunewright.metric import Metric
from tunewright.replicates import ReplicateMeans
from tunewright.requests import FiledRequest, PauseTrial, Request, StopTrial
from tunewright.testing.events import expect
from tunewright.trial import REQUEST, Checkpoint, Decision, Ended, Reported, Resume, Run, Start, TrialStatus
from tunewright.types import Config


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRates:
    """Probabilities, per event, of the faults that a scheduler must handle."""

    fail: float = 0.0
    """They crash."""
    finish: float = 0.0
    """They come to their own end too early."""
    nan: float = 0.0
    """They report NaN."""
    jump: float = 0.0
    """They report after two to five units instead of one."""
    forget: float = 0.0
    """Resumed, they begin from scratch."""
    late: float = 0.0
    """They report once more before a pause or stop takes effect."""


ALL_FAULTS = FaultRates(fail=0.02, finish=0.02, nan=0.05, jump=0.2, forget=0.2, late=0.3)
"""All faults at once."""


@dataclass(slots=True)
class _Script:
    run: Run
    resource: int
    seq: int = 0
    verdict: Decision = Decision.CONTINUE


@final
class SchedulerSimulator:
    """Stands for the tuner and the scripts of an experiment.

    Each :meth:`step` is one event: a run begins if a worker is free and the scheduler suggests one; otherwise a randomly drawn running
    script reports or ends. The scripts' behaviour is a function of ``seed`` and of the events so far.

    Parameters
    ----------
    scheduler
        Whom to ask.
    metric
        What the scripts report, beside ``"epoch"``.
    max_resource
        Where scripts come to their own end.
    n_trials
        Further trials are refused.
    n_workers
        Runs at a time.
    faults
        What goes wrong.
    seed
        Draws who is next, losses, and faults.
    replicates
        Replaces losses by means over a trial's replicates.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        metric: Metric,
        *,
        max_resource: int,
        n_trials: int,
        n_workers: int = 4,
        faults: FaultRates | None = None,
        seed: int = 0,
        replicates: ReplicateMeans | None = None,
    ) -> None:
        self.scheduler = scheduler
        """The one who is asked now."""
        self._metric = metric
        self._journal = MemoryJournal()
        self._replicates = replicates
        self._ledger = Ledger(scheduler, self._journal, (metric,), replicates)
        self._max_resource = max_resource
        self._n_trials = n_trials
        self._n_workers = n_workers
        self._faults = faults or FaultRates()
        self._rng = np.random.default_rng(seed)
        self._scripts: dict[int, _Script] = {}
        self._n_requests = 0
        self._now = 0.0

    @property
    def history(self) -> History:
        """Everything that has happened."""
        return self._ledger.history

    def journal(self) -> list[dict[str, Any]]:
        """All lines without their real times."""
        volatile = ("wall", "suggest_time")
        lines = [decode_mapping(encode_event(event)) for event in self._journal.events()]
        return [{k: v for k, v in line.items() if k not in volatile} for line in lines]

    def restart(self, scheduler: Scheduler) -> None:
        """Go on with a new scheduler that is given all that the journal holds, as after a crash of the tuner."""
        self.scheduler = scheduler
        self._ledger = Ledger(scheduler, self._journal, (self._metric,), self._replicates)
        self._ledger.replay()

    def request(self, request: Request) -> RequestEvent:
        """Let a user's request come in; return its journaled event."""
        self._n_requests += 1
        event = self._ledger.request(FiledRequest(f"{self._n_requests:020d}-00000000", request), self._now)
        if event.done and isinstance(request, StopTrial):
            self._scripts[request.trial_id].verdict = Decision.STOP
        elif event.done and isinstance(request, PauseTrial):
            self._scripts[request.trial_id].verdict = Decision.PAUSE
        return event

    def play(self) -> None:
        """Step until nothing is left to do."""
        while self.step():
            pass

    def step(self) -> bool:
        """Let the next thing happen; False where the experiment is over."""
        self._now += 1.0
        if len(self._scripts) < self._n_workers and self._begin():
            return True
        if not self._scripts:
            return False
        trial_id = list(self._scripts)[int(self._rng.integers(len(self._scripts)))]
        self._go_on(self._scripts[trial_id])
        return True

    def _begin(self) -> bool:
        suggestion = self._asked_twice(self._requested)
        if suggestion is None and (self._may_start or self.scheduler.resumable(self.history)):
            suggestion = self._asked_twice(self._suggested)
        if suggestion is None:
            return False
        if isinstance(suggestion, Start) and not self._may_start:
            return False
        self._check_legal(suggestion)
        run = self._ledger.begin(suggestion, self._now)
        forgets = run.resume_from > 0 and self._chance(self._faults.forget)
        self._scripts[run.trial_id] = _Script(run, 0 if forgets else run.resume_from)
        return True

    @property
    def _may_start(self) -> bool:
        return self.history.n_trials < self._n_trials

    def _requested(self) -> Start | Resume | None:
        return self._ledger.next_requested(may_start=self._may_start)

    def _suggested(self) -> Start | Resume | None:
        return self.scheduler.suggest(self.history)

    @staticmethod
    def _asked_twice(ask: Callable[[], Start | Resume | None]) -> Start | Resume | None:
        suggestion, again = ask(), ask()
        expect(suggestion == again, f"asked twice, the scheduler said {suggestion} and then {again}")
        return suggestion

    def _check_legal(self, suggestion: Start | Resume) -> None:
        done = 0
        if isinstance(suggestion, Resume):
            trial_id = suggestion.trial_id
            is_paused = self.history.status(trial_id) is TrialStatus.PAUSED
            expect(is_paused, f"{suggestion} resumes a trial that is not paused")
            is_requested = REQUEST in suggestion.note
            is_withdrawn = self.history.is_withdrawn(trial_id)
            expect(is_requested == is_withdrawn, f"{suggestion} resumes a trial that a user has paused")
            is_kept = is_requested or trial_id in self.scheduler.resumable(self.history)
            expect(is_kept, f"{suggestion} resumes a trial that resumable() gives up")
            last = self.history.last(trial_id)
            done = last.resource if last else 0
        until = suggestion.until
        expect(until is None or until > done, f"{suggestion} ends where the trial is already: {done}")

    def _go_on(self, script: _Script) -> None:
        wish = self._faults
        last = min(script.run.until or self._max_resource, self._max_resource)
        is_done = script.resource >= last or script.verdict is not Decision.CONTINUE
        if is_done and not (script.verdict is not Decision.CONTINUE and self._chance(wish.late)):
            self._end(script, exit_code=0)
        elif self._chance(wish.fail):
            self._end(script, exit_code=1)
        elif script.seq > 0 and self._chance(wish.finish):
            self._end(script, exit_code=0)
        else:
            self._report(script)

    def _report(self, script: _Script) -> None:
        step = int(self._rng.integers(2, 6)) if self._chance(self._faults.jump) else 1
        script.resource += step
        script.seq += 1
        config = self.history.trial(script.run.trial_id).config
        loss = math.nan if self._chance(self._faults.nan) else _loss(config, script.resource, self._rng)
        event = Reported(
            trial_id=script.run.trial_id,
            attempt=script.run.attempt,
            seq=script.seq,
            resource=script.resource,
            metrics={self._metric.name: loss, "epoch": script.resource},
        )
        handled = self._ledger.report(event, self._now)
        if handled is not None:
            script.verdict = handled.verdict.decision

    def _end(self, script: _Script, *, exit_code: int) -> None:
        trial_id = script.run.trial_id
        del self._scripts[trial_id]
        has_checkpoint = script.seq > 0
        checkpoint = Checkpoint(trial_id=trial_id, resource=script.resource) if has_checkpoint else None
        event = Ended(
            trial_id=trial_id, attempt=script.run.attempt, exit=exit_code, error="", checkpoint=checkpoint
        )
        self._ledger.end(event, self._now)

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)


def _loss(config: Config, resource: int, rng: np.random.Generator) -> float:
    """A learning curve whose limit depends on the numbers of the configuration, with noise."""
    numbers: Mapping[str, float] = {k: float(v) for k, v in config.items() if isinstance(v, int | float)}
    limit = sum(math.atan(abs(number)) for number in numbers.values())
    return limit + 1 / resource + 0.05 * float(rng.standard_normal())
