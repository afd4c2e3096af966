"""Comparison of an account with the assumptions of :mod:`tunewright.backends.sagemaker.verification.assumptions`, by short jobs and requests.

The jobs are those of trials: our runner, entry point and channel, with a probe as the training script. They run one after the
other on one instance, which is kept warm in between. A step that fails leaves its lines "not seen", and the next one follows.
Durations are in service seconds.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar, final

from tunewright.aws import (
    AwsSession,
    EndpointKind,
    ServiceError,
    choose_bucket,
    find_role,
    has_gpu,
    has_local_disks,
)
from tunewright.aws.account import (
    CREATE_RATE,
    LIST_RATE,
    Quota,
    read_quotas,
    spot_quota,
    total_quota,
    training_quota,
    warm_pool_quota,
)
from tunewright.aws.boto import service_errors
from tunewright.aws.endpoint import is_of_aws
from tunewright.backends.engine.context import Notices
from tunewright.backends.engine.job_service import CreateOutcome, JobOrder
from tunewright.backends.engine.jobs import POOL_SECONDS
from tunewright.backends.engine.worker_jobs import WorkerJobOrder
from tunewright.backends.s3.code import ROOT_PREFIX
from tunewright.backends.s3.tasks import S3TaskBoard
from tunewright.backends.sagemaker.config import KEEP_ALIVE_MAX, SageMakerConfig
from tunewright.backends.sagemaker.deployment import ExperimentSite
from tunewright.backends.sagemaker.job_service import JobLogs, bill_of, over_limit
from tunewright.backends.sagemaker.log_channel import INGESTION_SECONDS
from tunewright.backends.sagemaker.requests import (
    WorkerParameters,
    build_request,
    build_worker_request,
    job_prefix,
    worker_deployment,
)
from tunewright.backends.sagemaker.settings import JobSettings
from tunewright.backends.sagemaker.template import merge
from tunewright.backends.sagemaker.verification.assumptions import ASSUMPTIONS
from tunewright.benchmarks import definition
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import BackendError, TunewrightError
from tunewright.metric import Metric
from tunewright.runner import s3_keys
from tunewright.runner.channel import PAUSE, STOP, TERMINATED, End, Report
from tunewright.runner.checkpoints import SYNCED_FOLDER
from tunewright.runner.training_job import CHANGED_CODE
from tunewright.space import Float, SearchSpace
from tunewright.trial import Checkpoint, Run

MINUTES: Final = 30
"""Service minutes after which no step begins and no job is waited for."""
_KEEP_ALIVE: Final = 300
_MAX_RUN: Final = 600
_PATIENCE: Final = 900.0
"""Service seconds until a job that does not get anywhere is given up."""
_CLEARING: Final = 600.0
"""The same while jobs are ended."""
_LEAST_PATIENCE: Final = 120.0
"""Real seconds of both at the least."""
_LEAST_TIME: Final = 600.0
"""Real seconds of all steps together at the least."""
_POLL: Final = 2.0
_LEAST_POLL: Final = 0.2
"""Real seconds."""
_ATTEMPTS: Final = 5
"""Of a request that is throttled or gets no answer."""
_BURST: Final = 40
"""Requests in a row that must meet the limit of their rate."""
_MANY_INSTANCES: Final = 1000
"""More than any account may use."""
_PAGE: Final = 100
_VALUE_CHARACTERS: Final = 2500
_VARIABLE_CHARACTERS: Final = 512
_RUN_DAYS: Final = 5 * 86400.0
_LONGEST_RUN: Final = "Longest run time for a training job"
_STRANGER: Final = "111122223333"
"""An account that owns no bucket of ours: the one of AWS's examples."""
_NVME_TYPE: Final = "ml.g4dn.xlarge"
_FORBIDDEN: Final = 403
_SLACK: Final = 10.0
"""Real seconds that any delay may take."""
_PROBE: Final = Path(definition.__file__).parent / "scripts" / "sagemaker_probe" / "sagemaker_probe.py"
_GPUS: Final = "/proc/driver/nvidia/gpus"
_PRINTED: Final = re.compile(r"tunewright-verify printed at (\d+\.\d+)")
_OVER: Final = frozenset({"Completed", "Failed", "Stopped"})
_EARLY: Final = frozenset({"Pending", "Starting", "Downloading", "DownloadingTrainingImage"})
_CONDITIONAL: Final = ["written", "412", "written", "412"]
_NO_STEP: Final = "its step failed or was not reached"
_ERRORS: Final = (TunewrightError, ArithmeticError, LookupError, OSError, TypeError, ValueError)
"""Failures of one step."""

_T = TypeVar("_T")


