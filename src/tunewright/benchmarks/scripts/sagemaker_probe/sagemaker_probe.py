"""Look at a training job from its inside, for ``tunewright sagemaker verify``.

A training script like any other: it loads a checkpoint, saves one, reports ``epoch`` and ``facts``, and runs until it is ended. Of
environment variables it reports names, never values, except for the job's name and region.

Runs on Python 3.9 and newer; boto3, torch and SageMaker's toolkit are looked at if they are there.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import uuid
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tunewright.report import load_newest, report, save_checkpoint

LINE = "tunewright-verify printed at"
"""Begins the line by which the delay of the log is measured; the time follows, in seconds since 1970."""
BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml")
KEPT = {"first.bin": 1 << 20, "folder/second.bin": 1000, "folder/third.bin": 1}
"""Files, and their bytes, of the folder that the service copies to S3."""
PLATFORM = ("AWS_", "SAGEMAKER_", "SM_", "TRAINING_", "ECS_")
"""Beginnings of the names of variables that a platform sets."""
TOOLKIT = """
import json
from sagemaker_training import environment
print(json.dumps(sorted(environment.Environment().to_env_vars())))
"""


def parse_arguments() -> argparse.Namespace:
    """Read the hyperparameters; others only fill the request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--look", type=int, default=0)
    parser.add_argument("--word", default="")
    parser.add_argument("--seconds", type=float, default=1.0)
    return parser.parse_known_args()[0]


def installed(package: str) -> str:
    """Version of a package; empty if it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def is_writable(folder: Path) -> bool:
    """Whether a file can be written and removed again."""
    file = folder / f"probe-{uuid.uuid4().hex}"
    try:
        file.write_bytes(b"1")
        file.unlink()
    except OSError:
        return False
    return True


def platform_variables() -> list[str]:
    """Names of the variables that the runner got, without those of its own."""
    try:
        entries = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
    names = {entry.partition(b"=")[0].decode("ascii", "replace") for entry in entries}
    return sorted(name for name in names if name.startswith(PLATFORM))


def gpus() -> dict[str, int]:
    """Number of GPUs, by each way to count them that there is."""
    found: dict[str, int] = {}
    folder = Path("/proc/driver/nvidia/gpus")
    if folder.is_dir():
        found["/proc/driver/nvidia/gpus"] = len(list(folder.iterdir()))
    if shutil.which("nvidia-smi"):
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False, timeout=60
        )
        found["nvidia-smi"] = len(listed.stdout.splitlines()) if listed.returncode == 0 else 0
    if found and importlib.util.find_spec("torch"):
        found["torch"] = int(importlib.import_module("torch").cuda.device_count())
    return found


def missing_variables() -> Any:
    """Names of the toolkit's variables that this script does not have; None without the toolkit."""
    if not importlib.util.find_spec("sagemaker_training"):
        return None
    done = subprocess.run(
        [sys.executable, "-c", TOOLKIT], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        return None
    return [name for name in json.loads(done.stdout.splitlines()[-1]) if name not in os.environ]


def host() -> dict[str, bool]:
    """Whether the first host has an address, and whether this machine has the name of its host."""
    try:
        has_address = bool(socket.gethostbyname(json.loads(os.environ["SM_HOSTS"])[0]))
    except OSError:
        has_address = False
    return {"has_address": has_address, "is_named": socket.gethostname() == os.environ["SM_CURRENT_HOST"]}


def conditional_writes() -> dict[str, Any]:
    """Answers to four conditional writes with the boto3 of the image."""
    if not importlib.util.find_spec("boto3"):
        return {"knows": False, "answers": []}
    config = importlib.import_module("botocore.config").Config(
        s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else None
    )
    client = importlib.import_module("boto3").client(
        "s3", region_name=os.environ.get("AWS_REGION"), config=config
    )
    members = client.meta.service_model.operation_model("PutObject").input_shape.members
    if not {"IfNoneMatch", "IfMatch"} <= set(members):
        return {"knows": False, "answers": []}
    bucket, _, prefix = os.environ["TUNEWRIGHT_S3"][len("s3://") :].partition("/")
    owner = os.environ.get("TUNEWRIGHT_S3_OWNER")
    place = {"Bucket": bucket, "Key": f"{prefix}probe/{uuid.uuid4().hex}"}
    if owner:
        place["ExpectedBucketOwner"] = owner
    answers: list[str] = []

    def put(body: bytes, **condition: str) -> str:
        try:
            etag = str(client.put_object(**place, Body=body, **condition)["ETag"])
        except client.exceptions.ClientError as error:
            answers.append(str(error.response["ResponseMetadata"]["HTTPStatusCode"]))
            return ""
        answers.append("written")
        return etag

    etag = put(b"1", IfNoneMatch="*")
    put(b"2", IfNoneMatch="*")
    put(b"3", IfMatch=etag)
    put(b"4", IfMatch=etag)
    return {"knows": True, "answers": answers}


def keep_files() -> dict[str, int]:
    """Fill the folder that the service copies to S3."""
    for name, size in KEPT.items():
        file = BASE / "kept" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)
    return dict(KEPT)


def look() -> dict[str, Any]:
    """Everything about the job that ``verify`` compares."""
    found = shutil.which("python3")
    code = BASE / "input" / "data" / "code" / "source"
    return {
        "python": platform.python_version(),
        "is_python_of_path": bool(found) and os.path.realpath(str(found)) == os.path.realpath(sys.executable),
        "torch": installed("torch"),
        "boto3": installed("boto3"),
        "is_in_channel": Path.cwd().resolve() == code.resolve(),
        "is_writable": is_writable(Path.cwd()),
        "runner": os.getppid(),
        "variables": platform_variables(),
        "job": os.environ.get("TRAINING_JOB_NAME", ""),
        "region": os.environ.get("AWS_REGION", ""),
        "gpus": gpus(),
        "missing": missing_variables(),
        "host": host(),
        "writes": conditional_writes(),
        "kept": keep_files(),
        "files": sorted(path.name for path in (BASE / "input" / "config").glob("*")),
        "disk_gb": round(shutil.disk_usage(str(BASE)).total / 1e9, 1),
    }


def main() -> None:
    """Report once, and run until the runner ends this process."""
    arguments = parse_arguments()
    saved = load_newest()
    step = 1 + (saved.step if saved else 0)
    facts = look() if arguments.look else {}
    save_checkpoint(step, {"word": arguments.word})
    sys.stdout.write(f"{LINE} {time.time():.3f}\n")
    report(epoch=step, step=step, facts={**facts, "restored": saved.state["word"] if saved else ""})
    ends = time.monotonic() + arguments.seconds
    while time.monotonic() < ends:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
