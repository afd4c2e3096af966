"""How many jobs and instances so many workers need, and how many workers each mode keeps busy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tunewright.aws import gpus_of
from tunewright.aws.rates import SERVICE_RATES

MAX_INSTANCES: Final = 20
"""Instances of one training job (default quota L-622CFD70)."""
MIN_JOBS: Final = 2
"""Jobs where there are several instances: one dead instance fails its whole job."""
COLD_SECONDS: Final = 169.0
"""From CreateTrainingJob to the script's start, as it was measured on AWS."""
WARM_SECONDS: Final = 20.0
"""The same on instances that are kept warm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What a number of workers comes to."""

    slots: int
    """Runs at the same time on each instance."""
    instances: int
    jobs: int

    @property
    def job_size(self) -> int:
        """Instances of the largest job."""
        return math.ceil(self.instances / self.jobs)


def plan_fleet(n_workers: int, instance_type: str, trials_per_instance: int | None) -> Fleet:
    """The instances and jobs of so many workers.

    Parameters
    ----------
    n_workers
        Runs at the same time.
    instance_type
        Such as ``ml.c5.xlarge``.
    trials_per_instance
        None: one per GPU, and one where there is none.
    """
    slots = trials_per_instance or gpus_of(instance_type) or 1
    instances = math.ceil(n_workers / slots)
    jobs = max(min(MIN_JOBS, instances), math.ceil(instances / MAX_INSTANCES))
    return Fleet(slots=slots, instances=instances, jobs=jobs)


def busy_in_jobs_mode(n_workers: int, run_seconds: float, startup: float) -> float:
    """How many workers jobs mode keeps busy with training, on average.

    Each run needs one CreateTrainingJob, of which the service takes ``rate`` a second, and its worker waits for the
    job's start before it trains: ``min(rate, n_workers / (run_seconds + startup)) * run_seconds``.

    Parameters
    ----------
    n_workers
        Jobs at the same time.
    run_seconds
        Mean seconds of training of a run.
    startup
        Mean seconds from a job's creation to its training.
    """
    per_second = min(SERVICE_RATES["CreateTrainingJob"], n_workers / (run_seconds + startup))
    return per_second * run_seconds
