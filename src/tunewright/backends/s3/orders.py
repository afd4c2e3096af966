"""Work of a run as its job reads it from S3: the configuration of the script, and the facts beside it."""

from __future__ import annotations

from typing import Any

from tunewright.backends.engine.job_service import JobOrder
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.types import ConfigValue


def script_config(order: JobOrder, benchmark: RealBenchmarkDefinition) -> dict[str, ConfigValue]:
    """The configuration of the script."""
    config = dict(order.config)
    name = benchmark.max_resource_attr
    if benchmark.until_as_max_resource and name and order.run.until is not None:
        config[name] = order.run.until
    return config


def run_facts(order: JobOrder) -> dict[str, Any]:
    """Description of a run for the runner, beside its configuration."""
    run = order.run
    source = run.from_checkpoint
    return {
        "trial_id": run.trial_id,
        "attempt": run.attempt,
        "retry": order.retry,
        "until": run.until,
        "resume_from": run.resume_from,
        "source": None if source is None else [source.trial_id, source.resource],
        "dollars_per_hour": order.dollars_per_hour * order.billed_share,
        "cost_before": round(order.cost_before, 6),
    }
