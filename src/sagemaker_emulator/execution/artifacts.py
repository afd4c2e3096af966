"""What a job leaves in S3: ``model.tar.gz`` and ``output.tar.gz``, or the files themselves."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sagemaker_emulator.contracts import ExecutionError, JobRequest
from sagemaker_emulator.execution.folders import HostFolder
from sagemaker_emulator.execution.s3uri import S3Uri
from sagemaker_emulator.storage import ObjectStore

_COMPRESSION_LEVEL: Final = 1
"""Checkpoints and models hardly shrink; what counts is the time."""


def upload_artifacts(store: ObjectStore, request: JobRequest, name: str, hosts: Sequence[HostFolder]) -> str:
    """Upload the model and, when there is any, the output of a job; return the URI of the model.

    Raises
    ------
    ExecutionError
        The output path names no bucket, or an archive could not be written.
    """
    config = request["OutputDataConfig"]
    try:
        target = S3Uri.parse(config["S3OutputPath"]).child(name, "output")
        models, outputs = (
            [host.ml / "model" for host in hosts],
            [host.ml / "output" / "data" for host in hosts],
        )
        if config.get("CompressionType", "GZIP") == "NONE":
            _upload_files(store, models, target.child("model"))
            _upload_files(store, outputs, target.child("data"))
            return f"{target.child('model')}/"
        model = target.child("model.tar.gz")
        _upload_archive(store, models, model)
        if any(any(folder.iterdir()) for folder in outputs if folder.is_dir()):
            _upload_archive(store, outputs, target.child("output.tar.gz"))
    except (ValueError, LookupError, OSError) as error:
        raise ExecutionError(f"ClientError: Artifact upload failed: {error}") from error
    return str(model)


def _upload_archive(store: ObjectStore, folders: Sequence[Path], uri: S3Uri) -> None:
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=_COMPRESSION_LEVEL) as archive:
            for folder in folders:
                for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
                    archive.add(entry, entry.name)
        packed.seek(0)
        store.put(uri.bucket, uri.key, packed.read(), content_type="application/x-tar")


def _upload_files(store: ObjectStore, folders: Sequence[Path], uri: S3Uri) -> None:
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.is_symlink():
                store.put(uri.bucket, uri.child(file.relative_to(folder).as_posix()).key, file.read_bytes())
