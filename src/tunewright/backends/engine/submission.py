"""When the next job may be created, and on which instance type: limits, lack of capacity and request rates."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Final, Generic, final

from tunewright.backends.engine.context import EngineContext, Notices, ServiceTime
from tunewright.backends.engine.job_service import (
    CostTracker,
    CreateOutcome,
    InstancePrices,
    OrderT,
    Submission,
)
from tunewright.exceptions import BackendError, RequestError
from tunewright.trial import ServiceTrouble
from tunewright.types import Config

UNKNOWN_PAUSE: Final = 5.0
"""Service seconds until a request without an answer is repeated."""
FULL_PAUSE: Final = 30.0
"""Service seconds for which a type is avoided after the account's limit was reached."""
CAPACITY_PAUSE: Final = 30.0
"""Service seconds for which a type is avoided after the first lack of capacity; each further one doubles them."""
LONGEST_CAPACITY_PAUSE: Final = 960.0
"""Maximum of these pauses, in service seconds."""
LATER_PAUSE: Final = 60.0
"""Mean service seconds without a new job after the first request that came too fast; each further one doubles them."""
LONGEST_LATER_PAUSE: Final = 300.0
"""Maximum of these means, in service seconds."""
REFUSED_PAUSE: Final = 10.0
"""Mean service seconds without a new job after the first refusal of one by an engine that took others; each further one doubles them."""
MAX_REFUSALS: Final = 8
"""Refusals in a row, within about a quarter of an hour, after which such an engine is believed."""
_TROUBLES: Final = {
    CreateOutcome.FULL: ServiceTrouble.WAITING,
    CreateOutcome.LATER: ServiceTrouble.THROTTLED,
    CreateOutcome.UNKNOWN: ServiceTrouble.RETRIED,
}
"""Events of the service after which a job is asked for again."""


@final
class BackOff:
    """Random pauses after requests that came too fast, so that many tuners of one account do not return at the same time.

    Each is drawn evenly from half to one and a half times a mean, which doubles with each refusal.

    Parameters
    ----------
    first, longest
        Means, in seconds of any clock.
    seed
        Of the draws; None: by the system.
    """

    def __init__(
        self, first: float = LATER_PAUSE, longest: float = LONGEST_LATER_PAUSE, *, seed: int | None = None
    ) -> None:
        self._first = first
        self._longest = longest
        self._mean = first
        self._random = random.Random(seed)  # noqa: S311 - pauses need no secrecy

    def pause(self) -> float:
        """The next pause."""
        pause = self._random.uniform(0.5, 1.5) * self._mean
        self._mean = min(2 * self._mean, self._longest)
        return pause

    def reset(self) -> None:
        """A request was accepted."""
        self._mean = self._first


@final
class InstanceTypes:
    """Chooses the instance type of the next job: the first listed one that has room, as far as is known.

    A type whose instances are kept idle comes first. A type that a configuration fixes is never exchanged; its runs wait.

    Parameters
    ----------
    engine
        Name of the engine, for messages.
    prices
        The listed types.
    time
        Conversion of pauses.
    notices
        For the user.
    costs
        Knows the idle instances.
    """

    def __init__(
        self, engine: str, prices: InstancePrices, time: ServiceTime, notices: Notices, costs: CostTracker
    ) -> None:
        self._engine = engine
        self._prices = prices
        self._time = time
        self._notices = notices
        self._costs = costs
        self._types = list(prices.types)
        self._closed_until: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        """Service seconds of the next pause after a lack of capacity."""

    def of(self, config: Config, assigned: str) -> str:
        """The instance type of a job.

        Parameters
        ----------
        config
            May fix the type.
        assigned
            The type that was chosen before; empty: none.
        """
        return assigned or self._prices.fixed_type(config) or self._prices.types[0]

    def opens_at(self, config: Config, assigned: str = "") -> float:
        """Monotonic second from which a job may be created."""
        if self._prices.fixed_type(config):
            return self._closed_until.get(self.of(config, assigned), 0.0)
        return min(self._closed_until.get(one, 0.0) for one in self._types)

    def choose(self, config: Config, assigned: str = "") -> str:
        """The best type of a job now; empty if there is no choice."""
        if len(self._prices.types) == 1 or self._prices.fixed_type(config):
            return assigned
        now = time.monotonic()
        is_open = [one for one in self._types if self._closed_until.get(one, 0.0) <= now] or self._types
        idle = self._costs.idle_types()
        return next((one for one in is_open if one in idle), is_open[0])

    def lacks_capacity(self, config: Config, assigned: str) -> None:
        """A job failed for want of capacity: avoid its type for a while, longer each time."""
        lacking = self.of(config, assigned)
        pause = self._pauses.get(lacking, CAPACITY_PAUSE)
        self._pauses[lacking] = min(2 * pause, LONGEST_CAPACITY_PAUSE)
        self._close(lacking, pause)
        self._notify(f"{self._engine} has no capacity for {lacking}", config, lacking)

    def is_full(self, config: Config, assigned: str) -> None:
        """The account's limit for a job's type is reached: avoid it for a moment."""
        full = self.of(config, assigned)
        self._close(full, FULL_PAUSE)
        if not self._prices.fixed_type(config) and len(self._types) > 1:
            self._notify(f"the account's limit for {full} is reached", config, full)

    def has_capacity(self, config: Config, assigned: str) -> None:
        """A job got its instances."""
        self._pauses.pop(self.of(config, assigned), None)

    def remove(self, config: Config, assigned: str, reason: str) -> bool:
        """Never choose a job's type again. Returns whether another one is left for the job."""
        removed = self.of(config, assigned)
        if self._prices.fixed_type(config) or self._types == [removed]:
            return False
        self._types = [one for one in self._types if one != removed]
        text = f"{reason}: it is left out, and jobs take {' or '.join(self._types)}"
        self._notices.add_event(ServiceTrouble.REPLACED, text)
        return True

    def _close(self, instance_type: str, service_seconds: float) -> None:
        self._closed_until[instance_type] = time.monotonic() + self._time.interval(service_seconds)

    def _notify(self, cause: str, config: Config, lacking: str) -> None:
        others = [one for one in self._types if self._closed_until.get(one, 0.0) <= time.monotonic()]
        is_fixed = bool(self._prices.fixed_type(config))
        if not is_fixed and lacking not in others and others:
            text = f"{cause}: for a while new jobs take {others[0]}"
            self._notices.add_event(ServiceTrouble.REPLACED, text)
            return
        hint = ""
        if len(self._types) == 1 and not is_fixed:
            hint = ". List several types, as in --instance_type A,B, and the next one is taken"
        self._notices.add_event(ServiceTrouble.WAITING, f"{cause}: waiting, then trying again{hint}")


