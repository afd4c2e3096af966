"""The simulated backend as a plugin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, final

from typing_extensions import override

from tunewright.backends.plugin import BackendPlugin, ExperimentContext
from tunewright.backends.simulated.backend import SimulatedBackend
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.backends.simulated.workload import BlackboxWorkload
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.blackbox import Description
from tunewright.events import Event
from tunewright.journal import read_events
from tunewright.metric import Metric
from tunewright.space import SearchSpace


@final
class SimulatedPlugin(BackendPlugin[SimulatedConfig]):
    """Trials are recorded curves in simulated time."""

    config = SimulatedConfig

    @override
    def build(self, config: SimulatedConfig, context: ExperimentContext) -> SimulatedBackend:
        """Open the table, and build the backend; instances that wait are found in the journal."""
        return simulate(
            context.table,
            seed=context.seed,
            config=config,
            past=read_events(context.folder.journal_path),
        ).backend


PLUGIN: Final = SimulatedPlugin()


class Simulation(NamedTuple):
    """Everything that a Tuner and a method need of a benchmark in simulated time."""

    backend: SimulatedBackend
    space: SearchSpace
    metrics: tuple[Metric, ...]
    description: Description


def simulate(
    benchmark: SurrogateBenchmarkDefinition,
    *,
    seed: int,
    config: SimulatedConfig | None = None,
    past: Iterable[Event] = (),
) -> Simulation:
    """Open a benchmark for one experiment.

    Parameters
    ----------
    benchmark
        What is tuned.
    seed
        The experiment's seed, >= 0: draws the recorded seed that a trial follows.
    config
        Delays, price, checkpoints, warm pools; None: the defaults.
    past
        Lines of the journal of an experiment that is continued.

    Raises
    ------
    TableError, UnknownNameError, SettingsError
        As `SurrogateBenchmarkDefinition.blackbox`.
    """
    blackbox = benchmark.blackbox()
    backend = SimulatedBackend(
        BlackboxWorkload(blackbox, seed=seed, blackbox_seed=benchmark.table_seed),
        n_workers=benchmark.n_workers,
        max_resource=benchmark.resource_limit or blackbox.levels[-1],
        config=config,
        resource_attr=blackbox.description.resource,
        past=past,
    )
    return Simulation(backend, benchmark.space, benchmark.metrics, blackbox.description)
