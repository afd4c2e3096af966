"""A launch as a whole: all slices of a tag, looked at with one S3 listing and one listing of jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from tunewright.aws import AwsSession, S3Objects, ServiceError, StoredObject
from tunewright.exceptions import BackendError
from tunewright.remote.place import (
    DONE,
    EXPERIMENTS,
    SLICE,
    STOPPED,
    job_name,
    job_names_prefix,
    job_number,
    tag_prefix,
)
from tunewright.remote.slices import Slice, SliceState, SliceStatus

MAX_LAUNCHES: Final = 20
"""Tuning jobs of one slice that end without having finished it; then it counts as failed."""

_PAGE: Final = 100
_OVER: Final = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(slots=True)
class _Found:
    """What S3 has of a slice."""

    objects: dict[str, StoredObject] = field(default_factory=dict[str, StoredObject])
    experiments: dict[str, list[StoredObject]] = field(default_factory=dict[str, list[StoredObject]])


@final
class Fleet:
    """The slices of a tag and their tuning jobs.

    Parameters
    ----------
    session
        An open session; not closed with this object.
    bucket
        Where everything lies.
    tag
        What was launched.
    """

    def __init__(self, session: AwsSession, bucket: str, tag: str) -> None:
        self._session = session
        self._objects = session.objects(bucket, tag_prefix(tag))
        self._tag = tag
        self._read: dict[str, tuple[str, bytes]] = {}
        self._found: dict[str, _Found] = {}
        self._full = ""
        """Why the service took no tuning job the last time; empty where it did."""

    def objects(self, slice_name: str) -> S3Objects:
        """The objects of a slice."""
        return self._objects.under(slice_name)

    def stored(self, slice_name: str, experiment: str) -> Sequence[StoredObject]:
        """What S3 had of an experiment at the last look, keys relative to the experiment."""
        return self._found[slice_name].experiments[experiment]

    def add(self, slices: Sequence[Slice]) -> None:
        """Store new slices; those that are there already stay as they are."""
        for one in slices:
            self.objects(one.name).put_new(SLICE, one.to_bytes())

    def look(self) -> list[SliceStatus]:
        """Where all slices stand, in order of their names.

        Raises
        ------
        ServiceError
            The service refuses or does not answer.
        """
        self._found = self._list_objects()
        jobs = self._list_jobs()
        names = sorted(name for name, found in self._found.items() if SLICE in found.objects)
        return [self._status(name, jobs) for name in names]

    def launch(self, status: SliceStatus) -> bool:
        """Create the next tuning job of a slice; False where the service has no room for it at present.

        Raises
        ------
        BackendError
            The service will never take it.
        ServiceError
            No answer came: look again.
        """
        one = status.slice
        name = job_name(self._tag, one.name, len(status.jobs))
        try:
            self._session.call("CreateTrainingJob", TrainingJobName=name, **one.request)
        except ServiceError as error:
            if error.code == "ResourceInUse":
                return True  # made by a request whose answer was lost, or by another launcher
            if error.code == "ResourceLimitExceeded" or error.is_throttling:
                self._full = error.text
                if "is 0 Instances" in error.text:
                    raise BackendError(f"The account may not use this instance type: {error.text}") from error
                return False
            if error.is_lost:
                raise
            raise BackendError(f"SageMaker refused the tuning job {name}: {error}") from error
        self._full = ""
        return True

    def launch_waiting(self, statuses: Sequence[SliceStatus], max_parallel: int | None) -> int:
        """Launch what waits, as far as there is room; how many were launched.

        Raises
        ------
        BackendError, ServiceError
            As :meth:`launch`.
        """
        n_running = sum(status.state in {SliceState.RUNNING, SliceState.STOPPING} for status in statuses)
        n_launched = 0
        for status in statuses:
            if status.state is not SliceState.WAITING:
                continue
            if max_parallel is not None and n_running + n_launched >= max_parallel:
                break
            if not self.launch(status):
                break
            n_launched += 1
        return n_launched

    @property
    def full(self) -> str:
        """Why the service takes no more tuning jobs; empty where it does."""
        return self._full

    def stop(self, statuses: Sequence[SliceStatus]) -> None:
        """Mark slices as stopped and stop their tuning jobs."""
        for status in statuses:
            objects = self.objects(status.slice.name)
            if status.state in {SliceState.WAITING, SliceState.RUNNING}:
                objects.put(STOPPED, json.dumps({"time": time.time()}).encode())
            if status.state is SliceState.RUNNING:
                self._stop_job(status.jobs[-1])

    def resume(self, statuses: Sequence[SliceStatus]) -> None:
        """Let slices that were stopped or have failed be launched again."""
        for status in statuses:
            if status.state in {SliceState.STOPPED, SliceState.FAILED}:
                self.objects(status.slice.name).delete([STOPPED, DONE])

    def _stop_job(self, name: str) -> None:
        try:
            self._session.call("StopTrainingJob", TrainingJobName=name)
        except ServiceError as error:
            if error.code != "ValidationException":  # it is over already
                raise

    def _list_objects(self) -> dict[str, _Found]:
        found: dict[str, _Found] = {}
        for entry in self._objects.list():
            slice_name, _, key = entry.key.partition("/")
            one = found.setdefault(slice_name, _Found())
            if not key.startswith(EXPERIMENTS):
                one.objects[key] = entry
                continue
            experiment, _, rest = key.removeprefix(EXPERIMENTS).partition("/")
            stored = StoredObject(key=rest, size=entry.size, etag=entry.etag)
            one.experiments.setdefault(experiment, []).append(stored)
        return found

    def _list_jobs(self) -> list[Mapping[str, Any]]:
        request: dict[str, Any] = {"NameContains": job_names_prefix(self._tag), "MaxResults": _PAGE}
        jobs: list[Mapping[str, Any]] = []
        while True:
            answer = self._session.call("ListTrainingJobs", **request)
            jobs += answer["TrainingJobSummaries"]
            if not answer.get("NextToken"):
                return jobs
            request["NextToken"] = answer["NextToken"]

    def _status(self, name: str, jobs: Sequence[Mapping[str, Any]]) -> SliceStatus:
        found = self._found[name]
        one = Slice.from_bytes(self._content(name, SLICE))
        numbered = [(job_number(self._tag, name, job["TrainingJobName"]), job) for job in jobs]
        own = sorted(
            ((number, job) for number, job in numbered if number is not None), key=lambda pair: pair[0]
        )
        state, why = self._state(name, found, [job for _, job in own])
        return SliceStatus(
            slice=one,
            state=state,
            jobs=tuple(str(job["TrainingJobName"]) for _, job in own),
            seconds=sum(_seconds(job) for _, job in own),
            why=why,
            experiments=tuple(sorted(found.experiments)),
        )

    def _state(self, name: str, found: _Found, jobs: Sequence[Mapping[str, Any]]) -> tuple[SliceState, str]:
        is_running = bool(jobs) and jobs[-1]["TrainingJobStatus"] not in _OVER
        is_stopped = STOPPED in found.objects
        if is_running:
            return (SliceState.STOPPING if is_stopped else SliceState.RUNNING), ""
        if DONE in found.objects:
            code = json.loads(self._content(name, DONE))["code"]
            return (SliceState.FINISHED, "") if code == 0 else (SliceState.FAILED, f"exit code {code}")
        if is_stopped:
            return SliceState.STOPPED, ""
        if len(jobs) >= MAX_LAUNCHES:
            return SliceState.FAILED, f"{len(jobs)} tuning jobs ended before it was finished"
        return SliceState.WAITING, "its tuning job died" if jobs else ""

    def _content(self, slice_name: str, key: str) -> bytes:
        """A small object; read again only when it has changed."""
        place = f"{slice_name}/{key}"
        etag = self._found[slice_name].objects[key].etag
        if self._read.get(place, ("", b""))[0] != etag:
            self._read[place] = (etag, self._objects.get(place) or b"")
        return self._read[place][1]


def _seconds(job: Mapping[str, Any]) -> float:
    end = job.get("TrainingEndTime")
    return (end.timestamp() if end else time.time()) - job["CreationTime"].timestamp()
