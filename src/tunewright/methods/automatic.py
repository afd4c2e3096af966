"""auto: a model proposes, chance checks it, and rungs end poor trials; parts that cannot work are left out.

With rungs and one metric this is `Adaptive`, which decides by evidence as it goes. Else the benchmark decides once:

- several metrics: no single order of trials, so rungs and proposals follow Pareto sets or volumes
- few configurations: nothing to learn
- many workers, or many trials: a density in place of a Gaussian process
- trials that report once: no rungs
- scripts without checkpoints: trials stop at rungs instead of pausing
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, choice
from tunewright.interfaces import Scheduler
from tunewright.methods.method import BuildOther, Method, MethodSpec
from tunewright.schedulers.asha import ASHAKind
from tunewright.types import Json

NAME: Final = "auto"

_MOST_WORKERS: Final = 64
"""Workers up to which a Gaussian process suggests fast enough, and learns enough from pending trials."""
_MOST_TRIALS: Final = 1000
"""Full runs up to which a Gaussian process is chosen; it looks at 500, and decides 30 times slower than a density."""
_MOST_MODELLED: Final = 3
"""Number of metrics up to which the dominated volume is cheap."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A chosen method, and the reason."""

    method: str
    settings: Mapping[str, Json] = field(default_factory=dict[str, Json])
    reason: str

    @property
    def spec(self) -> MethodSpec:
        """The chosen method as a MethodSpec."""
        return MethodSpec(name=self.method, settings=self.settings)

    def text(self) -> str:
        """One line for the user."""
        settings = "".join(f", {name}={value}" for name, value in self.settings.items())
        return f"auto is {self.method}{settings}: {self.reason}"

    def to_json(self) -> dict[str, Json]:
        """Return the data that :meth:`from_json` reads."""
        return {"method": self.method, "settings": dict(self.settings), "reason": self.reason}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Choice:
        """Return the inverse of :meth:`to_json`.

        Raises
        ------
        SettingsError
            A key is missing.
        """
        try:
            return Choice(method=data["method"], settings=dict(data["settings"]), reason=data["reason"])
        except (KeyError, TypeError, ValueError) as error:
            raise SettingsError(f"The stored choice of auto cannot be read: {error!r}") from None


class RungMethod(StrEnum):
    """Method where trials have rungs."""

    ADAPTIVE = "adaptive"
    """`Adaptive`."""
    HYPERTUNE = "hypertune"
    """`HyperTune` with ``model=joint``."""


class QuickMethod(StrEnum):
    """Method without rungs that suggests quickly."""

    TPE = "tpe"
    """`TPE`."""
    KDE = "kde"
    """`KDE`."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSettings:
    """Settings of auto.

    Raises
    ------
    SettingsError
        There is no such ``with_rungs``, ``for_many`` or ``kind``.
    """

    with_rungs: RungMethod = RungMethod.ADAPTIVE
    """Method where trials have rungs, one metric is tuned and at most 64 workers ask: ``adaptive``, or ``hypertune`` as in version 0.1."""
    for_many: QuickMethod = QuickMethod.TPE
    """Method without rungs for more than 64 workers or 1,000 trials: ``tpe``, or ``kde`` as in version 0.1."""
    kind: ASHAKind | None = None
    """Treatment of trials at a rung; None: ``promotion``, or ``stopping`` if pauses are known to repeat the training."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "with_rungs", choice("with_rungs", RungMethod, self.with_rungs))
        object.__setattr__(self, "for_many", choice("for_many", QuickMethod, self.for_many))
        if self.kind is not None:
            object.__setattr__(self, "kind", choice("kind", ASHAKind, self.kind))


