"""ZeroShot: first the configurations that jointly did best before, then another method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, check_at_least
from tunewright.interfaces import Scheduler
from tunewright.methods.method import Method, MethodSpec
from tunewright.methods.registry import build_scheduler
from tunewright.methods.warm_benchmark import known_from_before, with_first_points

NAME: Final = "ZeroShot"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShotSettings:
    """How many configurations come first, and what follows.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_configs: int = 20
    """Configurations of earlier experiments that come first, >= 1."""
    then: str = "RandomSearch"
    """The method that decides everything else, with its defaults."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "n_configs")
        if self.then.lower() == NAME.lower():
            raise SettingsError(f"then={self.then!r} is this method itself: name another one")


def _build(benchmark: Benchmark, seed: int, settings: ZeroShotSettings) -> Scheduler:
    known = known_from_before(benchmark, NAME)
    warm = with_first_points(known.benchmark, known.evaluations, settings.n_configs)
    return build_scheduler(MethodSpec(name=settings.then), warm, seed, {})


METHOD = Method(
    name=NAME,
    summary="First the configurations that jointly did best in earlier experiments, then another method",
    settings=ZeroShotSettings,
    build=_build,
    needs_evaluations=True,
)
