"""From S3 into a job's folder: channels and checkpoints."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sagemaker_emulator.contracts import ExecutionError, JobRequest
from sagemaker_emulator.execution.folders import HostFolder
from sagemaker_emulator.execution.s3uri import S3Uri
from sagemaker_emulator.storage import ObjectInfo, ObjectStore

_DOWNLOAD_FAILED = "ClientError: Data download failed:"


def download_channels(
    store: ObjectStore, request: JobRequest, folder: HostFolder, shard: tuple[int, int]
) -> int:
    """Fill ``/opt/ml/input/data`` and return the bytes that were read.

    Parameters
    ----------
    store
        Where the objects are.
    request
        The job's request.
    folder
        Folder of the instance.
    shard
        Number of the instance and how many there are, for channels that are sharded by key.

    Raises
    ------
    ExecutionError
        A channel names nothing, or is of a kind that the emulator does not have.
    """
    return sum(
        _download_channel(store, channel, folder, shard) for channel in request.get("InputDataConfig") or []
    )


def download_prefix(store: ObjectStore, uri: S3Uri, target: Path) -> int:
    """Copy all objects below a folder-like prefix and return the bytes that were read; none is no error."""
    prefix = f"{uri.key.rstrip('/')}/" if uri.key else ""
    return _save(store, uri.bucket, store.objects(uri.bucket, prefix), target, len(prefix))


def _download_channel(
    store: ObjectStore, channel: Mapping[str, Any], folder: HostFolder, shard: tuple[int, int]
) -> int:
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    if source is None or source.get("S3DataType", "S3Prefix") != "S3Prefix":
        raise ExecutionError(
            f"{_DOWNLOAD_FAILED}channel {name} is not an S3Prefix; the emulator has no other source"
        )
    try:
        uri = S3Uri.parse(source["S3Uri"])
    except ValueError as error:
        raise ExecutionError(f"{_DOWNLOAD_FAILED}channel {name}: {error}") from error
    found = [each for each in store.objects(uri.bucket, uri.key) if not each.key.endswith("/")]
    if not found:
        raise ExecutionError(
            f'{_DOWNLOAD_FAILED}No S3 objects found under S3 URL "{uri}" given in input data source. '
            f"Upload the data of channel {name} there, or correct its S3Uri."
        )
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        found = found[shard[0] :: shard[1]]
    target = folder.ml / "input" / "data" / name
    target.mkdir(exist_ok=True)
    try:
        size = _save(store, uri.bucket, found, target, _cut(uri.key, found))
        if channel.get("CompressionType") == "Gzip":
            _decompress(target)
    except (OSError, EOFError, ValueError) as error:  # a key may hold what no file name may
        raise ExecutionError(f"{_DOWNLOAD_FAILED}channel {name}: {error}") from error
    return size


def _cut(prefix: str, found: Iterable[ObjectInfo]) -> int:
    """How many characters of the keys are not part of the local names.

    The prefix is a folder when it ends in a slash or all keys go on with one; otherwise its last part belongs to names.
    """
    folder_like = (
        not prefix or prefix.endswith("/") or all(each.key[len(prefix) :].startswith("/") for each in found)
    )
    return len(prefix) if folder_like else prefix.rfind("/") + 1


def _save(store: ObjectStore, bucket: str, found: Iterable[ObjectInfo], target: Path, cut: int) -> int:
    size = 0
    for each in found:
        parts = [part for part in each.key[cut:].split("/") if part]
        if not parts or each.key.endswith("/"):
            continue
        if not {".", ".."}.isdisjoint(parts):
            raise ExecutionError(
                f"{_DOWNLOAD_FAILED}the key {each.key} would leave its folder; rename the object"
            )
        file = target.joinpath(*parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        size += file.write_bytes(store.get(bucket, each.key))
    return size


def _decompress(target: Path) -> None:
    for packed in target.rglob("*.gz"):
        with gzip.open(packed) as source, packed.with_suffix("").open("wb") as plain:
            shutil.copyfileobj(source, plain)
        packed.unlink()
