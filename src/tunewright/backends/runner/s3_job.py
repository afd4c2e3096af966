"""The runner of a run inside a training job: ``runner.pyz sagemaker /opt/ml``."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, final

from .job import cache_folder, code_folder, failure_file, run_program, write_failure
from .order import RunOrder
from .s3_channel import MutedChannel, S3Channel, S3Place
from .s3_clock import S3Clock
from .s3_lives import S3Lives
from .supervisor import supervise

CONFIG_PARAMETER = "tunewright_config"
"""Hyperparameter of the whole configuration: JSON, or the S3 address of it."""
RUN_VARIABLE = "TUNEWRIGHT_RUN"
"""Environment variable of the run: JSON."""
PLACE_VARIABLE = "TUNEWRIGHT_S3"
"""Environment variable of the experiment's place: ``s3://bucket/prefix/``."""
JOB_FILE = "job.json"
"""File of the code channel that holds what is the same for all runs of an experiment."""
SOURCE = "source"
"""Folder of the code channel that holds the user's script."""

_ATTEMPTS = 8


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
        The script's exit code; 0 where the runner ended it.
    """
    return run_program("The runner", _run, arguments)


def _run(base: Path) -> int:
    code = code_folder(base)
    job = json.loads((code / JOB_FILE).read_text(encoding="utf-8"))
    facts = json.loads(os.environ[RUN_VARIABLE])
    cache = cache_folder(base)
    client = S3Client(cache)
    source = tuple(facts.pop("source") or ()) or None
    restarts = facts.pop("restarts", False)
    order = RunOrder(
        config=_config(base, client),
        checkpoint_dir=str(base / "checkpoints"),
        config_file=str(base / "config.json"),
        import_paths=[str(code / SOURCE)],
        cwd=str(code / SOURCE),
        base_dir=str(base),
        cache_dir=str(cache),
        failure_file=str(failure_file(base)),
        **job["order"],
        **facts,
    )
    place = place_of(job)
    clock = S3Clock(client, place.bucket, place.prefix)
    is_main = _is_main_host(base)
    if restarts:
        lives = S3Lives(client, place.bucket, place.prefix, order)
        return _live(lives, (client, place, clock), source, is_main)
    heard = S3Channel(client, place, order, source, clock=clock)
    channel = heard if is_main else MutedChannel(heard)
    return supervise(order, channel, (sys.stdout.buffer, sys.stderr.buffer)).exit


def _live(
    lives: S3Lives, where: tuple[Any, S3Place, S3Clock], source: tuple[int, int] | None, is_main: bool
) -> int:
    """One of maybe several lives of a job that the service may start again."""
    life = lives.begin(source, is_main=is_main)
    client, place, clock = where
    heard = S3Channel(client, place, life.order, life.source, lives=lives, stored=life.stored, clock=clock)
    channel = heard if is_main else MutedChannel(heard)
    end = life.end
    if end is None:
        return supervise(life.order, channel, (sys.stdout.buffer, sys.stderr.buffer)).exit
    if end.error and is_main:
        write_failure(Path(life.order.base_dir), end.error)
    channel.send_end(end)
    return end.exit


def place_of(job: dict[str, Any]) -> S3Place:
    """Where the experiment's objects lie, from the environment and the job's file."""
    bucket, _, prefix = os.environ[PLACE_VARIABLE][len("s3://") :].partition("/")
    return S3Place(bucket, prefix, job["poll_seconds"], job["checkpoint_seconds"])


def _config(base: Path, client: S3Client) -> dict[str, Any]:
    file = base / "input" / "config" / "hyperparameters.json"
    text: str = json.loads(file.read_text(encoding="utf-8"))[CONFIG_PARAMETER]
    if text.startswith("s3://"):
        bucket, _, key = text[len("s3://") :].partition("/")
        text = client.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8")
    config: dict[str, Any] = json.loads(text)
    return config


def _is_main_host(base: Path) -> bool:
    """Whether this instance reports for the job: the first of its hosts."""
    file = base / "input" / "config" / "resourceconfig.json"
    if not file.is_file():
        return True
    resources = json.loads(file.read_text(encoding="utf-8"))
    return bool(resources["current_host"] == sorted(resources["hosts"])[0])


def _connect(cache: Path) -> Any:
    """A client from the image's boto3; an image that has none installs it first."""
    try:
        boto3 = importlib.import_module("boto3")
    except ModuleNotFoundError:
        folder = cache / "boto3"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), "boto3"]
        subprocess.run(command, check=True)
        sys.path.append(str(folder))
        importlib.invalidate_caches()
        boto3 = importlib.import_module("boto3")
    config = importlib.import_module("botocore.config").Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else None,
    )
    return boto3.client("s3", region_name=os.environ.get("AWS_REGION"), config=config)
