"""Files of a job to and from S3: channels, checkpoints and artifacts."""

from __future__ import annotations

import errno
import gzip
import os
import re
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from sagemaker_emulator.execution.folders import HostFolder
from sagemaker_emulator.service.executor import ExecutionError, JobRequest
from sagemaker_emulator.storage import ObjectInfo, ObjectStore, RoleObjects

Objects = ObjectStore | RoleObjects
_URI: Final = re.compile(r"s3://([^/]+)/?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class S3Uri:
    """A bucket and a key or prefix in it."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """Read ``s3://bucket/key``.

        Raises
        ------
        ValueError
            The text is not such a URI.
        """
        found = _URI.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not an S3 URI; write s3://bucket/prefix")
        return cls(found[1], found[2])

    def child(self, *parts: str) -> S3Uri:
        """The URI below this one, joined with single slashes.

        Raises
        ------
        ValueError
            A part, such as a file name, cannot be encoded as UTF-8.
        """
        for part in parts:
            try:
                part.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"the name {part!r} is not UTF-8, as keys are: rename the file") from error
        return S3Uri(self.bucket, "/".join([self.key.rstrip("/"), *parts]).lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


_DEFAULT_VOLUME_GB: Final = 30
_GIB: Final = 1 << 30
_PIECE_BYTES: Final = 1 << 20
_DOWNLOAD_FAILED = "ClientError: Data download failed:"


def download_channels(
    store: Objects,
    request: JobRequest,
    folder: HostFolder,
    shard: tuple[int, int],
    file_systems: Mapping[str, Path],
) -> int:
    """Fill ``/opt/ml/input/data`` and return the number of downloaded bytes.

    Parameters
    ----------
    store
        Source of the objects.
    request
        Request of the job.
    folder
        Folder of the instance.
    shard
        Index and number of instances, for channels that are sharded by key.
    file_systems
        Id of a file system -> folder that stands for it, to which its channels are linked.

    Raises
    ------
    ExecutionError
        A channel is empty, or of a type that the emulator does not support.
    """
    channels: list[dict[str, Any]] = request.get("InputDataConfig") or []
    volume_gb = request["ResourceConfig"].get("VolumeSizeInGB") or _DEFAULT_VOLUME_GB
    size = 0
    for channel in channels:
        source = channel["DataSource"].get("FileSystemDataSource")
        if source is None:
            size += _download_channel(store, channel, folder, shard, volume_gb)
        else:
            _link(channel["ChannelName"], source, folder, file_systems)
    return size


def download_prefix(store: Objects, uri: S3Uri, target: Path, *, is_literal: bool = False) -> int:
    """Download all objects below a folder-like prefix, if any, and return the number of bytes.

    A literal prefix without a slash at its end covers siblings as well: ``x-1`` those of ``x-10``.
    """
    prefix = uri.key if is_literal or not uri.key else f"{uri.key.rstrip('/')}/"
    found = store.objects(uri.bucket, prefix)
    return _save(store, uri.bucket, found, target, _cut(prefix, found))


def _link(name: str, source: Mapping[str, str], folder: HostFolder, file_systems: Mapping[str, Path]) -> None:
    """Link a channel to the folder that stands for its file system; below it, FSx's mount name is left out."""
    file_system, path = source["FileSystemId"], source["DirectoryPath"]
    if file_system not in file_systems:
        raise ExecutionError(
            f"{_DOWNLOAD_FAILED}channel {name}: no folder stands for the file system {file_system}; start the emulator with "
            f"--file_system {file_system}=FOLDER"
        )
    parts = [part for part in path.split("/") if part]
    if source["FileSystemType"] == "FSxLustre":
        parts = parts[1:]
    target = file_systems[file_system].absolute().joinpath(*parts)
    if ".." in parts or not target.is_dir():
        raise ExecutionError(
            f"{_DOWNLOAD_FAILED}channel {name}: there is no folder {path} in the file system {file_system}"
        )
    (folder.ml / "input" / "data" / name).symlink_to(target)


def _download_channel(
    store: Objects,
    channel: Mapping[str, Any],
    folder: HostFolder,
    shard: tuple[int, int],
    volume_gb: int,
) -> int:
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    if source is None or source.get("S3DataType", "S3Prefix") != "S3Prefix":
        raise ExecutionError(
            f"{_DOWNLOAD_FAILED}channel {name} is neither an S3Prefix nor a file system; the emulator has no other source"
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
            _decompress(target, limit=volume_gb * _GIB)
    except (OSError, EOFError, ValueError) as error:  # a key may not be a valid file name
        raise ExecutionError(f"{_DOWNLOAD_FAILED}channel {name}: {error}") from error
    return size


def _cut(prefix: str, found: Iterable[ObjectInfo]) -> int:
    """Number of leading characters of the keys that the local names leave out.

    The prefix is a folder if it ends in a slash or all keys continue with one; otherwise its last part belongs to the
    names.
    """
    folder_like = (
        not prefix or prefix.endswith("/") or all(each.key[len(prefix) :].startswith("/") for each in found)
    )
    return len(prefix) if folder_like else prefix.rfind("/") + 1


def _save(store: Objects, bucket: str, found: Iterable[ObjectInfo], target: Path, cut: int) -> int:
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


def _decompress(target: Path, *, limit: int) -> None:
    """Unpack all ``*.gz`` to at most ``limit`` bytes; raises OSError above it."""
    left = limit
    for packed in target.rglob("*.gz"):
        with gzip.open(packed) as source, packed.with_suffix("").open("wb") as plain:
            while piece := source.read(_PIECE_BYTES):
                left -= len(piece)
                if left < 0:
                    raise OSError(
                        errno.ENOSPC, f"{packed.name} does not fit on the volume: raise VolumeSizeInGB"
                    )
                plain.write(piece)
        packed.unlink()


@final
class CheckpointSync:
    """Mirrors a local folder to an S3 prefix: new, changed and deleted files. Thread-safe.

    A file counts as changed if its time or size differs. A file that changes during its upload is uploaded again.

    Parameters
    ----------
    store
        Target of the objects.
    uri
        Prefix of the checkpoints.
    folder
        The local folder; it may be missing.
    is_literal
        Whether the prefix is taken literally.
    """

    def __init__(self, store: Objects, uri: S3Uri, folder: Path, *, is_literal: bool = False) -> None:
        self._store = store
        self._is_literal = is_literal
        self._uri = uri
        self._folder = folder
        self._lock = threading.Lock()
        self._copied: dict[str, tuple[int, int]] = {}
        self._closed = False

    def pull(self) -> int:
        """Download the prefix to the folder, and return the number of bytes.

        Raises
        ------
        ExecutionError
            A key lies outside of the folder.
        """
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            size = download_prefix(self._store, self._uri, self._folder, is_literal=self._is_literal)
            self._copied = _scan(self._folder)
        return size

    def push(self) -> None:
        """Upload changes; no effect after :meth:`close`.

        Raises
        ------
        LookupError
            There is no such bucket.
        OSError
            The folder or the mirror of S3 cannot be read or written.
        ValueError
            A file name is not a valid key.
        """
        with self._lock:
            if self._closed:
                return
            present = _scan(self._folder)
            for name in [name for name, state in present.items() if self._copied.get(name) != state]:
                try:
                    body = (self._folder / name).read_bytes()
                except FileNotFoundError:  # renamed or deleted: left to the next pass
                    del present[name]
                    continue
                self._store.put(self._uri.bucket, self._uri.child(name).key, body)
            for name in self._copied.keys() - present.keys():
                self._store.delete(self._uri.bucket, self._uri.child(name).key)
            self._copied = present

    def close(self) -> None:
        """Stop mirroring, so that the removal of the folder does not delete objects."""
        with self._lock:
            self._closed = True


def _scan(folder: Path) -> dict[str, tuple[int, int]]:
    """Modification time and size of each regular file below a folder, by relative name."""
    found: dict[str, tuple[int, int]] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            file = Path(parent, name)
            try:
                state = file.stat()
            except FileNotFoundError:
                continue
            if file.is_file():
                found[file.relative_to(folder).as_posix()] = (state.st_mtime_ns, state.st_size)
    return found


_COMPRESSION_LEVEL: Final = 1
"""Checkpoints and models hardly shrink, so speed matters more."""


def upload_artifacts(store: Objects, request: JobRequest, name: str, hosts: Sequence[HostFolder]) -> str:
    """Upload the model and the output, if any, of a job; return the URI of the model.

    Raises
    ------
    ExecutionError
        The output path is invalid, or an archive cannot be written.
    """
    config = request["OutputDataConfig"]
    key: str = config.get("KmsKeyId", "")
    try:
        target = S3Uri.parse(config["S3OutputPath"]).child(name, "output")
        models, outputs = (
            [host.ml / "model" for host in hosts],
            [host.ml / "output" / "data" for host in hosts],
        )
        if config.get("CompressionType", "GZIP") == "NONE":
            _upload_files(store, models, target.child("model"), key)
            _upload_files(store, outputs, target.child("data"), key)
            return f"{target.child('model')}/"
        model = target.child("model.tar.gz")
        _upload_archive(store, models, model, key)
        if any(any(folder.iterdir()) for folder in outputs if folder.is_dir()):
            _upload_archive(store, outputs, target.child("output.tar.gz"), key)
    except (ValueError, LookupError, OSError) as error:
        raise ExecutionError(f"ClientError: Artifact upload failed: {error}") from error
    return str(model)


def _upload_archive(store: Objects, folders: Sequence[Path], uri: S3Uri, kms_key: str) -> None:
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=_COMPRESSION_LEVEL) as archive:
            for folder in folders:
                for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
                    archive.add(entry, entry.name)
        packed.seek(0)
        store.put(uri.bucket, uri.key, packed.read(), content_type="application/x-tar", kms_key=kms_key)


def _upload_files(store: Objects, folders: Sequence[Path], uri: S3Uri, kms_key: str) -> None:
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.is_symlink():
                name = uri.child(file.relative_to(folder).as_posix()).key
                store.put(uri.bucket, name, file.read_bytes(), kms_key=kms_key)
