"""Histories of trials, event by event or by asking a scheduler, and evaluations of earlier experiments, for tests.

Examples
--------
::

    history = State()
    trial_id = begin_trial(history, {"lr": 0.1}, until=3)
    add_result(history, trial_id, {"loss": 0.5})
    end_run(history, trial_id, TrialStatus.PAUSED)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from tunewright.asktell import AskTell
from tunewright.events import EndEvent, ReportDecision, ResultEvent, StartEvent
from tunewright.space import SearchSpace
from tunewright.state import State
from tunewright.transfer.evaluations import Task, TransferEvaluations
from tunewright.trial import Checkpoint, TrialStatus
from tunewright.types import Config, Note


def begin_trial(
    state: State, config: Config, *, until: int | None = None, note: Note | None = None, time: float = 0.0
) -> int:
    """Begin the next trial; return its id."""
    trial_id = state.n_trials
    _start(state, trial_id, 0, config, until, None, note, time)
    return trial_id


def resume_trial(state: State, trial_id: int, *, until: int | None = None, time: float = 0.0) -> None:
    """Begin the next run of a paused trial."""
    config, source = state.trial(trial_id).config, state.checkpoint(trial_id)
    _start(state, trial_id, state.run(trial_id).attempt + 1, config, until, source, None, time)


def add_result(
    state: State,
    trial_id: int,
    metrics: Mapping[str, float],
    *,
    resource: int | None = None,
    cost: float = 0.0,
    time: float | None = None,
    decision: ReportDecision = ReportDecision.CONTINUE,
) -> None:
    """Add a result of the trial's newest run.

    Parameters
    ----------
    state
        Changed.
    trial_id
        A running trial.
    metrics
        Reported values.
    resource
        By default one more than that of the trial's last result.
    cost
        Dollars of the run so far.
    time
        Seconds of the experiment; by default the resource.
    decision
        The verdict on it.
    """
    last = state.last(trial_id)
    reached = (last.resource if last else 0) + 1 if resource is None else resource
    seq = max(state.record(trial_id).seen.values(), default=0) + 1
    state.apply(
        ResultEvent(
            t=float(reached) if time is None else time,
            wall=0.0,
            trial_id=trial_id,
            attempt=state.run(trial_id).attempt,
            retry=0,
            seq=seq,
            resource=reached,
            metrics=metrics,
            decision=decision,
            reason="",
            cost=cost,
        )
    )


def end_run(
    state: State,
    trial_id: int,
    status: TrialStatus,
    *,
    checkpoint: int | None = None,
    error: str = "",
    cost: float = 0.0,
    time: float = 0.0,
) -> None:
    """End the trial's newest run; ``checkpoint`` is the resource of the one that it left."""
    state.apply(
        EndEvent(
            t=time,
            wall=0.0,
            trial_id=trial_id,
            attempt=state.run(trial_id).attempt,
            status=status,
            error=error,
            cost=cost,
            checkpoint=None if checkpoint is None else Checkpoint(trial_id=trial_id, resource=checkpoint),
        )
    )


def _start(
    state: State,
    trial_id: int,
    attempt: int,
    config: Config,
    until: int | None,
    source: Checkpoint | None,
    note: Note | None,
    time: float,
) -> None:
    state.apply(
        StartEvent(
            t=time,
            wall=0.0,
            trial_id=trial_id,
            attempt=attempt,
            config=config,
            until=until,
            from_checkpoint=source,
            note=note or {},
            suggest_time=0.0,
        )
    )


def run_trials(
    tuning: AskTell, loss: Callable[[Config], float], n_trials: int, *, n_workers: int = 1
) -> None:
    """End the oldest of ``n_workers`` running trials, ``n_trials`` times; each reports ``loss`` once, or fails if that is infinite.

    Raises
    ------
    ValueError
        The scheduler has no further trial.
    """
    running = [tuning.ask() for _ in range(n_workers)]
    for _ in range(n_trials):
        asked = running.pop(0)
        if asked is None:
            raise ValueError("The scheduler has no further trial")
        value = loss(asked.config)
        if value == math.inf:
            tuning.fail(asked, "out of memory")
        else:
            tuning.tell(asked, {"loss": value}, 1)
            tuning.complete(asked)
        running.append(tuning.ask())


def earlier_evaluations(
    space: SearchSpace, *, n_tasks: int = 2, n_trials: int = 10, seed: int = 0
) -> TransferEvaluations:
    """Random configurations whose losses grow with the first coordinate of the unit cube, a little differently in each task.

    Parameters
    ----------
    space
        Any.
    n_tasks, n_trials
        How many tasks, and trials of each, >= 1.
    seed
        Draws configurations.
    """
    rng = np.random.default_rng(seed)
    tasks: list[Task] = []
    for number in range(n_tasks):
        configs = tuple(space.sample(rng) for _ in range(n_trials))
        losses = space.encode(configs)[:, 0] + 0.1 * number * rng.random(n_trials)
        tasks.append(Task(name=f"task {number}", configs=configs, losses=tuple(losses.tolist())))
    return TransferEvaluations(sources=("earlier",), tasks=tuple(tasks))
