"""Which of the listed instance types the next job gets: the first that is not known to be lacking."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, final

from tunewright.aws import Endpoint
from tunewright.backends.sagemaker.deployment import dollars_per_hour
from tunewright.backends.sagemaker.requests import JobOrder, chooses_type, instance_of
from tunewright.backends.sagemaker.settings import SageMakerSettings

CAPACITY_SECONDS: Final = 30.0
"""Service seconds for which a type is left alone after the first CapacityError; they double with each further one."""
LONGEST_SECONDS: Final = 960.0
"""The longest that they become."""
FULL_SECONDS: Final = 30.0
"""Service seconds for which a type is left alone after the account's limit was reached."""


@final
class InstanceTypes:
    """Remembers which types lacked capacity, and for how long they are left alone.

    A job takes the type of an instance that is kept warm and idle where there is one, else the first listed type that
    is not left alone. A type that the configuration chooses is never exchanged; its runs wait.

    Parameters
    ----------
    settings
        The listed types.
    endpoint
        Whose seconds count.
    notify
        Takes a line for the user.
    idle_types
        The types of the warm instances that wait for a job.
    """

    def __init__(
        self,
        settings: SageMakerSettings,
        endpoint: Endpoint,
        notify: Callable[[str], None],
        idle_types: Callable[[], Collection[str]],
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._notify = notify
        self._idle_types = idle_types
        self._types = list(settings.types)
        self._closed_until: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        """Service seconds of the next pause after a lack of capacity."""

    @property
    def opens_at(self) -> float:
        """Monotonic second from which a job without a type of its own may be created."""
        return min(self._closed_until.get(one, 0.0) for one in self._types)

    def opens_for(self, order: JobOrder) -> float:
        """Monotonic second from which a job of the order may be created."""
        if chooses_type(order.config):
            return self._closed_until.get(self.type_of(order), 0.0)
        return self.opens_at

    def type_of(self, order: JobOrder) -> str:
        """The type that an order has."""
        return order.instance_type or instance_of(order.config, self._settings)[0]

    def assign(self, order: JobOrder) -> JobOrder:
        """The order with the type that is best now, and its price."""
        if len(self._settings.types) == 1 or chooses_type(order.config):
            return order
        now = time.monotonic()
        is_open = [one for one in self._types if self._closed_until.get(one, 0.0) <= now] or self._types
        idle = self._idle_types()
        chosen = next((one for one in is_open if one in idle), is_open[0])
        price = dollars_per_hour(order.config, self._settings.on(chosen))
        return replace(order, instance_type=chosen, dollars_per_hour=price or 0.0)

    def lacks(self, order: JobOrder) -> None:
        """A job of the order failed for want of capacity: leave its type alone for a while, longer each time."""
        lacking = self.type_of(order)
        pause = self._pauses.get(lacking, CAPACITY_SECONDS)
        self._pauses[lacking] = min(2 * pause, LONGEST_SECONDS)
        self._close(lacking, pause)
        self._say(f"SageMaker has no capacity for {lacking}", order, lacking)

    def is_full(self, order: JobOrder) -> None:
        """The account's limit for the order's type is reached: leave it alone for a moment."""
        full = self.type_of(order)
        self._close(full, FULL_SECONDS)
        if not chooses_type(order.config) and len(self._types) > 1:
            self._say(f"the account's limit for {full} is reached", order, full)

    def works(self, order: JobOrder) -> None:
        """A job of the order got its instances."""
        self._pauses.pop(self.type_of(order), None)

    def drop(self, order: JobOrder, why: str) -> bool:
        """Never take the order's type again; whether there is another one for it."""
        dropped = self.type_of(order)
        if chooses_type(order.config) or self._types == [dropped]:
            return False
        self._types = [one for one in self._types if one != dropped]
        self._notify(f"{why}: it is left out, and jobs take {' or '.join(self._types)}")
        return True

    def _close(self, instance_type: str, service_seconds: float) -> None:
        pause = self._endpoint.seconds(service_seconds, at_least=self._settings.min_interval)
        self._closed_until[instance_type] = time.monotonic() + pause

    def _say(self, what: str, order: JobOrder, lacking: str) -> None:
        others = [one for one in self._types if self._closed_until.get(one, 0.0) <= time.monotonic()]
        if chooses_type(order.config) or lacking in others or not others:
            listed = ""
            if len(self._types) == 1 and not chooses_type(order.config):
                listed = ". List several types, as in --instance_type A,B, and the next one is taken"
            self._notify(f"{what}: waiting, then trying again{listed}")
        else:
            self._notify(f"{what}: for a while new jobs take {others[0]}")
