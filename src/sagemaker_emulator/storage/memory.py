"""S3 in memory only, for measurements with thousands of jobs: nothing of moto's, nothing on disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import final

from sagemaker_emulator.storage.index import BucketIndex, ListPage, ListQuery
from sagemaker_emulator.storage.mirror import ObjectInfo
from sagemaker_emulator.storage.objects import NoSuchObjectError


@final
class PreconditionError(Exception):
    """An object is not as the writer expects it."""


@final
class MemoryObjects:
    """Buckets and objects; thread-safe. They are gone with this object."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._buckets: dict[str, BucketIndex] = {}
        self._bodies: dict[tuple[str, str], bytes] = {}

    def bucket_exists(self, bucket: str) -> bool:
        """Whether there is a bucket of this name."""
        return bucket in self._buckets

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket, or do nothing when there is one of this name."""
        with self._lock:
            self._buckets.setdefault(bucket, BucketIndex())

    def put(
        self, bucket: str, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        """Write an object and return its entity tag, without quotes.

        Parameters
        ----------
        bucket, key, body
            What is written where.
        if_absent
            Only when there is no such object.
        if_match
            Only when the object has this entity tag.

        Raises
        ------
        NoSuchObjectError
            There is no such bucket, or no object that could match.
        PreconditionError
            The object is not as expected; nothing was written.
        """
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        with self._lock:
            index = self._index(bucket, key)
            present = index.get(key)
            if if_match is not None and present is None:
                raise NoSuchObjectError(bucket, key)
            if (if_absent and present) or (if_match is not None and present and present.etag != if_match):
                raise PreconditionError
            index.put(ObjectInfo(key=key, size=len(body), etag=etag, modified=datetime.now(UTC)))
            self._bodies[bucket, key] = body
        return etag

    def get(self, bucket: str, key: str) -> tuple[bytes, ObjectInfo]:
        """An object and what is known about it.

        Raises
        ------
        NoSuchObjectError
            There is no such object.
        """
        with self._lock:
            found = self._index(bucket, key).get(key)
            if found is None:
                raise NoSuchObjectError(bucket, key)
            return self._bodies[bucket, key], found

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that does not exist is no error."""
        with self._lock:
            index = self._buckets.get(bucket)
            if index is not None and self._bodies.pop((bucket, key), None) is not None:
                index.remove(key)

    def page(self, bucket: str, query: ListQuery) -> ListPage:
        """One page of ListObjectsV2.

        Raises
        ------
        NoSuchObjectError
            There is no such bucket.
        ValueError
            The continuation token is not one of ours.
        """
        with self._lock:
            return self._index(bucket, query.prefix).page(query)

    def names(self, bucket: str, prefix: str) -> Iterator[str]:
        """Names that begin with a prefix, in S3's order."""
        with self._lock:
            return iter([found.key for found in self._index(bucket, prefix).with_prefix(prefix)])

    def _index(self, bucket: str, key: str) -> BucketIndex:
        try:
            return self._buckets[bucket]
        except KeyError:
            raise NoSuchObjectError(bucket, key) from None
