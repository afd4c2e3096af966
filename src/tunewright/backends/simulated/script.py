"""One simulated run: a pure function of its start, its configuration and the time of its end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from tunewright.backends.simulated.settings import SimulatedSettings
from tunewright.trial import Checkpoint, Ended, Reported, Run
from tunewright.types import Config

TrainingFunction: TypeAlias = Callable[[Config, int], tuple[Mapping[str, Any], float]]
"""``(config, resource) -> (metrics, seconds)``: what one unit of training reports, and how long it takes.

The same arguments must always give the same answer. StopIteration is the script's own end, before ``max_resource``;
any other exception is its crash.
"""


@final
@dataclass(frozen=True, slots=True)
class World:
    """What all runs of a backend have in common."""

    function: TrainingFunction
    settings: SimulatedSettings
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
    seq: int = 0
    resource: int = field(init=False)
    """The newest reported one, or that of the checkpoint it began from."""
    next_time: float = field(init=False, default=0.0)
    is_over: bool = field(init=False, default=False)
    """Whether the next event is the script's own end."""
    error: str = field(init=False, default="")
    _elapsed: float = field(init=False, default=0.0)
    _metrics: Mapping[str, Any] = field(init=False, default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.resource = self.run.resume_from if self.world.settings.checkpoints else 0
        self.next_time = self.started_at + self.world.settings.start_delay
        self._look_ahead()

    def report(self) -> Reported:
        """Deliver the next report, and look at what comes after it."""
        self.seq += 1
        self.resource += 1
        metrics = self._metrics
        if self.world.resource_attr:
            metrics = {self.world.resource_attr: self.resource, **metrics}
        reported = Reported(
            trial_id=self.run.trial_id,
            attempt=self.run.attempt,
            seq=self.seq,
            resource=self.resource,
            metrics=metrics,
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
        return (time - self.started_at) * self.world.settings.dollars_per_hour / 3600

    def lines(self) -> Iterator[str]:
        """What the script has printed; computed anew."""
        first = self.resource - self.seq + 1
        for resource in range(first, self.resource + 1):
            metrics, _ = self.world.function(self.config, resource)
            printed = {self.world.resource_attr: resource, **metrics} if self.world.resource_attr else metrics
            yield f"[tune-metric]: {json.dumps(printed, default=str)}"
        if self.error:
            yield self.error

    def _checkpoint(self) -> Checkpoint | None:
        source = self.run.from_checkpoint
        is_own = self.seq > 0 or (source is not None and source.trial_id == self.run.trial_id)
        if not (self.world.settings.checkpoints and is_own):
            return None
        return Checkpoint(trial_id=self.run.trial_id, resource=self.resource)

    def _look_ahead(self) -> None:
        """Find the time of the next event, and what it is."""
        settings, until = self.world.settings, self.run.until
        last = self.world.max_resource if until is None else min(until, self.world.max_resource)
        if self.resource < last and self._train():
            self.next_time = self.started_at + settings.start_delay + self._elapsed + settings.report_delay
        else:
            self.is_over = True
            self.next_time += settings.completion_delay

    def _train(self) -> bool:
        """Train one unit; False where the script is over or failed."""
        resource = self.resource + 1
        try:
            self._metrics, seconds = self.world.function(self.config, resource)
        except StopIteration:
            return False
        except Exception as error:
            self.error = f"{type(error).__name__} at resource {resource}: {error}"
            return False
        if not (math.isfinite(seconds) and seconds >= 0):
            self.error = (
                f"Resource {resource} took {seconds} seconds: the function must give a finite time >= 0"
            )
            return False
        self._elapsed += seconds
        return True