class State(StrEnum):
    """Result for one assumption."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    NOT_SEEN = "not seen"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One assumption beside the service."""

    number: int
    state: State
    seen: str
    source: str = ""
    """The job or the request."""

    @property
    def text(self) -> str:
        """The assumption."""
        return ASSUMPTIONS[self.number - 1].text


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Result: a line per assumption, further facts, and failed steps. Nothing in it names the account or its resources."""

    observations: tuple[Observation, ...]
    further: Mapping[str, str]
    """Other facts about the service, by subject."""
    image: Mapping[str, str]
    """Versions of Python and packages in the image."""
    failures: Mapping[str, str]
    """Step -> its error."""

    def count(self, state: State) -> int:
        """Number of assumptions with this state."""
        return sum(one.state is state for one in self.observations)

    def to_json(self) -> dict[str, Any]:
        """JSON types, to keep or to send."""
        return {
            "image": dict(self.image),
            "assumptions": [
                {
                    "number": one.number,
                    "assumption": one.text,
                    "state": str(one.state),
                    "seen": one.seen,
                    "source": one.source,
                }
                for one in self.observations
            ],
            "further": dict(self.further),
            "failures": dict(self.failures),
        }


def verification_site(session: AwsSession, config: SageMakerConfig, experiment: str) -> ExperimentSite:
    """Site of the jobs: the probe is the script, on one warm instance. Nothing is created.

    Parameters
    ----------
    session
        Of the account.
    config
        Endpoint, role, bucket, image and instance type.
    experiment
        Beginning of the names of jobs and objects; must be new.

    Raises
    ------
    BackendError, SettingsError
        As :class:`ExperimentSite`.
    """
    benchmark = RealBenchmarkDefinition(
        name="verify",
        script=str(_PROBE),
        space=SearchSpace({"seconds": Float(0.0, _MAX_RUN)}),
        metrics=(Metric("step"),),
        resource_attr="epoch",
    )
    bucket = choose_bucket(session, config.bucket, config.bucket_terms)
    place = f"s3://{bucket}/{ROOT_PREFIX}/{job_prefix(experiment)}/{SYNCED_FOLDER}/"
    jobs = replace(
        config,
        warm_pool=True,
        keep_alive=_KEEP_ALIVE,
        max_run=_MAX_RUN,
        channel="s3",
        request_template={"CheckpointConfig": {"S3Uri": place, "LocalPath": f"/opt/ml/{SYNCED_FOLDER}"}},
    )
    return ExperimentSite(JobSettings(benchmark=benchmark, config=jobs), experiment, session, Notices())


@final
class Verifier:
    """Takes the steps one after the other. The owner calls :meth:`clear` in any case.

    Parameters
    ----------
    site
        From :func:`verification_site`.
    tell
        Called with a line of text before each step.
    """

    def __init__(self, site: ExperimentSite, tell: Callable[[str], None]) -> None:
        self._site = site
        self._session = site.session
        self._endpoint = site.session.endpoint
        self._objects = site.objects
        self._tell = tell
        self._type = site.settings.instance_type
        self._deadline = time.monotonic() + self._endpoint.seconds(60.0 * MINUTES, at_least=_LEAST_TIME)
        self._observations: dict[int, Observation] = {}
        self._further: dict[str, str] = {}
        self._image: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._names: list[str] = []
        self._n_refused = 0
        self._cold_job = ""
        self._has_checkpoint = False

    @property
    def result(self) -> Verification:
        """All observations so far; an assumption without one is "not seen"."""
        return Verification(
            observations=tuple(
                self._observations.get(one.number)
                or Observation(number=one.number, state=State.NOT_SEEN, seen=one.hidden or _NO_STEP)
                for one in ASSUMPTIONS
            ),
            further={subject: self._plain(text) for subject, text in self._further.items()},
            image=dict(self._image),
            failures=dict(self._failures),
        )

    def run(self) -> None:
        """Take all steps; errors of the service end their step only."""
        steps: Sequence[tuple[str, Callable[[], None]]] = (
            ("address of the endpoint", self._address),
            ("code in S3", lambda: self._site.deploy(1)),
            ("quotas", self._quotas),
            ("role", self._role),
            ("bucket", self._bucket),
            ("job 1 of 5, from cold: facts, report, pause, checkpoint, pool", self._cold),
            ("job 2 of 5, on the warm instance: checkpoint, stop", self._stopped),
            ("job 3 of 5: a worker with two runs", self._worker),
            ("job 4 of 5: a runner that was changed", self._changed),
            ("job 5 of 5: a stop before the training", self._early),
            ("release of the warm pool", self._release),
            ("listing of jobs", self._listing),
            ("stop of a job that is over", self._late_stop),
            ("name that is taken", self._taken_name),
            ("long keep-alive", self._long_keep_alive),
            ("warm spot instances", self._warm_spot),
            ("too many instances", self._too_many),
            ("values that are too long", self._too_long),
            ("key for local disks", self._disk_key),
            (f"{_BURST} quick requests", self._burst),
        )
        for title, step in steps:
            self._tell(f"{title} ...")
            self._attempt(title, step)

    def clear(self) -> list[str]:
        """End all jobs and release their warm pools; return a line for each job that may still hold an instance."""
        self._deadline = float("inf")
        running = [name for name in self._names if self._end(name)]
        return [text for name in running if (text := self._ended(name))]

    def _attempt(self, title: str, step: Callable[[], None]) -> None:
        """Take a step; its failure is noted."""
        try:
            self._check_time()
            step()
        except _ERRORS as error:
            self._failures[title] = self._plain(f"{type(error).__name__}: {error}")
            self._tell(f"  failed: {self._failures[title]}")

    # ---- requests without a job

    def _address(self) -> None:
        url = str(self._session.client("sagemaker").meta.endpoint_url)
        if self._endpoint.kind is EndpointKind.AWS:
            is_right = is_of_aws(url)
            seen = "an address of AWS" if is_right else "another address than AWS's"
        else:
            is_right = url == self._endpoint.url
            seen = "the given address" if is_right else "another address than the given one"
        self._note(44, is_right, seen, "address of the client")

    def _quotas(self) -> None:
        listed = read_quotas(self._session)
        if listed is None:
            raise BackendError("servicequotas:ListServiceQuotas is not allowed")
        of_type = [one(self._type) for one in (training_quota, spot_quota, warm_pool_quota)]
        total = total_quota(is_spot=False)
        named = [*of_type, CREATE_RATE, LIST_RATE, total, _LONGEST_RUN]
        known = read_quotas(self._session, named) or {}
        source = "ListServiceQuotas, ListAWSDefaultServiceQuotas"
        missing = [name for name in (*of_type, CREATE_RATE) if name not in known]
        self._note(25, not missing, f"missing: {', '.join(missing) or 'none'}", source)
        absent = [name for name in named if name not in listed]
        defaults = [name for name in absent if name in known]
        seen = f"{len(listed)} listed; not listed: {', '.join(absent) or 'none of those'}; of these with a default: {len(defaults)}"
        self._note(26, True if defaults else None, seen, source)
        self._note(27, True if total in known else None, _value(known.get(total)), source)
        rates = (
            f"{CREATE_RATE}: {_value(known.get(CREATE_RATE))}; {LIST_RATE}: {_value(known.get(LIST_RATE))}"
        )
        self._further["rates of requests"] = rates
        longest = known.get(_LONGEST_RUN)
        self._note(41, None if longest is None else longest.value >= _RUN_DAYS, _value(longest), source)

    def _role(self) -> None:
        arn = self._site.deployment.role_arn
        if self._endpoint.kind is EndpointKind.EMBEDDED:
            self._note(28, None, "the embedded endpoint takes any role", "")
            return
        path, _, name = arn.partition(":role/")[2].rpartition("/")
        found = find_role(self._session, name)
        self._note(
            28, found == arn, f"path /{path}/: {'the same ARN' if found == arn else 'another ARN'}", "GetRole"
        )

    def _bucket(self) -> None:
        bucket, key = self._objects.bucket, self._objects.key("probe/object")
        client = self._session.client("s3")
        try:
            with service_errors():
                client.head_bucket(Bucket=bucket, ExpectedBucketOwner=_STRANGER)
        except ServiceError as error:
            self._note(
                31, error.status == _FORBIDDEN, f"status {error.status} for another owner", "HeadBucket"
            )
        else:
            self._note(31, False, "accepted for another owner", "HeadBucket")
        with service_errors():
            encryption = client.put_object(Bucket=bucket, Key=key, Body=b"1").get("ServerSideEncryption")
        seen = f"encryption {encryption or 'not named'}; access to the bucket was not looked at"
        self._note(32, True if encryption else None, seen, "PutObject")
        is_listed = any(one.key == "probe/object" for one in self._objects.page("probe/"))
        is_new = self._objects.put_new("probe/lease", b"1")
        is_again = self._objects.put_new("probe/lease", b"2")
        etag = self._objects.page("probe/lease")[0].etag
        is_replaced = self._objects.replace("probe/lease", b"3", etag)
        is_stale = self._objects.replace("probe/lease", b"4", etag)
        seen = f"listed at once: {is_listed}; written: {is_new}, again: {is_again}, replaced: {is_replaced}, stale: {is_stale}"
        holds = is_listed and is_new and is_replaced and not is_again and not is_stale
        self._note(33, holds, seen, "PutObject, ListObjectsV2 of this machine")

    # ---- jobs

    def _cold(self) -> None:
        order = self._order(0, look=1)
        name = self._cold_job = self._create(self._request(order))
        report = self._message(name, order, Report)
        self._note(1, True, "the runner started the script, whose report arrived", "job 1")
        self._attempt("facts of job 1", lambda: self._note_facts(name, report.metrics["facts"]))
        self._attempt("delay of the log of job 1", lambda: self._measure_log(name))
        asked = time.monotonic()
        end = self._ask(name, order, PAUSE)
        self._has_checkpoint = end.checkpoint == 1
        seconds = time.monotonic() - asked
        self._further["pause"] = (
            f"end {end.cause}, checkpoint {end.checkpoint}, {seconds:.1f} s after the request"
        )
        job = self._until(name, _is_over)
        self._note_pool(name)
        self._note_copies(report.metrics["facts"]["kept"])
        self._note_bill(job)

    def _stopped(self) -> None:
        order = self._order(0, attempt=1, is_resumed=self._has_checkpoint)
        name = self._create(self._request(order))
        report = self._message(name, order, Report)
        if self._has_checkpoint:
            is_restored = report.metrics["facts"]["restored"] == _word(0)
            self._further["checkpoint of job 1 in job 2"] = "restored" if is_restored else "not restored"
        self._note_warm_start(name)
        self._call("StopTrainingJob", TrainingJobName=name)
        job = self._until(name, _is_over)
        ends = [message for message in self._messages(order) if isinstance(message, End)]
        stopping = [step for step in job["SecondaryStatusTransitions"] if step["Status"] == "Stopping"]
        heard = "the runner sent no end"
        if ends and stopping:
            seconds = ends[0].wall - stopping[0]["StartTime"].timestamp()
            heard = f"end of the runner: {ends[0].cause}, {seconds:.1f} s after Stopping began"
        seen = f"{heard}; {job['TrainingJobStatus']} after {self._span(job, 'Stopping'):.0f} s of Stopping"
        process = self._further.get("process of the runner", "not known")
        self._note(4, bool(ends) and ends[0].cause == TERMINATED, f"{seen}; process {process}", "job 2")
        self._until(name, _has_settled_pool)

    def _worker(self) -> None:
        own, taken = self._order(1), self._order(2)
        board = S3TaskBoard(self._objects, self._site.settings.benchmark)
        lease = b'{"job": "verify"}'
        self._objects.put(s3_keys.LEASES + taken.name.key, lease)
        for order in (taken, own):
            board.post(order)
        facts = WorkerParameters(
            slots=2,
            lease_seconds=_SLACK,
            take_seconds=_MAX_RUN,
            hand_over_seconds=_MAX_RUN,
            abandon_seconds=_MAX_RUN,
            job_seconds=_MAX_RUN,
        )
        request = build_worker_request(
            WorkerJobOrder(number=0, n_instances=1, dollars_per_hour=0.0),
            worker_deployment(self._site.deployment),
            self._site.settings,
            facts,
        )
        name = self._create(request.fields)
        self._message(name, own, Report)

        def renewed() -> bool:
            content = self._objects.get(s3_keys.LEASES + own.name.key)
            return content is not None and int(json.loads(content)["beat"]) > 1

        self._wait(renewed, f"the lease of {name} is not renewed")
        self._ask(name, own, STOP)
        is_left = self._objects.exists(s3_keys.TASKS + taken.name.key) and not self._messages(taken)
        is_kept = self._objects.get(s3_keys.LEASES + taken.name.key) == lease
        board.drain(0)
        job = self._until(name, _is_over)
        seen = f"a free run was claimed and its lease renewed; a claimed run was left alone: {is_left and is_kept}"
        self._further["worker"] = f"{seen}; {job['TrainingJobStatus']}"
        before = self._observations.get(33)
        holds = is_left and is_kept and (before is None or before.state is not State.CONTRADICTED)
        self._note(
            33, holds, f"{before.seen + '; ' if before else ''}{seen}", "this machine, job 1 and job 3"
        )
        self._until(name, _has_settled_pool)

    def _changed(self) -> None:
        deployment = replace(self._site.deployment, runner_sha256="0" * 64)
        request = build_request(self._order(3), deployment, self._site.settings)
        job = self._until(self._create(request.fields), _is_over)
        reason = str(job.get("FailureReason", ""))
        holds = reason.startswith("AlgorithmError") and CHANGED_CODE in reason
        self._note(19, holds, f"{job['TrainingJobStatus']}: {reason}", "job 4")
        self._until(str(job["TrainingJobName"]), _has_settled_pool)

    def _early(self) -> None:
        long = self._request(self._order(4, n_characters=_VALUE_CHARACTERS))
        filled = merge(long, {"Environment": {"TUNEWRIGHT_VERIFY": "x" * _VARIABLE_CHARACTERS}})
        try:
            name = self._create(filled)
        except ServiceError as error:
            if error.is_transient:
                raise
            self._note(20, False, f"the longest values are refused: {error}", "CreateTrainingJob")
            name = self._create(self._request(self._order(5)))
        job = self._until(name, lambda job: job["SecondaryStatus"] in _EARLY or _has_trained(job))
        status = job["SecondaryStatus"]
        self._call("StopTrainingJob", TrainingJobName=name)
        job = self._until(name, _is_over)
        self._further["stop before the training"] = (
            f"stopped while {status}: {job['TrainingJobStatus']} after {self._span(job, 'Stopping'):.0f} s, "
            f"billed {job.get('BillableTimeInSeconds', 0)} s, "
            f"pool {self._pool(self._until(name, _has_settled_pool))}"
        )

    def _release(self) -> None:
        with_pool = [name for name in self._names if self._pool(self._describe(name)) == "Available"]
        if not with_pool:
            raise BackendError("there is no warm pool to release")
        self._release_pool(with_pool[-1])
        pool = self._pool(self._describe(with_pool[-1]))
        code, error = self._answer(lambda: self._release_pool(with_pool[-1]))
        is_harmless = error is None or not (error.is_transient or error.is_denied)
        seen = f"pool {pool}; again: {code}"
        self._note(14, pool == "Terminated" and is_harmless, seen, "UpdateTrainingJob")

    # ---- requests about jobs

    def _listing(self) -> None:
        first, *others = self._names
        if not others:
            raise BackendError("there are fewer than two jobs")
        newest = {"SortBy": "CreationTime", "SortOrder": "Descending"}
        answer = self._call("ListTrainingJobs", NameContains=first, MaxResults=1, **newest)
        found = [summary["TrainingJobName"] for summary in answer["TrainingJobSummaries"]]
        fields: set[str] = {field for summary in answer["TrainingJobSummaries"] for field in summary}
        has_fields = {"SecondaryStatus", "WarmPoolStatus"} <= fields
        self._note(21, has_fields if found else None, ", ".join(sorted(fields)), "ListTrainingJobs")
        oldest = {"SortBy": "CreationTime", "SortOrder": "Ascending", "MaxResults": _PAGE}
        page = self._call("ListTrainingJobs", **oldest)
        is_behind = bool(page.get("NextToken")) and all(
            one["TrainingJobName"] not in self._names for one in page["TrainingJobSummaries"]
        )
        seen = f"a page of one job, behind newer ones: {'found' if found == [first] else 'not found'}"
        if not is_behind:
            few = f"; fewer than {_PAGE} older jobs in the account, so that no page of {_PAGE} was passed"
            self._note(22, None if found == [first] else False, seen + few, "ListTrainingJobs")
            return
        answer = self._call("ListTrainingJobs", NameContains=first, **oldest)
        is_found = [one["TrainingJobName"] for one in answer["TrainingJobSummaries"]] == [first]
        seen += f"; behind more than {_PAGE} older ones: {'found' if is_found else 'not found'}"
        self._note(22, found == [first] and is_found, seen, "ListTrainingJobs")

    def _late_stop(self) -> None:
        name = self._ended_job()
        code, _ = self._answer(lambda: self._call("StopTrainingJob", TrainingJobName=name))
        self._note(39, code == "ValidationException", code, "StopTrainingJob")

    def _taken_name(self) -> None:
        fields = {**self._request(self._order(6)), "TrainingJobName": self._ended_job()}
        code, _ = self._answer(lambda: self._call("CreateTrainingJob", **fields))
        self._note(17, code == "ResourceInUse", code, "CreateTrainingJob")

    def _long_keep_alive(self) -> None:
        code, _ = self._refusal({"ResourceConfig": {"KeepAlivePeriodInSeconds": KEEP_ALIVE_MAX + 1}})
        self._note(15, code != "accepted", code, "CreateTrainingJob")

    def _warm_spot(self) -> None:
        limits = {"MaxRuntimeInSeconds": _MAX_RUN, "MaxWaitTimeInSeconds": 2 * _MAX_RUN}
        code, _ = self._refusal({"EnableManagedSpotTraining": True, "StoppingCondition": limits})
        self._note(16, code != "accepted", code, "CreateTrainingJob")

    def _too_many(self) -> None:
        code, text = self._refusal({"ResourceConfig": {"InstanceCount": _MANY_INSTANCES}})
        is_known = code == "ResourceLimitExceeded" and over_limit(text).outcome is CreateOutcome.TYPE_REFUSED
        self._note(18, is_known, f"{code}: {text}", "CreateTrainingJob")

    def _too_long(self) -> None:
        too_long: Mapping[str, Mapping[str, Any]] = {
            "value": {"HyperParameters": {"text": "x" * (_VALUE_CHARACTERS + 1)}},
            "line break": {"HyperParameters": {"text": "x\ny"}},
            "variable": {"Environment": {"TUNEWRIGHT_VERIFY": "x" * (_VARIABLE_CHARACTERS + 1)}},
        }
        codes = {what: self._refusal(changes)[0] for what, changes in too_long.items()}
        seen = f"one more: {', '.join(f'{what} {code}' for what, code in codes.items())}"
        refused = self._observations.get(20)
        holds = "accepted" not in codes.values() and refused is None
        self._note(20, holds, f"{refused.seen + '; ' if refused else ''}{seen}", "CreateTrainingJob")

    def _disk_key(self) -> None:
        resources = {"InstanceType": _NVME_TYPE, "VolumeKmsKeyId": "alias/tunewright-verify"}
        code, text = self._refusal({"ResourceConfig": resources})
        # a quota or a key that does not exist is a reason of its own, and proves nothing
        is_rule = "VolumeKmsKeyId" in text or "local" in text.lower()
        holds = False if code == "accepted" else True if is_rule else None
        self._note(29, holds, f"{code}: {text}", "CreateTrainingJob")

    def _burst(self) -> None:
        client = self._session.client("sagemaker")
        seen, is_throttling = f"{_BURST} requests in a row were answered", None
        for n in range(1, _BURST + 1):
            try:
                with service_errors():
                    client.list_training_jobs(MaxResults=1)
            except ServiceError as error:
                seen, is_throttling = f"{error.code} at request {n}", error.is_throttling
                break
        rates = self._further.pop("rates of requests", "quotas were not read")
        self._note(23, is_throttling, f"{seen}; {rates}", "ListTrainingJobs, Service Quotas")

    # ---- facts of a job

    def _note_facts(self, name: str, facts: Mapping[str, Any]) -> None:
        """Compare the facts that the probe reported."""
        for package in ("python", "torch", "boto3"):
            self._image[package] = facts[package] or "missing"
        is_default = not self._site.settings.config.image_uri and self._endpoint.kind is EndpointKind.AWS
        is_python = bool(facts["is_python_of_path"])
        seen = f"python3 of PATH: {is_python}; torch {self._image['torch']}"
        self._note(2, True if is_python and facts["torch"] else False if is_default else None, seen, "job 1")
        seen = f"script in the channel: {facts['is_in_channel']}, writable: {facts['is_writable']}"
        self._note(3, facts["is_in_channel"] and facts["is_writable"], seen, "job 1")
        names = facts["variables"]
        self._further["variables of the platform"] = ", ".join(names)
        credentials = [one for one in names if "CREDENTIALS" in one or "ACCESS_KEY_ID" in one]
        holds = facts["job"] == name and facts["region"] == self._endpoint.region
        seen = f"name and region: {holds}; credentials by {', '.join(credentials) or 'none of the known variables'}"
        self._note(6, holds, seen, "job 1")
        self._further["process of the runner"] = str(facts["runner"])
        counts = {way: int(n) for way, n in facts["gpus"].items()}
        seen = ", ".join(f"{way} {n}" for way, n in counts.items()) or "no GPU found"
        is_counted = _GPUS in counts and len(counts) > 1 and len(set(counts.values())) == 1
        self._note(7, is_counted if has_gpu(self._type) else None, f"{self._type}: {seen}", "job 1")
        missing = facts["missing"]
        seen = "the image has no toolkit" if missing is None else f"missing: {', '.join(missing) or 'none'}"
        self._note(8, None if missing is None else not missing, seen, "job 1")
        host = facts["host"]
        seen = f"address of the first host: {host['has_address']}; host name is that of the request: {host['is_named']}"
        self._note(9, bool(host["has_address"]), seen, "job 1")
        writes = facts["writes"]
        seen = f"boto3 {self._image['boto3']} knows them: {writes['knows']}; answers {', '.join(writes['answers']) or 'none'}"
        self._note(10, bool(writes["knows"]), seen, "job 1")
        if writes["knows"] and writes["answers"] != _CONDITIONAL:
            self._note(33, False, f"in the image: {', '.join(writes['answers'])}", "job 1")
        self._further["files of /opt/ml/input/config"] = ", ".join(facts["files"])
        if has_local_disks(self._type):
            asked = self._site.settings.volume_gb
            self._note(30, facts["disk_gb"] > asked, f"{facts['disk_gb']} GB, {asked} requested", "job 1")
        else:
            self._note(30, None, f"{self._type} has no local disks", "")

    def _measure_log(self, name: str) -> None:
        logs = JobLogs(self._session)

        def line() -> tuple[float, float] | None:
            for event in logs.events(f"{name}/", term="tunewright-verify"):
                if found := _PRINTED.search(event.message):
                    return float(found[1]), time.time()
            return None

        printed, seen = self._wait(line, f"the log of {name} has no line")
        delay = max(0.0, seen - printed)
        holds = delay <= self._endpoint.seconds(INGESTION_SECONDS, at_least=_SLACK)
        self._note(38, holds, f"found {delay * self._endpoint.speed:.0f} s after it was printed", "job 1")

    def _note_copies(self, files: Mapping[str, int]) -> None:
        prefix = f"{SYNCED_FOLDER}/"
        copied = {one.key.removeprefix(prefix): one.size for one in self._objects.list(prefix)}
        n_right = sum(copied.get(file) == size for file, size in files.items())
        self._note(37, n_right == len(files), f"{n_right} of {len(files)} files with their sizes", "job 1")

    def _note_bill(self, job: Mapping[str, Any]) -> None:
        speed = self._endpoint.speed
        billed = float(job["BillableTimeInSeconds"])
        waited = self._span(job, "Starting") + self._span(job, "Pending")
        rest = (
            self._span(job, "Downloading")
            + self._span(job, "DownloadingTrainingImage")
            + self._span(job, "Training") / speed
            + self._span(job, "Uploading")
        )
        seen = f"billed {billed:.0f} s; {waited:.0f} s of waiting, {rest:.0f} s from Downloading on"
        self._note(35, abs(billed - rest) < abs(billed - rest - waited), seen, "job 1")
        is_warm = bill_of(job, speed=speed).is_warm
        kind = "warm" if is_warm else "cold"
        self._further["start of job 1"] = f"{waited:.0f} s of waiting, taken for a {kind} start"

    def _note_pool(self, name: str) -> None:
        """Compare how the instance of an ended job becomes a pool."""
        ended = time.monotonic()
        pool = self._pool(self._until(name, _has_settled_pool))
        delay = time.monotonic() - ended
        if pool != "Available":
            self._note(12, True, f"accepted with KeepAlivePeriodInSeconds; pool {pool or 'none'}", "job 1")
            self._note(13, None, f"pool {pool or 'none'}", "job 1")
            return
        self._note(12, None, "the account has a quota for the pool", "job 1")
        holds = delay <= self._endpoint.seconds(POOL_SECONDS, at_least=_SLACK)
        self._note(13, holds, f"Available {delay * self._endpoint.speed:.0f} s after the end", "job 1")

    def _note_warm_start(self, name: str) -> None:
        if not self._cold_job:
            return
        former = self._describe(self._cold_job).get("WarmPoolStatus", {})
        job = self._describe(name)
        waited = self._span(job, "Starting") + self._span(job, "Pending")
        is_reused = former.get("ReusedByJob") == name
        if former.get("Status") in {None, "Terminated"} and not is_reused:
            self._note(11, None, "job 1 left no warm pool", "")
            return
        seen = f"pool {former.get('Status')}, {'by' if is_reused else 'not by'} job 2, whose limits and variables differ"
        self._note(11, is_reused, seen, "job 2")
        is_warm = bill_of({**job, "BillableTimeInSeconds": 0}, speed=self._endpoint.speed).is_warm
        cold = self._further.get("start of job 1", "not known")
        if is_reused:
            holds = is_warm and "cold start" in cold
            self._note(36, holds, f"{waited:.0f} s of waiting; job 1: {cold}", "jobs 1 and 2")

    # ---- means

    def _order(
        self, trial: int, *, attempt: int = 0, look: int = 0, is_resumed: bool = False, n_characters: int = 0
    ) -> JobOrder:
        """A run of the probe; with ``n_characters`` its configuration is a JSON text of that length."""
        config: dict[str, Any] = {"look": look, "word": _word(attempt), "seconds": float(_MAX_RUN)}
        if n_characters:
            config["text"] = ""
            config["text"] = "x" * (n_characters - len(json.dumps(config, separators=(",", ":"))))
        checkpoint = Checkpoint(trial_id=trial, resource=1) if is_resumed else None
        run = Run(
            trial_id=trial, attempt=attempt, resume_from=1 if is_resumed else 0, from_checkpoint=checkpoint
        )
        return JobOrder(run=run, config=config)

    def _request(self, order: JobOrder) -> Mapping[str, Any]:
        return build_request(order, self._site.deployment, self._site.settings).fields

    def _create(self, fields: Mapping[str, Any]) -> str:
        """Create a job; it is ended by :meth:`clear` even if the answer is lost."""
        self._check_time()
        name = str(fields["TrainingJobName"])
        self._names.append(name)
        try:
            self._call("CreateTrainingJob", **fields)
        except ServiceError as error:
            if error.code != "ResourceInUse":
                if not error.is_transient:
                    self._names.remove(name)
                raise
        return name

    def _refusal(self, changes: Mapping[str, Any]) -> tuple[str, str]:
        """Code and text with which a job is refused, or ``accepted``; that job is stopped at once."""
        self._n_refused += 1
        fields = merge(self._request(self._order(100 + self._n_refused)), changes)
        names: list[str] = []
        code, error = self._answer(lambda: names.append(self._create(fields)))
        for name in names:
            self._call("StopTrainingJob", TrainingJobName=name)
        return code, "" if error is None else error.text

    def _answer(self, attempt: Callable[[], object]) -> tuple[str, ServiceError | None]:
        """Code of a refusal and its error; ``accepted`` without one."""
        try:
            attempt()
        except ServiceError as error:
            if error.is_transient:
                raise
            return error.code or error.text, error
        return "accepted", None

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send a request; it is repeated if it is throttled or gets no answer."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._session.call(operation, **parameters)
            except ServiceError as error:
                if not error.is_transient or attempt == _ATTEMPTS:
                    raise
            time.sleep(self._endpoint.seconds(_POLL * attempt, at_least=_LEAST_POLL))
        raise BackendError(f"{operation} gets no answer")

    def _ended_job(self) -> str:
        """Name of one of our jobs that is over."""
        found = next((name for name in self._names if _is_over(self._describe(name))), None)
        if found is None:
            raise BackendError("no job is over")
        return found

    def _describe(self, name: str) -> Mapping[str, Any]:
        return self._call("DescribeTrainingJob", TrainingJobName=name)

    def _release_pool(self, name: str) -> None:
        keep = {"KeepAlivePeriodInSeconds": 0}
        self._call("UpdateTrainingJob", TrainingJobName=name, ResourceConfig=keep)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise BackendError(f"the {MINUTES} minutes are over")

    def _wait(self, look: Callable[[], _T | None], trouble: str, patience: float = _PATIENCE) -> _T:
        """Look again and again until there is a true value."""
        until = time.monotonic() + self._endpoint.seconds(patience, at_least=_LEAST_PATIENCE)
        while not (found := look()):
            if time.monotonic() > until:
                raise BackendError(trouble)
            self._check_time()
            time.sleep(self._endpoint.seconds(_POLL, at_least=_LEAST_POLL))
        return found

    def _until(
        self, name: str, reached: Callable[[Mapping[str, Any]], bool], patience: float = _PATIENCE
    ) -> Mapping[str, Any]:
        """Wait until a job is as wanted."""

        def look() -> Mapping[str, Any] | None:
            job = self._describe(name)
            return job if reached(job) else None

        return self._wait(look, f"the job {name} gets no further", patience)

    def _messages(self, order: JobOrder) -> list[Report | End]:
        """Messages of a run, oldest first."""
        found: list[Report | End] = []
        for stored in self._objects.list(s3_keys.REPORTS):
            key = s3_keys.decode(stored.key)
            if key and (key.trial_id, key.attempt) == (order.run.trial_id, order.run.attempt):
                found.append(
                    s3_keys.message_of(key, self._objects.get(stored.key) if key.is_in_body else None)
                )
        return found

    def _message(self, name: str, order: JobOrder, kind: type[_T]) -> _T:
        """The first report of a run, or its end."""

        def look() -> _T | None:
            job = self._describe(name)
            for message in self._messages(order):
                if isinstance(message, kind):
                    return message
                if isinstance(message, End):
                    raise BackendError(f"the script ended: {message.error or message.cause}")
            if _is_over(job):
                raise BackendError(f"{job['TrainingJobStatus']}: {job.get('FailureReason', 'no reason')}")
            return None

        return self._wait(look, f"the job {name} sends no {kind.__name__.lower()}")

    def _ask(self, name: str, order: JobOrder, request: str) -> End:
        """Send a request to a run and wait for its end."""
        self._objects.put(s3_keys.control_key(order.name.key), request.encode("ascii"))
        return self._message(name, order, End)

    def _span(self, job: Mapping[str, Any], status: str) -> float:
        """Service seconds that a job spent in a status."""
        steps = job.get("SecondaryStatusTransitions") or ()
        spans = [
            step["EndTime"] - step["StartTime"]
            for step in steps
            if step["Status"] == status and "EndTime" in step
        ]
        return sum(span.total_seconds() for span in spans) * self._endpoint.speed

    @staticmethod
    def _pool(job: Mapping[str, Any]) -> str:
        return str(job.get("WarmPoolStatus", {}).get("Status", ""))

    def _note(self, number: int, holds: bool | None, seen: str, source: str) -> None:
        state = State.NOT_SEEN if holds is None else State.CONFIRMED if holds else State.CONTRADICTED
        self._observations[number] = Observation(
            number=number, state=state, seen=self._plain(seen), source=source
        )

    def _plain(self, text: str) -> str:
        """A text without account, ARNs, keys and names of resources."""
        deployment = self._site.deployment
        image = self._site.settings.config.image_uri
        names = {deployment.role_arn: "ROLE", deployment.bucket: "BUCKET"} | (
            {image: "IMAGE"} if image else {}
        )
        for name, word in names.items():
            text = text.replace(name, word)
        for pattern, word in _PRIVATE:
            text = pattern.sub(word, text)
        return text

    # ---- the end

    def _end(self, name: str) -> bool:
        """Stop a job that runs; False if there is no such job."""
        try:
            is_over = _is_over(self._describe(name))
        except ServiceError as error:
            return error.is_transient or error.is_denied
        if not is_over:
            with suppress(ServiceError):  # it may have ended meanwhile
                self._call("StopTrainingJob", TrainingJobName=name)
        return True

    def _ended(self, name: str) -> str:
        """Wait for a job's end and release its pool; a line if that fails."""
        try:
            job = self._until(name, lambda job: _is_over(job) and _has_settled_pool(job), _CLEARING)
            if self._pool(job) == "Available":
                self._release_pool(name)
        except (ServiceError, BackendError) as error:
            return f"{name}: {error}"
        return ""


_PRIVATE: Final = (
    (re.compile(r"arn:[^\s,;'\"()]+"), "ARN"),
    (re.compile(r"\b\d{12}\b"), "ACCOUNT"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{8,}\b"), "KEY"),
    (re.compile(r"s3://[^\s/,;'\"()]+"), "s3://BUCKET"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
)


def _word(attempt: int) -> str:
    return f"attempt {attempt}"


def _value(quota: Quota | None) -> str:
    return "not listed" if quota is None else f"{quota.value:g}{' (default)' if quota.is_default else ''}"


def _is_over(job: Mapping[str, Any]) -> bool:
    return job["TrainingJobStatus"] in _OVER


def _has_trained(job: Mapping[str, Any]) -> bool:
    return job["SecondaryStatus"] not in _EARLY


def _has_settled_pool(job: Mapping[str, Any]) -> bool:
    return job.get("WarmPoolStatus", {}).get("Status") != "InUse"
