"""Work of Ray's jobs in S3, for clusters without a shared folder: the runner and the channel are those of SageMaker's jobs."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from typing_extensions import override

from tunewright.aws import AwsSession, Endpoint, EndpointKind, S3Objects, ServiceError
from tunewright.backends.engine.folder_channel import FolderOrder
from tunewright.backends.engine.job_service import JobOrder
from tunewright.backends.engine.worker_jobs import WorkerTimes
from tunewright.backends.ray import s3_program
from tunewright.backends.ray.config import RayConfig
from tunewright.backends.ray.places import Entry, Place
from tunewright.backends.ray.s3_program import BEAT_SECONDS, PROGRAM_VARIABLE
from tunewright.backends.s3.code import bundle_code, size_problem, sources_of, upload_code
from tunewright.backends.s3.orders import run_facts, script_config
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import BackendError, SettingsError
from tunewright.runner.contract import (
    CODE_VARIABLE,
    CONFIG_PARAMETER,
    RUN_VARIABLE,
    S3_VARIABLE,
    WORKER_VARIABLE,
    Mode,
)

_BEATS: Final = "beats/"
"""Signs of life, below the experiment's prefix."""
_LISTED_SECONDS: Final = 1.0
"""One listing brings the signs of all jobs; it is used for so long."""
_POLL_SECONDS: Final = 2.0
_MAX_CODE_MB: Final = 100
_PASSED_ON: Final = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""Variables of the tuner that jobs get: where S3 is. Credentials are those of the nodes."""
_DEFAULT_REGION: Final = "us-east-1"


@final
@dataclass(frozen=True, slots=True)
class S3Address:
    """A bucket with a prefix."""

    bucket: str
    prefix: str
    """Without slashes at its ends."""

    @staticmethod
    def parse(text: str) -> S3Address:
        """Read ``s3://bucket/prefix``.

        Raises
        ------
        SettingsError
            There is no bucket.
        """
        bucket, _, prefix = text.removeprefix("s3://").partition("/")
        if not bucket:
            raise SettingsError(f"shared_folder={text!r} names no bucket: write s3://BUCKET/PREFIX")
        return S3Address(bucket, prefix.strip("/"))

    def objects(self, session: AwsSession, *names: str) -> S3Objects:
        """The objects below it, or below a name in it."""
        return session.objects(self.bucket, "/".join(filter(None, (self.prefix, *names))))


def open_s3() -> AwsSession:
    """Clients of S3 by boto3's own rules; no request is sent.

    Raises
    ------
    MissingExtraError
        boto3 is not installed.
    """
    url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION
    kind = EndpointKind.OTHER if url else EndpointKind.AWS
    return AwsSession(Endpoint(kind=kind, region=region, url=url))


def s3_objects(config: RayConfig, experiment: str, session: AwsSession) -> S3Objects:
    """The objects of an experiment.

    Raises
    ------
    SettingsError
        The address names no bucket.
    """
    return S3Address.parse(config.shared_folder).objects(session, experiment)


@final
class S3Place(Place):
    """Code, configurations and signs of life as S3 objects.

    Parameters
    ----------
    benchmark
        The script; its folder goes with it.
    config
        ``shared_folder`` is an address.
    experiment
        Unique name; a part of the prefix.
    session
        From :func:`open_s3`.
    workers
        Times of workers; None: each run is a job.

    Raises
    ------
    SettingsError
        There is no such script, the files beside it are too large, or there are local inputs.
    """

    signs_seconds = 3 * BEAT_SECONDS
    unseen_remedy = (
        "let the nodes read and write the bucket of --shared_folder, by a role or by variables of --runtime_env, "
        "and give --python a Python with boto3 or with pip"
    )

    def __init__(
        self,
        benchmark: RealBenchmarkDefinition,
        config: RayConfig,
        experiment: str,
        session: AwsSession,
        workers: WorkerTimes | None,
    ) -> None:
        if benchmark.inputs:
            raise SettingsError(
                f"The input {next(iter(benchmark.inputs))} is a folder of this machine: with {config.shared_folder} let the script fetch it"
            )
        address = S3Address.parse(config.shared_folder)
        self.objects: Final = address.objects(session, experiment)
        self._root = address.objects(session)
        self._experiment = experiment
        self._benchmark = benchmark
        self._config = config
        self._workers = workers
        sources = sources_of(benchmark.script, [Path(one) for one in benchmark.dependencies])
        if problem := size_problem(sources.files, _MAX_CODE_MB):
            raise SettingsError(problem.partition(", or give --max_code_mb")[0])
        self._code = bundle_code(sources, _job_file(benchmark, config))
        self._beats: dict[str, tuple[str, float]] = {}
        """By key: a sign of life, and seconds since 1970."""
        self._listed_at = 0.0

    @override
    def prepare(self) -> None:
        """Store the code."""
        try:
            upload_code(self._root, self._code, self._experiment)
        except ServiceError as error:
            remedy = f": {error.remedy}" if error.remedy else ""
            raise BackendError(
                f"The code cannot be stored in {self._root.uri()} ({error}){remedy}"
            ) from error

    @override
    def put(self, order: FolderOrder, name: str) -> Entry:
        """Store the configuration; a worker has none."""
        if isinstance(order, JobOrder):
            text = json.dumps(script_config(order, self._benchmark))
            self.objects.put(_config_key(order.key), text.encode("ascii"))
        return self.entry(order, name)

    @override
    def entry(self, order: FolderOrder, name: str) -> Entry:
        variables = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
        variables |= self._benchmark.environment
        variables |= {
            S3_VARIABLE: self.objects.uri(),
            CODE_VARIABLE: self._code.digest,
            PROGRAM_VARIABLE: Path(s3_program.__file__).read_text(encoding="utf-8"),
        }
        if isinstance(order, JobOrder):
            mode = Mode.S3
            variables[RUN_VARIABLE] = json.dumps(run_facts(order))
        else:
            mode = Mode.WORKER
            variables |= {
                WORKER_VARIABLE: json.dumps(self._worker_facts(order.number)),
                "TRAINING_JOB_NAME": name,
            }
        arguments = (
            self._root.uri(self._code.prefix),
            self.objects.uri(_BEATS + order.key),
            self._code.runner_sha256,
            mode.value,
            json.dumps({CONFIG_PARAMETER: self.objects.uri(_config_key(order.key))}),
        )
        # the runner is in the bundle: no Python of the tuner is needed, and none of its paths
        python = self._config.python or "python3"
        command = f'exec {shlex.quote(python)} -c "${PROGRAM_VARIABLE}" {shlex.join(arguments)}'
        return Entry(command=command, variables=variables)

    @override
    def begun(self) -> dict[str, float]:
        self._list()
        return {key: modified for key, (_, modified) in self._beats.items()}

    @override
    def heartbeat(self, key: str) -> str:
        """The ETag of the job's object."""
        if time.monotonic() - self._listed_at > _LISTED_SECONDS:
            self._list()
        return self._beats.get(key, ("", 0.0))[0]

    def _list(self) -> None:
        found = self.objects.list(_BEATS)
        self._beats = {one.key.removeprefix(_BEATS): (one.etag, one.modified) for one in found}
        self._listed_at = time.monotonic()

    def _worker_facts(self, number: int) -> Mapping[str, Any]:
        """Parameters of a worker, as :class:`~tunewright.runner.worker.WorkerFacts` has them."""
        times = self._workers
        if times is None:
            raise BackendError("A job of workers in jobs mode")
        return {
            "number": number,
            "slots": 1,
            "lease_seconds": times.lease,
            "take_seconds": times.take,
            "hand_over_seconds": times.hand_over,
            "abandon_seconds": self._config.abandon_after,
            "max_run_seconds": 0.0,
        }


def _config_key(key: str) -> str:
    return f"configs/{key}.json"


def _job_file(benchmark: RealBenchmarkDefinition, config: RayConfig) -> Mapping[str, Any]:
    """The settings that all runs share, beside the code."""
    return {
        "order": {
            "resource_attr": benchmark.resource_attr or "",
            "metric": benchmark.metrics[0].name if len(benchmark.metrics) == 1 else "",
            "arguments": benchmark.argument_style,
        },
        "poll_seconds": _POLL_SECONDS,
        "checkpoint_seconds": config.checkpoint_seconds,
        "report_shards": 1,
        "abandon_seconds": config.abandon_after,
    }
