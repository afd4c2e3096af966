"""``/_status``: an HTML page of jobs, instances, calls and faults, which reloads itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from sagemaker_emulator.api.quotas import RATES
from sagemaker_emulator.service.clusters import Cluster
from sagemaker_emulator.service.engine import Engine
from sagemaker_emulator.service.jobs import Job

MAX_JOBS_SHOWN: Final = 50
"""Maximum number of listed jobs: running ones, then the newest others."""
_JOB_COLUMNS: Final = ("job", "status", "doing", "for", "instances", "warm pool")
_INSTANCE_COLUMNS: Final = ("type", "in use", "warm", "quota", "warm pool quota")
_CALL_COLUMNS: Final = ("operation", "calls", "throttled", "allowed per service second")
_FAULT_COLUMNS: Final = ("kind", "target", "left", "probability", "seconds")
_STYLE: Final = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 70em; color: #1b1b1b; background: #fff }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .25em .8em .25em 0 }
th { border-bottom: 2px solid #555 } td { border-bottom: 1px solid #ddd } td.number { text-align: right }
.quiet { color: #666 } h2 { margin: 1.6em 0 .3em; font-size: 1.1em }
"""


@dataclass(frozen=True, slots=True)
class CallCounts:
    """Calls and throttled calls by operation."""

    calls: Mapping[str, int]
    throttled: Mapping[str, int]


def status_page(engine: Engine, traffic: CallCounts, faults: Sequence[Mapping[str, Any]]) -> str:
    """HTML of the page; thread-safe.

    Parameters
    ----------
    engine
        Owner of the jobs and pools.
    traffic
        Counts of calls.
    faults
        Pending faults.
    """
    return engine.call(lambda: _page(engine, traffic, faults))


def _page(engine: Engine, traffic: CallCounts, faults: Sequence[Mapping[str, Any]]) -> str:
    jobs = list(engine.jobs.values())
    running = [job for job in jobs if not job.is_over]
    over = [job for job in reversed(jobs) if job.is_over][: max(0, MAX_JOBS_SHOWN - len(running))]
    now = time.time()
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2>",
        f"<title>sagemaker-emulator</title><style>{_STYLE}</style><h1>sagemaker-emulator</h1>",
        f"<p>{escape(engine.settings.region)}, speed {engine.settings.speed:g}: {escape(_summary(jobs))}.",
        *_section("Jobs", _JOB_COLUMNS, [_job_row(job, now) for job in (*running, *over)]),
        *_section("Instances", _INSTANCE_COLUMNS, _instance_rows(engine, engine.clusters())),
        *_section("Calls", _CALL_COLUMNS, _call_rows(traffic)),
        *_section("Faults to come", _FAULT_COLUMNS, [_fault_row(fault) for fault in faults]),
    ]
    return "\n".join(parts)


def _summary(jobs: Iterable[Job]) -> str:
    counts = Counter(job.status for job in jobs)
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "no jobs yet"


def _call_rows(traffic: CallCounts) -> list[tuple[str, ...]]:
    return [
        (name, str(number), str(traffic.throttled.get(name, 0)), _rate(name))
        for name, number in sorted(traffic.calls.items())
    ]


def _fault_row(fault: Mapping[str, Any]) -> tuple[str, ...]:
    left = "always" if fault["count"] is None else str(fault["count"])
    return (fault["kind"], fault["target"], left, f"{fault['probability']:g}", f"{fault['seconds']:g}")


def _job_row(job: Job, now: float) -> tuple[str, ...]:
    doing = job.transitions[-1].message if job.transitions else ""
    resources = job.request["ResourceConfig"]
    groups = resources.get("InstanceGroups") or [resources]
    machines = " + ".join(f"{group['InstanceCount']} x {group['InstanceType']}" for group in groups)
    if job.is_spot:
        machines += " (spot)"
    pool = "" if job.pool is None else job.pool.status
    if job.pool is not None and job.pool.reused_by:
        pool += f" by {job.pool.reused_by}"
    seconds = f"{(job.ended or now) - job.created:.0f} s"
    reason = job.failure_reason or doing
    return (job.name, f"{job.status} / {job.secondary}", reason, seconds, machines, pool)


def _instance_rows(engine: Engine, clusters: Iterable[Cluster]) -> list[tuple[str, ...]]:
    busy: dict[str, int] = {}
    warm: dict[str, int] = {}
    for cluster in clusters:
        table = busy if cluster.idle_since is None else warm
        for instance_type, count in cluster.counts.items():
            table[instance_type] = table.get(instance_type, 0) + count
    settings = engine.settings
    return [
        (
            name,
            str(busy.get(name, 0)),
            str(warm.get(name, 0)),
            str(settings.quota(name)),
            str(settings.warm_pool_quota(name)),
        )
        for name in sorted({*busy, *warm, *settings.quotas})
    ]


def _rate(operation: str) -> str:
    return f"{RATES[operation][0]:g}" if operation in RATES else "any"


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"<h2>{escape(title)}</h2>"
    if not rows:
        yield "<p class=quiet>None."
        return
    head = "".join(f"<th>{escape(name)}" for name in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows)
    yield f"<table><thead><tr>{head}<tbody>\n{body}\n</table>"
