"""A remote launch: its slices, one tuning job each; their states; where the launch was sent."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, final

from tunewright.aws import (
    AwsSession,
    Endpoint,
    S3Objects,
    ServiceError,
    StoredObject,
    choose_bucket,
    open_session,
    resolve_endpoint,
)
from tunewright.backends.sagemaker.requests import CODE_CHANNEL
from tunewright.exceptions import BackendError, SettingsError
from tunewright.experiments.remote_marker import SliceState
from tunewright.remote.layout import (
    DONE,
    EXPERIMENTS,
    SLICE,
    STOPPED,
    job_name,
    job_names_prefix,
    job_number,
    tag_prefix,
)
from tunewright.remote.requests import endpoint_facts
from tunewright.runner.contract import BucketTerms
from tunewright.storage import home, safe_name, write_atomically

MAX_LAUNCHES: Final = 20
"""Maximum number of tuning jobs of a slice; if none of them finishes it, it has failed."""

_PAGE: Final = 100
_OVER: Final = frozenset({"Completed", "Failed", "Stopped"})
_SCHEMA: Final = 1
_OWN_VARIABLES: Final = "TUNEWRIGHT_"

ENDED: Final = frozenset({SliceState.FINISHED, SliceState.FAILED, SliceState.STOPPED})
"""States that change only by a request of the user."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Part of a launch that one tuning job runs."""

    tag: str
    name: str
    """Unique in the tag; made of method, benchmark and seed."""
    label: str
    seed: int | None
    """None if one job runs all seeds."""
    flags: tuple[str, ...]
    """Of ``hpo_main.py``."""
    request: Mapping[str, Any]
    """The CreateTrainingJob request without the job's name."""
    dollars_per_hour: float | None = None
    """Of the tuning job's own instance."""
    prices: str = ""
    """Origin of that price, with region and date."""

    def to_bytes(self) -> bytes:
        """Return the slice as JSON."""
        return json.dumps({"schema": _SCHEMA, **asdict(self)}, sort_keys=True).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Slice:
        """Build a slice from the JSON of :meth:`to_bytes`.

        Raises
        ------
        SettingsError
            Another version of Tunewright wrote the data.
        """
        fields: dict[str, Any] = json.loads(data)
        if fields.pop("schema", None) != _SCHEMA:
            raise SettingsError("The launch was made by another version of Tunewright: use that one")
        fields["flags"] = tuple(fields["flags"])
        return Slice(**fields)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SliceStatus:
    """State of a slice."""

    slice: Slice
    state: SliceState
    jobs: tuple[str, ...] = ()
    """Names of its tuning jobs, in order."""
    seconds: float = 0.0
    """Service seconds of all of its tuning jobs together."""
    why: str = ""
    """Reason for waiting or for the failure."""
    experiments: tuple[str, ...] = field(default=())
    """Names of its experiments."""

    @property
    def cost(self) -> float | None:
        """Dollars of its tuning jobs; None if the price is unknown."""
        price = self.slice.dollars_per_hour
        return None if price is None else price * self.seconds / 3600


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRecord:
    """Endpoint and bucket of a launch, stored on this machine so that its tag is enough to find it."""

    choice: str
    region: str
    speed: float | None
    bucket: str
    bucket_owner: str = ""
    kms_key: str = ""
    profile: str | None = None
    """Profile of the AWS configuration."""
    assume_role: str | None = None
    """ARN of the role that requests assume."""
    requests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Requests of the tuning jobs by slice. Those in S3 are not sent: whoever may write to the bucket could change them."""

    @staticmethod
    def of(
        endpoint: Endpoint,
        bucket: str,
        terms: BucketTerms,
        requests: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> LaunchRecord:
        """Make the record of a launch."""
        return LaunchRecord(
            **endpoint_facts(endpoint),
            bucket=bucket,
            bucket_owner=terms.owner,
            kms_key=terms.kms_key,
            profile=endpoint.profile,
            assume_role=endpoint.assume_role,
            requests=requests or {},
        )

    @property
    def bucket_terms(self) -> BucketTerms:
        """Terms on which the bucket is used."""
        return BucketTerms(owner=self.bucket_owner, kms_key=self.kms_key)

    def endpoint(self) -> Endpoint:
        """Return the endpoint."""
        return resolve_endpoint(
            self.choice,
            region=self.region,
            speed=self.speed,
            profile=self.profile,
            assume_role=self.assume_role,
        )


def save_record(tag: str, record: LaunchRecord) -> None:
    """Store the record of a launch."""
    path = _path(tag)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(record), indent=2) + "\n")


def load_record(tag: str) -> LaunchRecord | None:
    """Return the stored record of a launch; None if it was made on another machine.

    Raises
    ------
    SettingsError
        The file is damaged.
    """
    path = _path(tag)
    try:
        return LaunchRecord(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be read ({error}): remove it and give --endpoint and --region"
        ) from None


def tuner_folders(tag: str) -> Path:
    """Parent of the folders of tuners that run as jobs of the trials' engine: their scripts and their output."""
    return home() / "remote" / safe_name(tag, "experiment tag")


