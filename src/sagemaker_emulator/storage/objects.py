"""S3 for code in this process: moto's backend, a sorted index beside it, and the mirror on disk."""

from __future__ import annotations

import threading
from datetime import UTC
from pathlib import Path
from typing import Final, final

from moto.s3.models import FakeKey, S3Backend, s3_backends

from sagemaker_emulator.storage.listing import BucketIndex, ListPage, ListQuery
from sagemaker_emulator.storage.mirror import FolderMirror, ObjectInfo, StoredObject

ACCOUNT_ID: Final = "123456789012"
"""The account that every caller of the emulator belongs to."""


class NoSuchObjectError(LookupError):
    """There is no such bucket or object."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"s3://{bucket}/{key} does not exist")


@final
class ObjectStore:
    """Buckets and objects; every write is on disk before it is answered. Thread-safe.

    moto's backend is the truth that HTTP clients read. Writes that moto made itself are taken over by :meth:`settle`.

    Parameters
    ----------
    directory
        Folder of the mirror; the objects in it are loaded.
    region
        Region of the buckets that are made here.
    """

    def __init__(self, directory: Path, *, region: str) -> None:
        self._region = region
        self.lock = threading.RLock()
        """Held by whoever lets moto read or write."""
        self._mirror = FolderMirror(directory)
        self._indexes: dict[str, BucketIndex] = {}
        self._known: dict[tuple[str, str], FakeKey] = {}
        self._backend: S3Backend = s3_backends[ACCOUNT_ID]["aws"]
        self._backend.reset()
        self._load()

    def bucket_exists(self, bucket: str) -> bool:
        """Whether there is a bucket of this name."""
        return bucket in self._indexes

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket, or do nothing when there is one of this name."""
        with self.lock:
            if bucket not in self._indexes:
                self._backend.create_bucket(bucket, self._region)
                self.settle(bucket)

    def put(self, bucket: str, key: str, body: bytes, *, content_type: str = "binary/octet-stream") -> None:
        """Write an object.

        Raises
        ------
        NoSuchObjectError
            There is no such bucket.
        OSError
            The mirror cannot be written.
        """
        with self.lock:
            self._index(bucket, key)
            written = self._backend.put_object(bucket, key, body)
            written.set_metadata({"Content-Type": content_type})
            self.settle(bucket, key)

    def get(self, bucket: str, key: str) -> bytes:
        """Read an object.

        Raises
        ------
        NoSuchObjectError
            There is no such object.
        """
        with self.lock:
            found = self._known.get((bucket, key))
            if found is None:
                raise NoSuchObjectError(bucket, key)
            return found.value

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """What is known about an object, or None when there is none."""
        with self.lock:
            index = self._indexes.get(bucket)
            return None if index is None else index.get(key)

    def objects(self, bucket: str, prefix: str = "") -> list[ObjectInfo]:
        """Objects whose names begin with a prefix, in S3's order; none where the bucket does not exist."""
        with self.lock:
            index = self._indexes.get(bucket)
            return [] if index is None else list(index.with_prefix(prefix))

    def page(self, bucket: str, query: ListQuery) -> ListPage:
        """One page of ListObjectsV2.

        Raises
        ------
        NoSuchObjectError
            There is no such bucket.
        ValueError
            The continuation token is not one of ours.
        """
        with self.lock:
            return self._index(bucket, query.prefix).page(query)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that does not exist is no error."""
        with self.lock:
            if self.head(bucket, key) is not None:
                self._backend.delete_object(bucket, key)
                self.settle(bucket, key)

    def copy(self, bucket: str, source: str, target: str) -> None:
        """Copy an object within its bucket.

        Raises
        ------
        NoSuchObjectError
            The source does not exist.
        """
        with self.lock:
            self.put(bucket, target, self.get(bucket, source))

    def settle(self, bucket: str, key: str | None = None) -> None:
        """Take over what moto changed: one object, or (without a key) the bucket and all of its names.

        Raises
        ------
        OSError
            The mirror cannot be written.
        """
        with self.lock:
            if bucket not in self._backend.buckets:
                self._forget_bucket(bucket)
                return
            if bucket not in self._indexes:
                self._mirror.create_bucket(bucket, self._backend.buckets[bucket].region_name)
                self._indexes[bucket] = BucketIndex()
            if key is not None:
                self._settle_object(bucket, key)
                return
            for name in set(self._backend.buckets[bucket].keys) ^ set(self._indexes[bucket].names()):
                self._settle_object(bucket, name)

    def _settle_object(self, bucket: str, key: str) -> None:
        current = self._backend.buckets[bucket].keys.get(key)
        if not isinstance(current, FakeKey):  # absent, or a delete marker of a versioned bucket
            self._mirror.delete(bucket, key)
            self._indexes[bucket].remove(key)
            self._known.pop((bucket, key), None)
        elif current is not self._known.get((bucket, key)):
            stored = _stored(current)
            self._mirror.put(bucket, stored)
            self._indexes[bucket].put(stored.info)
            self._known[bucket, key] = current

    def _forget_bucket(self, bucket: str) -> None:
        index = self._indexes.pop(bucket, None)
        if index is not None:
            self._known = {where: found for where, found in self._known.items() if where[0] != bucket}
            self._mirror.delete_bucket(bucket)

    def _index(self, bucket: str, key: str) -> BucketIndex:
        try:
            return self._indexes[bucket]
        except KeyError:
            raise NoSuchObjectError(bucket, key) from None

    def _load(self) -> None:
        for bucket, region in self._mirror.buckets():
            self._backend.create_bucket(bucket, region)
            index = self._indexes[bucket] = BucketIndex()
            for stored in self._mirror.objects(bucket):
                key = stored.info.key
                loaded = self._backend.put_object(bucket, key, stored.body, etag=stored.info.etag)
                loaded.last_modified = stored.info.modified.replace(tzinfo=None)
                loaded.set_metadata(dict(stored.headers))
                index.put(stored.info)
                self._known[bucket, key] = loaded


def _stored(key: FakeKey) -> StoredObject:
    info = ObjectInfo(
        key=key.name,
        size=key.size,
        etag=key.etag.strip('"'),
        modified=key.last_modified.replace(tzinfo=UTC),
    )
    return StoredObject(info=info, body=key.value, headers={str(k): str(v) for k, v in key.metadata.items()})
