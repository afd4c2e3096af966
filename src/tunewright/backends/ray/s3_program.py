"""Program of a Ray job whose work is in S3: it fetches code and configuration, shows life, and becomes the runner.

    python3 -c "$TUNEWRIGHT_PROGRAM" CODE BEAT SHA256 MODE HYPERPARAMETERS

It runs on nodes without Tunewright, on Python 3.9 or newer, with the standard library; boto3 is installed if it is missing.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

PROGRAM_VARIABLE = "TUNEWRIGHT_PROGRAM"
"""Variable that brings this file to a job; in the job's command Ray would log it."""
BEAT_SECONDS = 15.0
"""Between two signs of life."""
UNSEEN_EXIT = 66
"""Exit code of a job that does not find its work (EX_NOINPUT)."""


def say(text: str) -> None:
    """Write a line into the job's log."""
    sys.stderr.write(f"[tunewright] {text}\n")


def connect(base: Path) -> Any:
    """Create a client of S3."""
    if importlib.util.find_spec("boto3") is None:
        packages = base / "boto3"
        install = [sys.executable, "-m", "pip", "install", "-q", "--target", str(packages), "boto3"]
        subprocess.run(install, check=True)
        sys.path.append(str(packages))
        importlib.invalidate_caches()
    boto3, config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
    style = {"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else None
    return boto3.client("s3", region_name=os.environ.get("AWS_REGION"), config=config.Config(s3=style))


def place_of(address: str) -> dict[str, str]:
    """Bucket and key of ``s3://bucket/key``."""
    bucket, _, key = address[len("s3://") :].partition("/")
    return {"Bucket": bucket, "Key": key}


def fetch(client: Any, code: str, folder: Path) -> None:
    """Download the objects below an address."""
    bucket, prefix = place_of(code).values()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", ()):
            target = folder / found["Key"][len(prefix) :]
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, found["Key"], str(target))


def show_life(client: Any, beat: str) -> None:
    """Change an object until the process ends."""
    number = 0
    while not threading.Event().wait(BEAT_SECONDS):
        number += 1
        try:
            client.put_object(**place_of(beat), Body=str(number).encode())
        except Exception as error:
            say(f"no sign of life: {error}")


def run(base: Path, code: str, beat: str, sha256: str, mode: str, hyperparameters: str) -> None:
    """Fetch the work of a job into a folder and become its runner.

    Parameters
    ----------
    base
        The folder.
    code
        Address of the code.
    beat
        Address of the job's sign of life.
    sha256
        Digest of the runner that the tuner stored.
    mode
        That of the runner.
    hyperparameters
        The runner's, as JSON.
    """
    inputs = base / "input" / "data" / "code"
    try:
        client = connect(base)
        fetch(client, code, inputs)
        client.put_object(**place_of(beat), Body=b"0")
    except Exception as error:
        say(f"This node cannot use {code}: {type(error).__name__}: {error}")
        sys.exit(UNSEEN_EXIT)
    runner = inputs / "runner.pyz"
    if hashlib.sha256(runner.read_bytes()).hexdigest() != sha256:
        sys.exit("[tunewright] The runner in S3 was changed: it was not run")
    parameters = base / "input" / "config" / "hyperparameters.json"
    parameters.parent.mkdir(parents=True)
    parameters.write_text(hyperparameters)
    threading.Thread(target=show_life, args=(client, beat), daemon=True).start()
    sys.argv = [str(runner), mode, str(base)]
    runpy.run_path(str(runner), run_name="__main__")


def main() -> None:
    """Do what the arguments say, in a folder that is deleted afterwards."""
    os.environ.pop(PROGRAM_VARIABLE, None)
    base = Path(tempfile.mkdtemp(prefix="tunewright-"))
    try:
        run(base, *sys.argv[1:])
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