def choose(
    benchmark: Benchmark,
    n_trials: int | None = None,
    *,
    has_replicates: bool = False,
    pauses_repeat: bool = False,
    settings: AutoSettings | None = None,
) -> Choice:
    """Return `Adaptive`, or what is left of it on a benchmark without rungs, with several metrics or with many workers.

    ``docs/methods.md`` has the cases as a table, and the measurements behind them.

    Parameters
    ----------
    benchmark
        The benchmark to tune.
    n_trials
        Trials that the limits allow; None: unknown.
    has_replicates
        Whether the resource counts replicates, which are no learning curve.
    pauses_repeat
        Whether a paused trial begins again, as its script keeps no checkpoint: then ``kind`` is stopping.
    settings
        Of auto; None: the defaults.
    """
    settings = settings or AutoSettings()
    has_rungs = not has_replicates and benchmark.max_resource is not None and benchmark.max_resource > 2
    chosen = _fitting(benchmark, n_trials, has_rungs, has_replicates, settings)
    if not has_rungs or chosen.method == "RandomSearch":
        return chosen
    if settings.kind is not None:
        return replace(chosen, settings={**chosen.settings, "kind": settings.kind.value})
    if pauses_repeat:
        reason = f"{chosen.reason}; an earlier experiment kept no checkpoint, so no trial pauses"
        return replace(chosen, settings={**chosen.settings, "kind": ASHAKind.STOPPING.value}, reason=reason)
    return chosen


def _fitting(
    benchmark: Benchmark, n_trials: int | None, has_rungs: bool, has_replicates: bool, settings: AutoSettings
) -> Choice:
    if len(benchmark.metrics) > 1:
        return _for_several(len(benchmark.metrics), has_rungs=has_rungs)
    size, n_workers = benchmark.space.size, benchmark.n_workers
    if size is not None and size <= max(8, 2 * n_workers):
        return Choice(method="RandomSearch", reason=f"all {size} configurations are soon tried")
    if has_rungs:
        return _with_rungs(n_workers, settings.with_rungs)
    if has_replicates:
        return _without_rungs(n_workers, n_trials, "trials race over replicates", settings.for_many)
    alone = "trials report once" if benchmark.max_resource == 1 else "trials are too short to be cut"
    if benchmark.max_resource is None:
        alone = "no resource of a full run is given, so trials run to their end"
    return _without_rungs(n_workers, n_trials, alone, settings.for_many)


def _with_rungs(n_workers: int, method: RungMethod) -> Choice:
    reason = "trials report as they train"
    if n_workers > _MOST_WORKERS:
        return Choice(method="BOHB", reason=f"{reason}, and {n_workers} workers need quick suggestions")
    reason = f"{reason}, so poor ones can be given up early"
    if method is RungMethod.HYPERTUNE:
        return Choice(method="HyperTune", settings={"model": "joint"}, reason=reason)
    return Choice(method="Adaptive", reason=f"{reason}; shares of model and chance follow the results")


def _without_rungs(n_workers: int, n_trials: int | None, alone: str, quick: QuickMethod) -> Choice:
    name = "KDE" if quick is QuickMethod.KDE else "TPE"
    if n_workers > _MOST_WORKERS:
        return Choice(method=name, reason=f"{alone}, and {n_workers} workers need quick suggestions")
    if n_trials is not None and n_trials > _MOST_TRIALS:
        return Choice(method=name, reason=f"{alone}, and {n_trials} of them are many for a Gaussian process")
    return Choice(method="BayesianOptimization", reason=f"{alone}: each should be chosen with care")


def _for_several(n_metrics: int, *, has_rungs: bool) -> Choice:
    several = f"{n_metrics} metrics are traded off"
    if has_rungs:
        return Choice(method="MOASHA", reason=f"{several}, and trials report as they train")
    if n_metrics <= _MOST_MODELLED:
        return Choice(method="EHVI", reason=f"{several}, and trials run to their end")
    return Choice(method="RandomScalarization", reason=f"{several}, too many for their dominated volume")


def _decided(benchmark: Benchmark, settings: AutoSettings) -> MethodSpec:
    return choose(benchmark, settings=settings).spec


def _build(benchmark: Benchmark, seed: int, settings: AutoSettings, build_other: BuildOther) -> Scheduler:
    return build_other(_decided(benchmark, settings), benchmark, seed)


METHODS: Final[tuple[Method[Any], ...]] = (
    Method(
        name=NAME,
        summary="Adapts by evidence (Adaptive) where trials have rungs, else takes the method that fits; says which and why",
        settings=AutoSettings,
        build_around=_build,
        decides=_decided,
        several_metrics=True,
    ),
)
