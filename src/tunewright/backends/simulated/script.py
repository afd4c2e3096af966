"""One simulated run: a pure function of its start, its configuration and the time of its end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

from tunewright.backends.simulated.config import Delays, SimulatedConfig
from tunewright.backends.simulated.workload import Step, Training, Workload
from tunewright.trial import Checkpoint, Ended, Reported, Run
from tunewright.types import Config


@final
@dataclass(frozen=True, slots=True)
class World:
    """What all runs of a backend have in common."""

    workload: Workload
    config: SimulatedConfig
    delays: Delays
    max_resource: int
    """The resource at which a script comes to its own end."""
    resource_attr: str
    """The key under which reports hold the resource; empty: none."""


@final
@dataclass(slots=True)
class SimulatedScript:
    """A run that has delivered ``seq`` reports; its next event is at ``next_time``.

    Times are sums in a fixed order from ``started_at``, so that a run that is built anew after a crash and moved to
    the same ``seq`` has the same events to the last bit.
    """

    world: World
    run: Run
    config: Config
    started_at: float
    start_delay: float
    """Seconds from ``started_at`` to the script's first line."""
    seq: int = 0
    resource: int = field(init=False)
    """The newest reported one, or that of the checkpoint it began from."""
    next_time: float = field(init=False, default=0.0)
    is_over: bool = field(init=False, default=False)
    """Whether the next event is the script's own end."""
    error: str = field(init=False, default="")
    is_warm: bool = field(init=False, default=False)
    """Whether its instance had waited for it."""
    is_training: bool = field(init=False, default=True)
    """Whether the begin of training needs no event any more."""
    _elapsed: float = field(init=False, default=0.0)
    _training: Training | None = field(init=False, default=None)
    _step: Step | None = field(init=False, default=None)
    """What is reported next."""

    def __post_init__(self) -> None:
        self.resource = self._first_resource()
        self.next_time = self.started_at + self.start_delay
        self._look_ahead()

    def _first_resource(self) -> int:
        return self.run.resume_from if self.world.config.support_checkpointing else 0

    def report(self) -> Reported:
        """Deliver the next report, and look at what comes after it."""
        if self._step is None:
            raise RuntimeError("the script is over: it has no report left")
        self.seq += 1
        self.resource, metrics, _ = self._step
        run, attr = self.run, self.world.resource_attr
        reported = Reported(
            trial_id=run.trial_id,
            attempt=run.attempt,
            seq=self.seq,
            resource=self.resource,
            metrics={attr: float(self.resource), **metrics} if attr else metrics,
            cost=self.cost(self.next_time),
        )
        self._look_ahead()
        return reported

    def end(self, time: float) -> Ended:
        """The end of the run: the script's own, or that of a pause or stop."""
        if not self.is_over or self.next_time > time:
            self.error = ""  # it was ended before it came to its failure
        return Ended(
            trial_id=self.run.trial_id,
            attempt=self.run.attempt,
            exit=1 if self.error else 0,
            error=self.error,
            cost=self.cost(time),
            checkpoint=self._checkpoint(),
        )

    def cost(self, time: float) -> float:
        """Dollars until ``time``."""
        dollars_per_hour = self.world.config.dollars_per_hour
        return (time - self.started_at) * dollars_per_hour / 3600 if dollars_per_hour else 0.0

    def _checkpoint(self) -> Checkpoint | None:
        source = self.run.from_checkpoint
        is_own = self.seq > 0 or (source is not None and source.trial_id == self.run.trial_id)
        if not (self.world.config.support_checkpointing and is_own):
            return None
        return Checkpoint(trial_id=self.run.trial_id, resource=self.resource)

    def _look_ahead(self) -> None:
        """Find the time of the next event, and what it is."""
        delays, until = self.world.delays, self.run.until
        is_done = self.resource >= self.world.max_resource or (until is not None and self.resource >= until)
        self._step = step = None if is_done else self._next_step()
        if step is None:
            self.is_over = True
            self.next_time += delays.completion
        else:
            self._elapsed += step.seconds
            self.next_time = self.started_at + self.start_delay + self._elapsed + delays.report

    def _next_step(self) -> Step | None:
        """Train up to the next report; None where the script is over or failed."""
        try:
            step = self._train(self.resource)
        except Exception as error:
            self.error = f"{type(error).__name__} after resource {self.resource}: {error}"
            return None
        if step is None or step.resource > self.world.max_resource:
            return None
        if not 0 <= step.seconds < math.inf:
            self.error = (
                f"Resource {step.resource} took {step.seconds} seconds: it must be a finite time >= 0"
            )
            return None
        return step

    def _train(self, resource: int) -> Step | None:
        if self._training is None:
            self._training = self.world.workload.training(self.run.trial_id, self.config)
        return self._training.after(resource)
