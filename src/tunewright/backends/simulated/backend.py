"""SimulatedBackend: thousands of trials a minute, in the order in which a real cluster would run them."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, final

from typing_extensions import override

from tunewright.backends.simulated.config import Delays, SimulatedConfig
from tunewright.backends.simulated.script import SimulatedScript, World
from tunewright.backends.simulated.workload import FunctionWorkload, TrainingFunction, Workload
from tunewright.clock import SimulatedClock
from tunewright.events import EndEvent, Event, StartEvent
from tunewright.exceptions import BackendError, SettingsError
from tunewright.interfaces import Backend, BackendEvent
from tunewright.trial import KNOWN, BackendSummary, Checkpoint, OpenRun, PhaseChange, PhaseName, Run
from tunewright.types import Config

_SHOWN_DELAY: Final = 2.0
"""Shortest start delay, in seconds, whose end is journaled as a phase."""


@final
class SimulatedBackend(Backend):
    """Runs a Python function or recorded curves as if they were training scripts, on a :class:`~tunewright.clock.SimulatedClock`.

    Events come one at a time, ordered by (time, trial, attempt, number of the report; the end last). Their times are
    functions of the run's start, its configuration and the time of a pause or stop, so that a killed experiment goes on
    to the very journal of an undisturbed one. An event costs O(log n_workers), however many trials there were.

    Parameters
    ----------
    workload
        ``(config, resource) -> (metrics, seconds)`` for the units 1, 2, ... of training; seconds are those of this unit
        alone. It must be deterministic. An exception is the crash of the script. Or a `Workload`, such as the curves
        of a blackbox.
    n_workers
        Runs at the same time, >= 1.
    max_resource
        The unit after which a script comes to its own end, >= 1.
    config
        Profile, price, warm pools, and whether there are checkpoints; None: the defaults.
    delays
        Other delays than those of the config's profile.
    resource_attr
        The key under which reports hold the resource; empty: they do not.
    past
        Lines of the experiment's journal. Needed to continue an experiment whose instances wait for the next run:
        they tell which do.

    Raises
    ------
    SettingsError
        Where a number is below 1.

    Examples
    --------
    Ten epochs of a minute each::

        SimulatedBackend(lambda config, epoch: ({"loss": config["x"] / epoch}, 60.0), n_workers=4, max_resource=10)
    """

    def __init__(
        self,
        workload: Workload | TrainingFunction,
        *,
        n_workers: int,
        max_resource: int,
        config: SimulatedConfig | None = None,
        delays: Delays | None = None,
        resource_attr: str = "epoch",
        past: Iterable[Event] = (),
    ) -> None:
        if n_workers < 1 or max_resource < 1:
            raise SettingsError(f"n_workers={n_workers} and max_resource={max_resource} must be >= 1")
        config = config or SimulatedConfig()
        self._delays = delays or config.delays
        self._dollars_per_hour = config.dollars_per_hour
        self.clock = self._clock = SimulatedClock(charges_suggest_time=config.charge_suggest_time)
        work = workload if isinstance(workload, Workload) else FunctionWorkload(workload)
        self._world = World(work, config, self._delays, max_resource, resource_attr)
        self._pools = WarmPools(config.keep_alive)
        self._pools.replay(past)
        self._n_workers = n_workers
        self._running: dict[int, SimulatedScript] = {}
        self._heap: list[tuple[float, int, int, float]] = []
        self._n_jobs = 0
        self._n_warm_starts = 0
        self._ended_seconds = 0.0
        self._ended_cost = 0.0

    @override
    def start(self, run: Run, config: Config) -> None:
        """Start a run now.

        Raises
        ------
        BackendError
            No worker is free, or the trial is running.
        """
        if not self.free_workers():
            raise BackendError(f"All {self._n_workers} workers are busy: ask free_workers() before start()")
        if run.trial_id in self._running:
            raise BackendError(
                f"Trial {run.trial_id} is running: wait for its Ended before starting it again"
            )
        self._begin(OpenRun(run=run, config=config, started_at=self._clock.now()))

    @override
    def attach(self, runs: Sequence[OpenRun]) -> None:
        """Build the given runs anew and move them to where they were; reports seen already do not come again."""
        for open_run in runs:
            self._begin(open_run)

    @override
    def pause(self, trial_id: int) -> None:
        """End the run after the stop delay, if it does not end by itself before."""
        self._end_at(trial_id, self._clock.now() + self._delays.stop)

    @override
    def stop(self, trial_id: int) -> None:
        """End the run after the stop delay, if it does not end by itself before."""
        self._end_at(trial_id, self._clock.now() + self._delays.stop)

    @override
    def free_workers(self) -> int:
        return max(0, self._n_workers - len(self._running))

    @override
    def set_workers(self, n_workers: int) -> None:
        self._n_workers = n_workers

    @override
    def wait(self, timeout: float) -> Sequence[BackendEvent]:
        """The next event, if it comes within ``timeout`` simulated seconds; the clock moves to it, or by ``timeout``.

        Where nothing runs, an infinite timeout returns at once and leaves the clock alone.
        """
        limit = self._clock.now() + timeout
        heap = self._heap
        self._drop_stale()
        if not heap or heap[0][0] > limit:
            if math.isfinite(limit):
                self._clock.advance_to(limit)
            return ()
        time, trial_id, _, seq = heap[0]
        self._clock.advance_to(time)
        script = self._running[trial_id]
        if seq == 0:
            return (self._begin_training(script),)
        if seq == math.inf:
            heapq.heappop(heap)
            del self._running[trial_id]
            self._ended_seconds += time - script.started_at
            self._ended_cost += script.cost(time)
            self._pools.release(time)
            return (script.end(time),)
        reported = script.report()
        heapq.heapreplace(heap, _next_event(script))  # half the work of a pop and a push
        return (reported,)

    @override
    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Nothing to do: a checkpoint is a number here."""

    @override
    def summary(self) -> BackendSummary:
        """Runs started or attached by this object, their seconds and dollars, and those of instances that wait."""
        now = self._clock.now()
        running = self._running.values()
        idle_seconds = self._pools.idle_seconds(now)
        return BackendSummary(
            jobs=self._n_jobs,
            warm_starts=self._n_warm_starts,
            billable_seconds=self._ended_seconds + sum(now - script.started_at for script in running),
            pool_idle_seconds=idle_seconds,
            cost=self._ended_cost
            + sum(script.cost(now) for script in running)
            + idle_seconds * self._dollars_per_hour / 3600,
        )

    @override
    def close(self) -> None:
        """End all runs now; the account keeps what they have cost."""
        now = self._clock.now()
        for script in self._running.values():
            self._ended_seconds += now - script.started_at
            self._ended_cost += script.cost(now)
        self._running.clear()
        self._heap.clear()

    def _begin(self, open_run: OpenRun) -> None:
        run = open_run.run
        is_warm = self._pools.take(run.trial_id, run.attempt, open_run.started_at)
        start_delay = self._delays.warm_start if is_warm else self._delays.start
        script = SimulatedScript(self._world, run, open_run.config, open_run.started_at, start_delay)
        script.is_warm = is_warm
        script.is_training = start_delay < _SHOWN_DELAY or open_run.seen > 0
        for _ in range(open_run.seen):
            script.report()
        self._running[run.trial_id] = script
        self._n_jobs += 1
        self._n_warm_starts += is_warm
        heapq.heappush(self._heap, _next_event(script))
        if open_run.verdict_at is not None:
            self._end_at(run.trial_id, open_run.verdict_at + self._delays.stop)

    def _begin_training(self, script: SimulatedScript) -> PhaseChange:
        script.is_training = True
        heapq.heapreplace(self._heap, _next_event(script))
        run = script.run
        return PhaseChange(
            trial_id=run.trial_id, attempt=run.attempt, name=PhaseName.TRAINING, warm=script.is_warm
        )

    def _end_at(self, trial_id: int, time: float) -> None:
        script = self._running.get(trial_id)
        if script is not None:
            heapq.heappush(self._heap, (time, trial_id, script.run.attempt, math.inf))

    def _drop_stale(self) -> None:
        """Remove events of runs that have ended from the top of the heap."""
        while self._heap:
            _, trial_id, attempt, _ = self._heap[0]
            script = self._running.get(trial_id)
            if script is not None and script.run.attempt == attempt:
                return
            heapq.heappop(self._heap)


