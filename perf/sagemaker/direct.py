"""What the runner uses of boto3's client of S3, on a store in the same process: its code runs unchanged, without HTTP."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from sagemaker_emulator.storage.listing import PAGE_LIMIT, ListQuery
from sagemaker_emulator.storage.memory import MemoryObjects, PreconditionError
from sagemaker_emulator.storage.objects import NoSuchObjectError


class NoSuchKey(ClientError):  # noqa: N818 - boto3's name
    """There is no such object."""


class DirectS3:
    """A client of a store in memory."""

    exceptions = SimpleNamespace(NoSuchKey=NoSuchKey, ClientError=ClientError)

    def __init__(self, store: MemoryObjects) -> None:
        self._store = store

    def put_object(  # boto3's names
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        IfNoneMatch: str = "",  # noqa: N803
        IfMatch: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        """Write an object, if its condition holds."""
        condition = IfMatch.strip('"') or None
        try:
            etag = self._store.put(Bucket, Key, Body, if_absent=IfNoneMatch == "*", if_match=condition)
        except PreconditionError:
            raise _error("PreconditionFailed", "PutObject") from None
        except NoSuchObjectError:
            raise NoSuchKey(*_facts("NoSuchKey", "PutObject")) from None
        return {"ETag": f'"{etag}"'}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """Read an object."""
        try:
            body, info = self._store.get(Bucket, Key)
        except NoSuchObjectError:
            raise NoSuchKey(*_facts("NoSuchKey", "GetObject")) from None
        return {"Body": io.BytesIO(body), "ETag": f'"{info.etag}"'}

    def delete_object(self, Bucket: str, Key: str) -> None:  # noqa: N803
        """Remove an object."""
        self._store.delete(Bucket, Key)

    def list_objects_v2(
        self,
        Bucket: str,  # noqa: N803
        Prefix: str,  # noqa: N803
        MaxKeys: int = PAGE_LIMIT,  # noqa: N803
        StartAfter: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        """One page of names."""
        page = self._store.page(Bucket, ListQuery(prefix=Prefix, start_after=StartAfter, limit=MaxKeys))
        return {"Contents": [{"Key": found.key, "Size": found.size} for found in page.objects]}

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        """Write an object from a file."""
        self._store.put(bucket, key, Path(path).read_bytes())

    def download_file(self, bucket: str, key: str, path: str) -> None:
        """Write a file from an object."""
        Path(path).write_bytes(self._store.get(bucket, key)[0])


def _error(code: str, operation: str) -> ClientError:
    return ClientError(*_facts(code, operation))


def _facts(code: str, operation: str) -> tuple[Any, str]:
    return {"Error": {"Code": code, "Message": code}}, operation
