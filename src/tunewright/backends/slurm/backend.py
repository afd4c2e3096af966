"""SlurmBackend: each run is a job of a Slurm cluster."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from tunewright.backends.engine import (
    EngineBackend,
    EngineSettings,
    Notices,
    channel_for,
    folder_engine,
    worker_times,
)
from tunewright.backends.engine.flat_costs import FlatCosts, FlatPrices
from tunewright.backends.engine.folder_backend import job_name
from tunewright.backends.engine.folder_channel import FolderChannel, order_template
from tunewright.backends.slurm.commands import SlurmCommands
from tunewright.backends.slurm.config import SlurmConfig, seconds_of
from tunewright.backends.slurm.job_service import SlurmJobs, step_command
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Backend

_STATUS_PERIOD: Final = 15.0


@final
class SlurmBackend(EngineBackend, Backend):
    """Runs trials as jobs of a Slurm cluster, or on jobs that take run after run; reports, requests and checkpoints go through a folder that all nodes see.

    One squeue shows all jobs. Time limits, preemption and lost nodes become retries from the newest checkpoint.

    Parameters
    ----------
    benchmark
        Script and number of workers.
    config
        Resources of each job.
    experiment
        Unique name; the jobs' names are made from it, and the same name finds the jobs again.
    folder
        For the files of trials, under the same path on all nodes.

    Raises
    ------
    SettingsError
        There is no such script, or a setting cannot work.
    """

    def __init__(
        self, benchmark: RealBenchmarkDefinition, config: SlurmConfig, *, experiment: str, folder: Path
    ) -> None:
        notices = Notices()
        channel = make_channel(benchmark, config, folder)
        commands = SlurmCommands()
        context, dispatcher = folder_engine(
            channel,
            SlurmJobs(commands, channel, config, experiment),
            EngineSettings(
                engine="Slurm",
                n_workers=benchmark.n_workers,
                max_retries=config.max_retries,
                stop_grace=config.stop_grace,
                close_seconds=config.close_seconds,
                status_period=_STATUS_PERIOD,
                ending_period=config.squeue_seconds,
                cleanup_hint=f"scancel --name ends a job; squeue --me shows those of {job_name(experiment, '')}*",
            ),
            costs=FlatCosts(notices, calls=commands.calls if config.price_per_hour else {}),
            prices=FlatPrices(config.partition or "the default partition", config.price_per_hour),
            notices=notices,
        )
        super().__init__(context, dispatcher)


def make_channel(benchmark: RealBenchmarkDefinition, config: SlurmConfig, folder: Path) -> FolderChannel:
    """The shared folder of an experiment; nothing is created.

    Raises
    ------
    SettingsError
        There is no such script, or a setting cannot work.
    """
    if benchmark.instance_count > 1:
        raise SettingsError(
            f"instance_count={benchmark.instance_count}: nodes of a trial on Slurm are nodes_per_trial"
        )
    python = config.python or ("python3" if config.container else sys.executable)
    template = order_template(benchmark)
    if config.n_tasks > 1:  # the runner itself is outside of the container, as it calls srun
        template = replace(template, prefix=step_command(config), interpreter=python)
        python = "python3" if config.container else python
    workers = None
    if config.execution == "workers":
        limit = seconds_of(config.time_limit)
        workers = worker_times(
            math.inf if limit is None else limit, lease=config.silent_after, idle=config.idle_after
        )
    return channel_for(
        benchmark,
        folder,
        template=template,
        python=python,
        abandon_seconds=config.abandon_after,
        checkpoint_seconds=config.checkpoint_seconds,
        silent_seconds=config.silent_after,
        workers=workers,
    )
