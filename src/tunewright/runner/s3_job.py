"""The runner of a run inside a training job: ``runner.pyz sagemaker /opt/ml``."""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, final

from .channel import Channel, muted_unless
from .contract import S3_VARIABLE, WORKER_VARIABLE, BucketTerms, apply_terms
from .job_secrets import read_secrets, with_secrets
from .restarts import Restarts
from .run_order import RunOrder
from .s3_channel import S3Channel, S3Clock, S3Place
from .supervisor import supervise
from .training_job import (
    cache_folder,
    config_text,
    is_main_host,
    job_order,
    read_job,
    run_facts,
    run_program,
    write_failure,
)

_ATTEMPTS = 8
_PACKAGES = {"boto3", "botocore", "s3transfer"}
"""Packages that must be of the same time."""


@final
class S3Client:
    """A boto3 client of S3 that is made when it is first used, so that the script need not wait for it."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._client is None:
            self._client = _connect(self._cache)
        return getattr(self._client, name)


def main(arguments: list[str]) -> int:
    """Run the job's script.

    Parameters
    ----------
    arguments
        The folder that is ``/opt/ml``.

    Returns
    -------
    int
        The script's exit code; 0 if the runner ended it.
    """
    return run_program("The runner", _run, arguments)


def _run(base: Path) -> int:
    job = read_job(base)
    facts = run_facts()
    client = S3Client(cache_folder(base))
    source = tuple(facts.pop("source") or ()) or None
    restarts = facts.pop("restarts", False)
    order = job_order(base, job, _config(base, client), facts)
    order = with_secrets(order, read_secrets(job, lambda: load_boto3(cache_folder(base))))
    place = place_of(job)
    clock = S3Clock(client, place.bucket, place.prefix)
    is_main = is_main_host(base)
    if not restarts:
        channel = S3Channel(client, place, order, source, clock=clock)
        return _supervise(order, muted_unless(is_main, channel))
    claims = Restarts(client, place.bucket, place.prefix, order)
    start = claims.begin(source, is_main=is_main)
    restartable = S3Channel(
        client, place, start.order, start.source, restarts=claims, stored=start.stored, clock=clock
    )
    channel_of_start = muted_unless(is_main, restartable)
    if start.end is None:
        return _supervise(start.order, channel_of_start)
    if start.end.error and is_main:
        write_failure(base, start.end.error)
    channel_of_start.send_end(start.end)
    return start.end.exit


def _supervise(order: RunOrder, channel: Channel) -> int:
    return supervise(order, channel, (sys.stdout.buffer, sys.stderr.buffer)).exit


def place_of(job: dict[str, Any]) -> S3Place:
    """Where the experiment's objects lie, from the environment and the job's file."""
    bucket, _, prefix = os.environ[S3_VARIABLE][len("s3://") :].partition("/")
    return S3Place(
        bucket,
        prefix,
        job["poll_seconds"],
        job["checkpoint_seconds"],
        job.get("report_shards", 1),
        job.get("abandon_seconds", 0.0),
    )


def _config(base: Path, client: S3Client) -> dict[str, Any]:
    text = config_text(base)
    if text.startswith("s3://"):
        bucket, _, key = text[len("s3://") :].partition("/")
        text = client.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8")
    config: dict[str, Any] = json.loads(text)
    return config


def load_boto3(cache: Path) -> Any:
    """The image's boto3; an image that has none installs it first."""
    try:
        return importlib.import_module("boto3")
    except ModuleNotFoundError:
        sys.path.append(_install(cache))
        return importlib.import_module("boto3")


def _connect(cache: Path) -> Any:
    """A client of S3; if boto3 is too old for the conditional writes of a worker, another one is installed first."""
    client = _client(cache)
    if WORKER_VARIABLE in os.environ and not _knows_conditions(client):
        sys.path.insert(0, _install(cache))
        for name in [name for name in sys.modules if name.partition(".")[0] in _PACKAGES]:
            del sys.modules[name]
        client = _client(cache)
    terms = BucketTerms.of_environment()
    apply_terms(client, lambda _: terms)
    return client


def _client(cache: Path) -> Any:
    boto3 = load_boto3(cache)
    config = importlib.import_module("botocore.config").Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else None,
    )
    gc.disable()  # else a third of the time goes into searching the models of S3 for garbage
    try:
        return boto3.client("s3", region_name=os.environ.get("AWS_REGION"), config=config)
    finally:
        gc.enable()


def _knows_conditions(client: Any) -> bool:
    """Whether PutObject has If-None-Match and If-Match, of August and November 2024."""
    members = client.meta.service_model.operation_model("PutObject").input_shape.members
    return "IfNoneMatch" in members and "IfMatch" in members


def _install(cache: Path) -> str:
    """Install the newest boto3 into a folder of its own; return the folder."""
    folder = str(cache / "boto3")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", folder, "boto3"]
    subprocess.run(command, check=True)
    importlib.invalidate_caches()
    return folder
