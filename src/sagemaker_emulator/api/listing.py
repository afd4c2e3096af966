"""Training jobs in the form of the service's responses, and ListTrainingJobs and Search: filters, order and pages.

Times are epoch seconds, durations service seconds.

ListTrainingJobs cuts a page first and filters it by status afterwards, as the service does: a page may be short or empty
and still carry a token.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from sagemaker_emulator.service.errors import invalid
from sagemaker_emulator.service.jobs import Job
from sagemaker_emulator.service.settings import SPOT_PRICE_SHARE

_HIDDEN_MEMBERS: Final = frozenset({"Tags", "TrainingJobName", "SessionChainingConfig"})
"""Members of a request that Describe does not return unchanged."""


def describe(job: Job, idle_seconds: float) -> dict[str, Any]:
    """Response of DescribeTrainingJob. ``idle_seconds`` is the billed idle time of the job's warm pool."""
    shown = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "ModelArtifacts": {"S3ModelArtifacts": job.model_uri or ""},
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
        "FailureReason": job.failure_reason,
        **{name: value for name, value in job.request.items() if name not in _HIDDEN_MEMBERS},
        "WarmPoolStatus": warm_pool(job, idle_seconds),
        "CreationTime": _time(job.created),
        "TrainingStartTime": _time(job.started),
        "TrainingEndTime": _time(job.ended) if job.started else None,
        "LastModifiedTime": _time(job.modified),
        "SecondaryStatusTransitions": [
            _present(
                {
                    "Status": entry.status,
                    "StartTime": _time(entry.start),
                    "EndTime": _time(entry.end),
                    "StatusMessage": entry.message,
                }
            )
            for entry in job.transitions
        ],
        "FinalMetricDataList": [
            {"MetricName": name, "Value": value, "Timestamp": _time(when)}
            for name, value, when in job.final_metrics
        ],
    }
    if job.started is not None:
        seconds = job.training_seconds
        shown["TrainingTimeInSeconds"] = round(seconds)
        shown["BillableTimeInSeconds"] = round(seconds * (SPOT_PRICE_SHARE if job.is_spot else 1.0))
    return _present(shown)


def summary(job: Job, idle_seconds: float) -> dict[str, Any]:
    """Entry of ListTrainingJobs."""
    return _present(
        {
            "TrainingJobName": job.name,
            "TrainingJobArn": job.arn,
            "CreationTime": _time(job.created),
            "TrainingEndTime": _time(job.ended),
            "LastModifiedTime": _time(job.modified),
            "TrainingJobStatus": job.status,
            "SecondaryStatus": job.secondary,
            "WarmPoolStatus": warm_pool(job, idle_seconds),
        }
    )


def record(job: Job, idle_seconds: float) -> dict[str, Any]:
    """``TrainingJob`` of a Search result: the description without the warm pool, with tags."""
    shown = describe(job, idle_seconds)
    shown.pop("WarmPoolStatus", None)
    return {**shown, "Tags": tags_of(job.tags)}


def warm_pool(job: Job, idle_seconds: float) -> dict[str, Any] | None:
    """WarmPoolStatus; None for a job without a warm pool."""
    if job.pool is None:
        return None
    retained = None if job.pool.retained_seconds is None else round(idle_seconds)
    return _present(
        {
            "Status": job.pool.status,
            "ResourceRetainedBillableTimeInSeconds": retained,
            "ReusedByJob": job.pool.reused_by,
        }
    )


def tags_of(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the service's form."""
    return [{"Key": key, "Value": value} for key, value in values.items()]


def _time(when: float | None) -> float | None:
    return None if when is None else round(when, 3)


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


DEFAULT_PAGE: Final = 10

_T = TypeVar("_T")
SortKey = tuple[Any, str]
"""Sort value, then name."""


def cut_page(
    items: Sequence[_T], key: Callable[[_T], SortKey], size: int, token: str | None, *, descending: bool
) -> tuple[list[_T], str | None]:
    """Sort, and return the page after the token, with the token of the next page or None.

    A token holds the key of the last returned item, so that items which are added or removed between two calls neither
    repeat nor hide others.

    Raises
    ------
    ServiceError
        ValidationException for a foreign token.
    """
    ordered = sorted(items, key=key, reverse=descending)
    if token:
        ordered = _items_after(ordered, key, token, descending=descending)
    page = ordered[:size]
    return page, _encode(key(page[-1])) if len(ordered) > size else None


def _items_after(
    ordered: Sequence[_T], key: Callable[[_T], SortKey], token: str, *, descending: bool
) -> list[_T]:
    try:
        value, name = cast("tuple[Any, str]", json.loads(base64.urlsafe_b64decode(token)))
        last: Any = (tuple(cast("list[Any]", value)) if isinstance(value, list) else value, name)
        return [item for item in ordered if (key(item) < last if descending else key(item) > last)]
    except (ValueError, TypeError) as error:
        raise invalid(
            "Invalid NextToken: use the one of the answer before, with the same other arguments."
        ) from error


def _encode(key: SortKey) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


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
    """Response of ListTrainingJobs."""
    candidates = [job for job in jobs if _passes(job, request, _BEFORE_THE_CUT)]
    value = _SORT_VALUES.get(request.get("SortBy", "CreationTime"), _SORT_VALUES["CreationTime"])
    page, token = cut_page(
        candidates,
        lambda job: (value(job), job.name),
        request.get("MaxResults", DEFAULT_PAGE),
        request.get("NextToken"),
        descending=request.get("SortOrder") == "Descending",
    )
    shown = [summary(job, idle_seconds(job)) for job in page if _passes(job, request, _AFTER_THE_CUT)]
    return {"TrainingJobSummaries": shown, **({"NextToken": token} if token else {})}


def _passes(job: Job, request: Request, filters: Mapping[str, Callable[[Job, Any], bool]]) -> bool:
    return all(check(job, request[name]) for name, check in filters.items() if name in request)


Record = Mapping[str, Any]
Expression = Mapping[str, Any]

MAX_FILTERS: Final = 50
"""Maximum number of filters of an expression, nested ones included."""

_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThan": lambda mine, theirs: mine > theirs,
    "GreaterThanOrEqualTo": lambda mine, theirs: mine >= theirs,
    "LessThan": lambda mine, theirs: mine < theirs,
    "LessThanOrEqualTo": lambda mine, theirs: mine <= theirs,
}
_EQUALITY: Final = frozenset({"Equals", "NotEquals", "In", "Contains"})


