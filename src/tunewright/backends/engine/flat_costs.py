"""Costs on engines whose jobs have one kind of resources, at one price per hour or at none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import final

from typing_extensions import override

from tunewright.backends.engine.context import Notices
from tunewright.backends.engine.job_service import CostTracker, InstancePrices, JobStatus
from tunewright.trial import BackendSummary
from tunewright.types import Config


@final
class FlatPrices(InstancePrices):
    """One kind of jobs.

    Parameters
    ----------
    name
        Of the resources, for messages, such as a partition.
    dollars_per_hour
        Of a job; 0: unknown, or nothing.
    """

    def __init__(self, name: str, dollars_per_hour: float = 0.0) -> None:
        self.types = (name,)
        self._dollars_per_hour = dollars_per_hour

    @override
    def fixed_type(self, config: Config) -> str:
        """None."""
        return ""

    @override
    def per_hour(self, config: Config, instance_type: str = "") -> float:
        """Always the same."""
        return self._dollars_per_hour


@final
class FlatCosts(CostTracker):
    """Counts this session's jobs and their seconds.

    Parameters
    ----------
    notices
        For the user.
    calls
        Requests so far, by operation, shown with the costs; a live view.
    """

    def __init__(self, notices: Notices, *, calls: Mapping[str, int] = MappingProxyType({})) -> None:
        self._notices = notices
        self._calls = calls
        self._prices: dict[str, float] = {}
        """Dollars per second of each job."""
        self._seconds: dict[str, float] = {}
        """Of each job that has ended."""

    @override
    def recall(self, statuses: Mapping[str, JobStatus]) -> None:
        """Nothing: the journal has the costs of runs."""

    @override
    def add_job(self, key: str, *, dollars_per_hour: float, instance_type: str) -> None:
        self._prices[key] = dollars_per_hour / 3600

    @override
    def end_job(self, key: str, billed_seconds: float) -> None:
        self._seconds[key] = billed_seconds

    @override
    def update(self, statuses: Mapping[str, JobStatus]) -> None:
        """Nothing: listings bring no costs."""

    @override
    def is_warm(self, key: str) -> bool:
        """Never."""
        return False

    @override
    def type_of(self, key: str) -> str:
        """Unknown: there is one type."""
        return ""

    @override
    def idle_types(self) -> Collection[str]:
        """None."""
        return ()

    @override
    def summary(self, running: Mapping[str, float]) -> BackendSummary:
        seconds = {key: self._seconds.get(key, running.get(key, 0.0)) for key in self._prices}
        return BackendSummary(
            jobs=len(seconds),
            calls=dict(self._calls),
            billable_seconds=sum(seconds.values()),
            cost=sum(seconds[key] * price for key, price in self._prices.items()),
            notices=self._notices.lines,
        )

    @override
    def close(self) -> None:
        """Nothing: no instances are kept."""