def _path(tag: str) -> Path:
    return home() / "remote" / f"{safe_name(tag, 'experiment tag')}.json"


@dataclass(slots=True)
class _Found:
    """Objects of a slice in S3."""

    objects: dict[str, StoredObject] = field(default_factory=dict[str, StoredObject])
    experiments: dict[str, list[StoredObject]] = field(default_factory=dict[str, list[StoredObject]])


@contextmanager
def open_launch(tag: str) -> Generator[RemoteLaunch]:
    """Open a launch of this machine, with the endpoint, credentials and bucket of its record.

    Raises
    ------
    SettingsError
        It was launched from another machine, or its record is damaged.
    BackendError, ServiceError
        The service refuses or does not answer, or credentials are missing.
    """
    record = load_record(tag)
    if record is None:
        raise SettingsError(
            f"{tag} was launched from another machine: fetch it with tunewright remote fetch {tag}, with its --endpoint and --region"
        )
    session = open_session(record.endpoint())
    try:
        bucket = choose_bucket(session, record.bucket, record.bucket_terms)
        yield RemoteLaunch(session, bucket, tag, record.requests)
    finally:
        session.close()


@final
class RemoteLaunch:
    """The slices of a tag and their tuning jobs.

    Parameters
    ----------
    session
        An open session; not closed with this object.
    bucket
        Of the launch.
    tag
        Of the launch.
    requests
        Requests of the tuning jobs by slice, as this machine has recorded them; :meth:`add` adds others.
    """

    def __init__(
        self,
        session: AwsSession,
        bucket: str,
        tag: str,
        requests: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._session = session
        self._objects = session.objects(bucket, tag_prefix(tag))
        self._tag = tag
        self._requests = dict(requests or {})
        self._read: dict[str, tuple[str, bytes]] = {}
        self._found: dict[str, _Found] = {}
        self._full = ""
        """Reason for which the service refused the last tuning job; empty if it accepted it."""

    def objects(self, slice_name: str) -> S3Objects:
        """The objects of a slice."""
        return self._objects.under(slice_name)

    def stored(self, slice_name: str, experiment: str) -> Sequence[StoredObject]:
        """Return the objects of an experiment at the last :meth:`look`, with keys relative to the experiment."""
        return self._found[slice_name].experiments[experiment]

    @property
    def requests(self) -> Mapping[str, Mapping[str, Any]]:
        """Requests of the tuning jobs by slice, as this machine has built or recorded them."""
        return self._requests

    def add(self, slices: Sequence[Slice]) -> None:
        """Store slices. Slices that exist get the present code, and must have the same settings otherwise.

        Raises
        ------
        SettingsError
            A slice in S3 has other settings.
        """
        for one in slices:
            objects = self.objects(one.name)
            if not objects.put_new(SLICE, one.to_bytes()):
                stored = Slice.from_bytes(objects.get(SLICE) or one.to_bytes())
                if differing := different_settings(stored.request, one.request):
                    raise SettingsError(
                        f"{objects.uri(SLICE)} has other settings than this command: {', '.join(differing)}. Give the settings "
                        "of the launch; or, if you want new ones or did not make these, delete the object and go on with --resume"
                    )
                objects.put(SLICE, one.to_bytes())
            self._requests[one.name] = one.request

    def look(self) -> list[SliceStatus]:
        """Return the states of all slices by name, from one listing of objects and one of jobs.

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
        """Create the next tuning job of a slice; return False if a quota does not allow it at present.

        Raises
        ------
        BackendError
            The service refuses it for good, or its request is not known on this machine or differs in S3.
        ServiceError
            The answer was lost; the next :meth:`look` shows whether the job exists.
        """
        request = self._trusted_request(status.slice)
        name = job_name(self._tag, status.slice.name, len(status.jobs))
        try:
            self._session.call("CreateTrainingJob", TrainingJobName=name, **request)
        except ServiceError as error:
            if error.code == "ResourceInUse":
                return True  # created by a request whose answer was lost, or by another launcher
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

    def _trusted_request(self, one: Slice) -> Mapping[str, Any]:
        """Return this machine's request of a slice if S3 has the same one."""
        again = "launch it again with --resume by the command that launched it"
        request = self._requests.get(one.name)
        if request is None:
            raise BackendError(
                f"This machine has no request of the slice {one.name}, and the one that lies in S3 is not sent: {again}"
            )
        if differing := different_settings(one.request, request):
            uri = self.objects(one.name).uri(SLICE)
            raise BackendError(
                f"{uri} was changed ({', '.join(differing)}): find out who wrote to the bucket, delete the object, and {again}"
            )
        return request

    def launch_waiting(self, statuses: Sequence[SliceStatus], max_parallel: int | None) -> int:
        """Launch waiting slices as far as quotas and ``max_parallel`` allow; return their number.

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
        """Reason for which the service refused the last tuning job; empty if it accepted it."""
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
        """Make slices that were stopped or have failed wait for another launch."""
        for status in statuses:
            if status.state in {SliceState.STOPPED, SliceState.FAILED}:
                self.objects(status.slice.name).delete([STOPPED, DONE])

    def _stop_job(self, name: str) -> None:
        try:
            self._session.call("StopTrainingJob", TrainingJobName=name)
        except ServiceError as error:
            if error.code != "ValidationException":  # it has ended already
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
        """Return the content of a small object; it is read again only if it has changed."""
        place = f"{slice_name}/{key}"
        etag = self._found[slice_name].objects[key].etag
        if self._read.get(place, ("", b""))[0] != etag:
            self._read[place] = (etag, self._objects.get(place) or b"")
        return self._read[place][1]


def different_settings(stored: Mapping[str, Any], built: Mapping[str, Any]) -> list[str]:
    """Return the members in which two requests of a tuning job differ, apart from the code and our own variables."""
    one, other = (_settings(request) for request in (stored, built))
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _settings(request: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(request))
    settings.get("AlgorithmSpecification", {}).pop("ContainerArguments", None)
    environment = settings.get("Environment", {})
    settings["Environment"] = {
        name: value for name, value in environment.items() if not name.startswith(_OWN_VARIABLES)
    }
    channels = settings.get("InputDataConfig", [])
    settings["InputDataConfig"] = [one for one in channels if one["ChannelName"] != CODE_CHANNEL]
    return settings


def _seconds(job: Mapping[str, Any]) -> float:
    end = job.get("TrainingEndTime")
    return (end.timestamp() if end else time.time()) - job["CreationTime"].timestamp()
