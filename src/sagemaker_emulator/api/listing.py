"""ListTrainingJobs, with the traps of the real one.

A page is cut first and filtered by status afterwards, so that pages can be short or empty and still carry a token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sagemaker_emulator.api import paging, views
from sagemaker_emulator.jobs.job import Job

Request = Mapping[str, Any]

_SORT_VALUES: Final[Mapping[str, Callable[[Job], Any]]] = {
    "Name": lambda job: job.name,
    "CreationTime": lambda job: job.created,
    "Status": lambda job: job.status,
}

_BEFORE_THE_CUT: Final[Mapping[str, Callable[[Job, Any], bool]]] = {
    "NameContains": lambda job, text: text in job.name,
    "CreationTimeAfter": lambda job, when: job.created > when,
    "CreationTimeBefore": lambda job, when: job.created < when,
    "TrainingPlanArnEquals": lambda _job, _arn: False,
}
_AFTER_THE_CUT: Final[Mapping[str, Callable[[Job, Any], bool]]] = {
    "StatusEquals": lambda job, status: job.status == status,
    "WarmPoolStatusEquals": lambda job, status: job.pool is not None and job.pool.status == status,
    "LastModifiedTimeAfter": lambda job, when: job.modified > when,
    "LastModifiedTimeBefore": lambda job, when: job.modified < when,
}
"""StatusEquals is documented to work this way, LastModifiedTime is known to; WarmPoolStatusEquals is a cautious guess."""


def list_jobs(jobs: Sequence[Job], request: Request, idle_seconds: Callable[[Job], float]) -> dict[str, Any]:
    """The answer of ListTrainingJobs."""
    candidates = [job for job in jobs if _passes(job, request, _BEFORE_THE_CUT)]
    value = _SORT_VALUES.get(request.get("SortBy", "CreationTime"), _SORT_VALUES["CreationTime"])
    page, token = paging.cut(
        candidates,
        lambda job: (value(job), job.name),
        request.get("MaxResults", paging.DEFAULT_PAGE),
        request.get("NextToken"),
        descending=request.get("SortOrder") == "Descending",
    )
    shown = [views.summary(job, idle_seconds(job)) for job in page if _passes(job, request, _AFTER_THE_CUT)]
    return {"TrainingJobSummaries": shown, **({"NextToken": token} if token else {})}


def _passes(job: Job, request: Request, filters: Mapping[str, Callable[[Job, Any], bool]]) -> bool:
    return all(check(job, request[name]) for name, check in filters.items() if name in request)
