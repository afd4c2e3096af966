"""ConstrainedBO: Bayesian optimisation of what must also stay within bounds; every trial runs to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.methods.method import Method
from tunewright.methods.needs import only_improvement, only_metric
from tunewright.methods.scoping import context_of
from tunewright.metric import Constraint
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.constrained import ConstrainedLearner
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import AcquisitionKind, GPOptions, GPProposer
from tunewright.searchers.model_based import ModelBasedSearcher


@final
@dataclass(frozen=True, kw_only=True)
class ConstrainedBOSettings(GPOptions):
    """The constraints, and the models.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    constraint: tuple[str, ...] = ("constraint<=0",)
    """Reported values with their bounds, such as ``memory<=8`` or ``recall>=0.9``; a name alone stands for <= 0."""
    acquisition: AcquisitionKind = AcquisitionKind.LOG_EI
    """``log_ei``, times the probability that all constraints hold."""

    def __post_init__(self) -> None:
        GPOptions.__post_init__(self)
        only_improvement(self.acquisition, "ConstrainedBO")
        if not self.constraints:
            raise SettingsError("ConstrainedBO needs a constraint, such as memory<=8")

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What :attr:`constraint` says."""
        return tuple(map(Constraint.parse, self.constraint))


def _build(benchmark: Benchmark, seed: int, settings: ConstrainedBOSettings) -> FIFO:
    space, metric = benchmark.space, only_metric(benchmark, "ConstrainedBO")
    constraints = settings.constraints
    learner = ConstrainedLearner(space.n_columns, settings, constraints)
    context = context_of(benchmark, seed)
    proposer = GPProposer(learner, context.cube(), settings)
    observations = Observations(space, metric, others=[constraint.metric for constraint in constraints])
    return FIFO(ModelBasedSearcher(context, proposer, observations, n_initial=settings.n_initial))


METHOD = Method(
    name="ConstrainedBO",
    summary="Bayesian optimisation of a metric while other reported values stay within bounds",
    settings=ConstrainedBOSettings,
    build=_build,
    constraints=lambda settings: settings.constraints,
    reads=lambda _, settings: [constraint.name for constraint in settings.constraints],
)
