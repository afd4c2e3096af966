"""Objects of S3 on disk: one file per object, written atomically, with names that cannot leave the folder.

A file is one line of JSON (name, entity tag, time, headers) followed by the bytes of the object, so that object and
metadata always agree. Its name is a digest of the key plus the readable end of the key.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, final

_BUCKET_FILE: Final = "bucket.json"
_OBJECT_SUFFIX: Final = ".object"
_SCRATCH_SUFFIX: Final = ".tmp"
_PLAIN_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,62}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_READABLE_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """Metadata of an object."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Entity tag, without quotes."""
    modified: datetime
    """Time of the last write, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object on disk."""

    info: ObjectInfo
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Content type and user metadata."""
    kms_key: str = ""
    """Key of SSE-KMS; empty: the object has none."""


@final
class FolderMirror:
    """Buckets as folders and objects as files; not thread-safe, its owner holds a lock.

    Parameters
    ----------
    directory
        Folder of all buckets; created if missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for torn in directory.glob(f"*/*{_SCRATCH_SUFFIX}"):
            torn.unlink(missing_ok=True)

    def buckets(self) -> Iterator[tuple[str, str, str]]:
        """Name, region and owner of each bucket; the owner is empty in files of earlier versions."""
        for file in sorted(self._directory.glob(f"*/{_BUCKET_FILE}")):
            bucket = json.loads(file.read_text())
            yield bucket["name"], bucket["region"], bucket.get("owner", "")

    def create_bucket(self, name: str, region: str, owner: str) -> None:
        """Create the folder of a bucket."""
        folder = self._bucket_folder(name)
        folder.mkdir(exist_ok=True)
        write_atomically(
            folder / _BUCKET_FILE, json.dumps({"name": name, "region": region, "owner": owner}).encode()
        )

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket with its objects."""
        shutil.rmtree(self._bucket_folder(name), ignore_errors=True)

    def objects(self, bucket: str) -> Iterator[StoredObject]:
        """All objects of a bucket; torn and foreign files are skipped."""
        for file in self._bucket_folder(bucket).glob(f"*{_OBJECT_SUFFIX}"):
            head, _, body = file.read_bytes().partition(b"\n")
            try:
                fields = json.loads(head)
                fields["modified"] = datetime.fromisoformat(fields["modified"])
                headers, kms_key = fields.pop("headers"), fields.pop("kms_key", "")
                info = ObjectInfo(**fields)
            except (ValueError, KeyError, TypeError):
                continue
            yield StoredObject(info=info, body=body, headers=headers, kms_key=kms_key)

    def put(self, bucket: str, stored: StoredObject) -> None:
        """Write an object atomically."""
        fields = asdict(stored.info) | {
            "modified": stored.info.modified.isoformat(),
            "headers": dict(stored.headers),
            "kms_key": stored.kms_key,
        }
        head = json.dumps(fields).encode() + b"\n"
        write_atomically(self._object_file(bucket, stored.info.key), head, stored.body)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object if it exists."""
        self._object_file(bucket, key).unlink(missing_ok=True)

    def _bucket_folder(self, name: str) -> Path:
        safe = name if _PLAIN_BUCKET.fullmatch(name) else _digest(name)
        return self._directory / safe

    def _object_file(self, bucket: str, key: str) -> Path:
        readable = _UNSAFE.sub("_", key[-_READABLE_CHARACTERS:])
        return self._bucket_folder(bucket) / f"{_digest(key)}-{readable}{_OBJECT_SUFFIX}"


def write_atomically(path: Path, *parts: bytes) -> None:
    """Replace a file by the concatenation of ``parts``, readable by its owner only; a reader sees the old content or the new one."""
    scratch = path.with_name(f".{secrets.token_hex(8)}{_SCRATCH_SUFFIX}")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.writelines(parts)
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]