def _next_event(script: SimulatedScript) -> tuple[float, int, int, float]:
    """Time, trial, attempt and number of a script's next event: 0 for the begin of training, inf for the end."""
    run = script.run
    if not script.is_training:
        return script.started_at + script.start_delay, run.trial_id, run.attempt, 0.0
    return script.next_time, run.trial_id, run.attempt, math.inf if script.is_over else script.seq + 1


@final
class WarmPools:
    """Which runs start warm, and for how long instances wait.

    All instances are alike. A run that ends leaves its instance idle; the next run takes the one that has waited
    longest; one that has waited for ``keep_alive`` seconds is given up.

    Parameters
    ----------
    keep_alive
        Seconds; 0: an instance is given up with its run.
    """

    def __init__(self, keep_alive: float) -> None:
        self._keep_alive = keep_alive
        self._idle: deque[float] = deque()
        self._idle_seconds = 0.0
        self._past: dict[tuple[int, int], bool] = {}

    def replay(self, events: Iterable[Event]) -> None:
        """Repeat the starts and ends of runs in a journal; runs with known results had no instance."""
        for event in events:
            if isinstance(event, StartEvent) and KNOWN not in event.note:
                key = event.trial_id, event.attempt
                self._past[key] = self.take(*key, event.t)
            elif isinstance(event, EndEvent) and (event.trial_id, event.attempt) in self._past:
                del self._past[event.trial_id, event.attempt]
                self.release(event.t)

    def take(self, trial_id: int, attempt: int, time: float) -> bool:
        """Give a run an instance at ``time`` seconds; whether it is a warm one."""
        known = self._past.get((trial_id, attempt))
        if known is not None:
            return known
        self._give_up(time)
        if not self._idle:
            return False
        self._idle_seconds += time - self._idle.popleft()
        return True

    def release(self, time: float) -> None:
        """Let the instance of a run that ended at ``time`` seconds wait for the next one."""
        if self._keep_alive:
            self._idle.append(time)

    def idle_seconds(self, now: float) -> float:
        """Seconds that instances have waited until ``now``."""
        return self._idle_seconds + sum(min(now - since, self._keep_alive) for since in self._idle)

    def _give_up(self, now: float) -> None:
        while self._idle and now - self._idle[0] >= self._keep_alive:
            self._idle.popleft()
            self._idle_seconds += self._keep_alive
