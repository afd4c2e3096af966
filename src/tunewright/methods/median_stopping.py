"""MedianStopping: another method, whose trials are also stopped when they do worse than most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.methods.method import Method, MethodSpec
from tunewright.methods.needs import only_metric
from tunewright.methods.registry import build_scheduler
from tunewright.schedulers.median_stopping import MedianStopping, MedianStoppingSettings


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MedianStoppingMethodSettings:
    """The method within, and `MedianStoppingSettings`.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    around: str = "RandomSearch"
    """The method that decides everything else, with its defaults."""
    grace_period: int = 1
    """Up to this resource nobody is stopped."""
    grace_population: int = 5
    """A trial is judged where at least so many others have reported."""
    cutoff: float = 0.5
    """A trial is stopped that does worse than more than this part of the others."""

    def __post_init__(self) -> None:
        if self.around.lower() == METHOD_NAME.lower():
            raise SettingsError(f"around={self.around!r} is this method itself: name another one")
        self.rule()

    def rule(self) -> MedianStoppingSettings:
        """The scheduler's settings."""
        return MedianStoppingSettings(
            grace_period=self.grace_period, grace_population=self.grace_population, cutoff=self.cutoff
        )


METHOD_NAME = "MedianStopping"


def _build(benchmark: Benchmark, seed: int, settings: MedianStoppingMethodSettings) -> MedianStopping:
    metric = only_metric(benchmark, METHOD_NAME)
    within = build_scheduler(MethodSpec(name=settings.around), benchmark, seed, {})
    return MedianStopping(within, settings.rule(), metric=metric)


METHOD = Method(
    name=METHOD_NAME,
    summary="Another method (random search by default) whose trials stop when they do worse than the median",
    settings=MedianStoppingMethodSettings,
    build=_build,
)
