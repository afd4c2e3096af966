"""The ten operations on training jobs; each takes a valid request and returns the response."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from sagemaker_emulator.api.listing import describe, list_jobs, record, search, tags_of
from sagemaker_emulator.api.validation import (
    RequestModel,
    check_create,
    check_keep_alive,
    with_defaults,
)
from sagemaker_emulator.service.engine import Engine
from sagemaker_emulator.service.errors import ServiceError, invalid, not_found
from sagemaker_emulator.service.faults import FaultInjector
from sagemaker_emulator.service.jobs import Job
from sagemaker_emulator.storage.permissions import NoSuchKeyError, Permissions, role_refusal

Request = Mapping[str, Any]
Answer = dict[str, Any]

MAX_TAGS: Final = 50


@final
class Operations:
    """SageMaker's operations on training jobs, for the threads of a server.

    Parameters
    ----------
    engine
        Owner of the jobs.
    faults
        Faults to inject.
    permissions
        Of the roles of jobs; None: any role will do.
    """

    def __init__(self, engine: Engine, faults: FaultInjector, permissions: Permissions | None) -> None:
        self._engine = engine
        self._faults = faults
        self._permissions = permissions
        self._model = RequestModel()
        self._handlers: dict[str, Callable[[Request], Answer]] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._describe,
            "ListTrainingJobs": self._list,
            "StopTrainingJob": self._stop,
            "UpdateTrainingJob": self._update,
            "DeleteTrainingJob": self._delete,
            "Search": self._search,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": self._delete_tags,
        }

    def execute(self, operation: str, request: Request) -> Answer:
        """Check and carry out one request.

        Raises
        ------
        ServiceError
            The error response of the service.
        """
        if operation not in self._handlers:
            known = ", ".join(self._handlers)
            raise ServiceError(
                "UnknownOperationException",
                f"{operation} is not supported by this endpoint; it knows {known}.",
            )
        self._model.check(operation, request)
        handler = self._handlers[operation]
        return self._engine.call(lambda: handler(request))

    def _create(self, request: Request) -> Answer:
        check_create(request, self._engine.settings.keep_alive_cap)
        if self._permissions is not None:
            try:
                refusal = role_refusal(self._permissions, request)
            except NoSuchKeyError as error:
                raise invalid(str(error)) from error
            if refusal is not None:
                raise invalid(refusal)
        filled = with_defaults(request)
        tags = {tag["Key"]: tag["Value"] for tag in filled.pop("Tags", ())}
        return {"TrainingJobArn": self._engine.create(filled.pop("TrainingJobName"), filled, tags).arn}

    def _describe(self, request: Request) -> Answer:
        job = self._engine.find(request["TrainingJobName"])
        return describe(job, self._engine.idle_seconds(job))

    def _list(self, request: Request) -> Answer:
        return list_jobs(self._visible("ListTrainingJobs"), request, self._engine.idle_seconds)

    def _search(self, request: Request) -> Answer:
        jobs = self._visible("Search")
        return search([record(job, self._engine.idle_seconds(job)) for job in jobs], request)

    def _stop(self, request: Request) -> Answer:
        self._engine.stop(request["TrainingJobName"])
        return {}

    def _update(self, request: Request) -> Answer:
        name = request["TrainingJobName"]
        if "ResourceConfig" not in request:
            raise invalid("Only ResourceConfig.KeepAlivePeriodInSeconds can be updated on this endpoint.")
        keep_alive = request["ResourceConfig"]["KeepAlivePeriodInSeconds"]
        check_keep_alive(keep_alive, self._engine.settings.keep_alive_cap)
        self._engine.keep_alive(name, keep_alive)
        return {"TrainingJobArn": self._engine.settings.arn(name)}

    def _delete(self, request: Request) -> Answer:
        self._engine.delete(request["TrainingJobName"])
        return {}

    def _add_tags(self, request: Request) -> Answer:
        job = self._by_arn(request)
        tags = {**job.tags, **{tag["Key"]: tag["Value"] for tag in request["Tags"]}}
        if len(tags) > MAX_TAGS:
            raise ServiceError(
                "ResourceLimitExceeded", f"A resource can have {MAX_TAGS} tags, not {len(tags)}."
            )
        job.tags = tags
        self._engine.save(job)
        return {"Tags": tags_of(tags)}

    def _list_tags(self, request: Request) -> Answer:
        return {"Tags": tags_of(self._by_arn(request).tags)}

    def _delete_tags(self, request: Request) -> Answer:
        job = self._by_arn(request)
        job.tags = {key: value for key, value in job.tags.items() if key not in request["TagKeys"]}
        self._engine.save(job)
        return {}

    def _by_arn(self, request: Request) -> Job:
        arn: str = request["ResourceArn"]
        job = self._engine.jobs.get(arn.rpartition("/")[2])
        if job is None or job.arn != arn:
            raise not_found(arn)
        return job

    def _visible(self, operation: str) -> list[Job]:
        """All jobs, in an earlier state if the fault ``stale`` is triggered."""
        jobs = self._engine.jobs.values()
        fault = self._faults.trigger("stale", operation)
        if fault is None:
            return list(jobs)
        then = time.time() - fault.seconds / self._engine.settings.speed
        return [past for job in jobs if (past := job.as_of(then)) is not None]