@final
class Submitter(Generic[OrderT]):
    """Creates jobs as fast as the engine accepts them.

    Parameters
    ----------
    context
        The job service, and conversion of pauses.
    """

    def __init__(self, context: EngineContext[OrderT]) -> None:
        self._context = context
        self.types: Final = InstanceTypes(
            context.settings.engine, context.prices, context.time, context.notices, context.costs
        )
        self._closed_until = 0.0
        self._later = BackOff()
        self._refused = BackOff(REFUSED_PAUSE)
        self._n_refusals = 0
        """In a row."""
        self._has_accepted = False
        """Whether the engine took a job of this experiment."""

    def ready_at(self) -> float:
        """Monotonic second from which any job may be created."""
        return max(self._closed_until, time.monotonic() + self._context.jobs.create_delay())

    def assigned(self, order: OrderT) -> OrderT:
        """Return the order on the best instance type now, at the price of that type."""
        chosen = self.types.choose(order.config, order.instance_type)
        if not chosen or chosen == order.instance_type:
            return order
        price = self._context.prices.per_hour(order.config, chosen)
        return replace(order, instance_type=chosen, dollars_per_hour=price)

    def track_costs(self, key: str, order: OrderT) -> None:
        """Track the costs of the job that was created under ``key``, by this session or an earlier one."""
        self._has_accepted = True
        self._context.costs.add_job(
            key,
            dollars_per_hour=order.dollars_per_hour,
            instance_type=self.types.of(order.config, order.instance_type),
        )

    def submit(self, order: OrderT) -> Submission:
        """Create a job; after a refusal for now no job, or none of its type, is created for a while.

        Parameters
        ----------
        order
            The job.

        Raises
        ------
        RequestError
            The job could not be prepared.
        BackendError
            No job can be created at all.
        """
        try:
            answer = self._context.jobs.create(order)
        except RequestError:
            self._pause(UNKNOWN_PAUSE)
            raise
        if answer.outcome in _TROUBLES:
            self._context.notices.add_event(_TROUBLES[answer.outcome], answer.reason)
        if answer.outcome is CreateOutcome.CREATED:
            self._later.reset()
            self._refused.reset()
            self._n_refusals = 0
        elif answer.outcome is CreateOutcome.FULL:
            self.types.is_full(order.config, order.instance_type)
        elif answer.outcome is CreateOutcome.LATER:
            self._pause(self._later.pause())
        elif answer.outcome is CreateOutcome.UNKNOWN:
            self._pause(UNKNOWN_PAUSE)
        elif answer.outcome is CreateOutcome.TYPE_REFUSED:
            return self._without_type(answer, order)
        elif answer.outcome is CreateOutcome.UNEXPLAINED:
            return self._unexplained(answer)
        return answer

    def _without_type(self, answer: Submission, order: OrderT) -> Submission:
        """Go on with another type, or fail the run if its configuration fixed the type.

        Raises
        ------
        BackendError
            There is no other type, and the configuration did not fix it.
        """
        if self.types.remove(order.config, order.instance_type, answer.reason):
            return Submission(CreateOutcome.LATER)
        if self._context.prices.fixed_type(order.config):
            return Submission(CreateOutcome.REFUSED, answer.reason)
        raise BackendError(answer.reason.rstrip("."), then="resume")

    def _unexplained(self, answer: Submission) -> Submission:
        """Ask an engine again that took jobs before: its jobs run on, and the cause may pass, such as a drained partition.

        Raises
        ------
        BackendError
            It took no job before, so that a setting is wrong, or has refused several in a row.
        """
        self._n_refusals += 1
        reason = answer.reason.rstrip(".")
        if not self._has_accepted:
            raise BackendError(reason, then="resume")
        if self._n_refusals >= MAX_REFUSALS:
            raise BackendError(
                f"{reason}. It took jobs before, and has refused {self._n_refusals} in a row", then="resume"
            )
        self._context.notices.add_event(
            ServiceTrouble.RETRIED,
            f"{reason}. It took jobs before: asking again, up to {MAX_REFUSALS} times in a row",
        )
        self._pause(self._refused.pause())
        return Submission(CreateOutcome.LATER)

    def _pause(self, service_seconds: float) -> None:
        self._closed_until = time.monotonic() + self._context.time.interval(service_seconds)