def search(records: Sequence[Record], request: Mapping[str, Any]) -> dict[str, Any]:
    """Response of Search.

    Raises
    ------
    ServiceError
        ValidationException for another resource than TrainingJob, too many filters, several ``Contains``, or a
        filter without the value that its operator needs.
    """
    if request["Resource"] != "TrainingJob":
        raise invalid(
            f"Search of resource {request['Resource']} is not supported by this endpoint, only TrainingJob."
        )
    expression = request.get("SearchExpression", {})
    _check_expression(expression)
    found = [record for record in records if _matches(record, expression)]
    sort_by = request.get("SortBy", "LastModifiedTime")
    page, token = cut_page(
        found,
        lambda record: (_sortable(_first(record, sort_by)), record["TrainingJobName"]),
        request.get("MaxResults", DEFAULT_PAGE),
        request.get("NextToken"),
        descending=request.get("SortOrder", "Descending") == "Descending",
    )
    answer: dict[str, Any] = {
        "Results": [{"TrainingJob": record} for record in page],
        "TotalHits": {"Value": len(found), "Relation": "EqualTo"},
    }
    return {**answer, **({"NextToken": token} if token else {})}


def _check_expression(expression: Expression) -> None:
    filters = list(_filters(expression))
    if len(filters) > MAX_FILTERS:
        raise invalid(
            f"A search expression can have {MAX_FILTERS} filters with all its parts, not {len(filters)}."
        )
    if sum(entry.get("Operator") == "Contains" for entry in filters) > 1:
        raise invalid("Only one Contains operator is allowed in a search expression.")
    for entry in filters:
        operator = entry.get("Operator", "Equals")
        if "Value" not in entry and operator not in {"Exists", "NotExists"}:
            raise invalid(f"Operator {operator} of the filter on {entry['Name']} needs a Value.")


def _filters(expression: Expression) -> Iterator[Mapping[str, Any]]:
    yield from expression.get("Filters", ())
    for nested in expression.get("NestedFilters", ()):
        yield from nested["Filters"]
    for part in expression.get("SubExpressions", ()):
        yield from _filters(part)


def _matches(record: Record, expression: Expression) -> bool:
    tests = [_passes_filter(record, entry) for entry in expression.get("Filters", ())]
    tests += [_passes_nested(record, nested) for nested in expression.get("NestedFilters", ())]
    tests += [_matches(record, part) for part in expression.get("SubExpressions", ())]
    return any(tests) if expression.get("Operator") == "Or" and tests else all(tests)


def _passes_nested(record: Record, nested: Mapping[str, Any]) -> bool:
    """Return whether one element of the list passes all filters, whose names begin with the list's name."""
    prefix = nested["NestedPropertyName"] + "."
    inner = [{**entry, "Name": entry["Name"].removeprefix(prefix)} for entry in nested["Filters"]]
    values = _values(record, nested["NestedPropertyName"])
    elements = [cast("Record", value) for value in values if isinstance(value, dict)]
    return any(all(_passes_filter(element, entry) for entry in inner) for element in elements)


def _passes_filter(record: Record, entry: Mapping[str, Any]) -> bool:
    found = list(_values(record, entry["Name"]))
    operator, wanted = entry.get("Operator", "Equals"), entry.get("Value", "")
    if operator in {"Exists", "NotExists"}:
        return bool(found) == (operator == "Exists")
    if operator == "NotEquals":
        return not any(_equal(value, wanted) for value in found)
    if operator == "In":
        return any(_equal(value, choice) for value in found for choice in wanted.split(","))
    if operator == "Contains":
        return any(wanted in str(value) for value in found)
    if operator == "Equals":
        return any(_equal(value, wanted) for value in found)
    mine = [number for value in found if (number := _number(value)) is not None]
    theirs = _number(wanted)
    return theirs is not None and any(_COMPARISONS[operator](number, theirs) for number in mine)


def _values(value: object, path: str) -> Iterator[object]:
    """All values under a dotted path, also in lists; a key may contain dots itself."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _values(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        for key, below in cast("dict[str, object]", value).items():
            if path == key:
                yield from _values(below, "")
            elif path.startswith(key + "."):
                yield from _values(below, path[len(key) + 1 :])


def _first(record: Record, path: str) -> object:
    return next(_values(record, path), None)


def _equal(value: object, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, (int, float)):
        number = _number(wanted)
        return number is not None and number == value
    return value == wanted


def _number(value: object) -> float | None:
    """Value as a number; ISO 8601 times become epoch seconds."""
    if isinstance(value, (int, float)):
        return float(value)
    text = str(value)
    for read in (float, _epoch):
        try:
            return read(text)
        except ValueError:
            continue
    return None


def _epoch(text: str) -> float:
    """Epoch seconds of an ISO 8601 time; the default zone is UTC on every machine."""
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _sortable(value: object) -> tuple[float, str]:
    number = _number(value) if value is not None else None
    if number is None or math.isnan(number):  # nan has no order
        return float("-inf"), str(value or "")
    return number, ""
