"""S3 for code in this process: moto's backend, a sorted index, and the mirror on disk."""

from __future__ import annotations

import threading
from datetime import UTC
from pathlib import Path
from typing import Any, Final, final

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends

from sagemaker_emulator.storage.listing import BucketIndex, ListPage, ListQuery
from sagemaker_emulator.storage.mirror import FolderMirror, ObjectInfo, StoredObject

ACCOUNT_ID: Final = "123456789012"
"""Account of all callers."""


class NoSuchObjectError(LookupError):
    """The bucket or object does not exist."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"s3://{bucket}/{key} does not exist")


@final
class ObjectStore:
    """Buckets and objects; each write is on disk before its response. Thread-safe.

    HTTP clients read moto's backend. Writes of moto itself are copied to index and mirror by :meth:`sync`.

    Parameters
    ----------
    directory
        Folder of the mirror; its objects are loaded.
    region
        Region of new buckets.
    """

    def __init__(self, directory: Path, *, region: str) -> None:
        self._region = region
        self.lock = threading.RLock()
        """Held during each read and write of moto."""
        self._mirror = FolderMirror(directory)
        self._indexes: dict[str, BucketIndex] = {}
        self._known: dict[tuple[str, str], FakeKey] = {}
        self._owners: dict[str, str] = {}
        self._backend: S3Backend = s3_backends[ACCOUNT_ID]["aws"]
        self._backend.reset()
        self._load()

    def bucket_exists(self, bucket: str) -> bool:
        """Whether the bucket exists."""
        return bucket in self._indexes

    def owner(self, bucket: str) -> str:
        """Account that owns a bucket; empty if it does not exist."""
        return self._owners.get(bucket, ACCOUNT_ID) if bucket in self._indexes else ""

    def create_bucket(self, bucket: str, *, owner: str = ACCOUNT_ID) -> None:
        """Create a bucket if it does not exist; one of another account is open to all callers."""
        with self.lock:
            if bucket not in self._indexes:
                self._owners[bucket] = owner
                self._backend.create_bucket(bucket, self._region)
                self.sync(bucket)

    def put(
        self,
        bucket: str,
        key: str,
        body: bytes,
        *,
        content_type: str = "binary/octet-stream",
        kms_key: str = "",
    ) -> None:
        """Write an object, with SSE-KMS if there is a key.

        Raises
        ------
        NoSuchObjectError
            The bucket does not exist.
        OSError
            The mirror cannot be written.
        """
        with self.lock:
            self._index(bucket, key)
            written = self._backend.put_object(bucket, key, body, **_encryption(kms_key))
            written.set_metadata({"Content-Type": content_type})
            self.sync(bucket, key)

    def get(self, bucket: str, key: str) -> bytes:
        """Read an object.

        Raises
        ------
        NoSuchObjectError
            The object does not exist.
        """
        with self.lock:
            found = self._known.get((bucket, key))
            if found is None:
                raise NoSuchObjectError(bucket, key)
            return found.value

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """Metadata of an object, or None if it does not exist."""
        with self.lock:
            index = self._indexes.get(bucket)
            return None if index is None else index.get(key)

    def objects(self, bucket: str, prefix: str = "") -> list[ObjectInfo]:
        """Objects with a prefix, in S3's order; empty if the bucket does not exist."""
        with self.lock:
            index = self._indexes.get(bucket)
            return [] if index is None else list(index.with_prefix(prefix))

    def page(self, bucket: str, query: ListQuery) -> ListPage:
        """One page of ListObjectsV2.

        Raises
        ------
        NoSuchObjectError
            The bucket does not exist.
        ValueError
            The continuation token is invalid.
        """
        with self.lock:
            return self._index(bucket, query.prefix).page(query)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object if it exists."""
        with self.lock:
            if self.head(bucket, key) is not None:
                self._backend.delete_object(bucket, key)
                self.sync(bucket, key)

    def copy(self, bucket: str, source: str, target: str) -> None:
        """Copy an object within its bucket.

        Raises
        ------
        NoSuchObjectError
            The source does not exist.
        """
        with self.lock:
            self.put(bucket, target, self.get(bucket, source))

    def sync(self, bucket: str, key: str | None = None) -> None:
        """Copy moto's changes: one object, or (without a key) the bucket and all of its names.

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
                _leave_policies_to_us(self._backend.buckets[bucket])
                region = self._backend.buckets[bucket].region_name
                self._mirror.create_bucket(bucket, region, self._owners.setdefault(bucket, ACCOUNT_ID))
                self._indexes[bucket] = BucketIndex()
            if key is not None:
                self._sync_object(bucket, key)
                return
            kept: set[str] = set(self._backend.buckets[bucket].keys)
            for name in kept ^ set(self._indexes[bucket].names()):
                self._sync_object(bucket, name)

    def _sync_object(self, bucket: str, key: str) -> None:
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
        self._owners.pop(bucket, None)
        if index is not None:
            self._known = {key: found for key, found in self._known.items() if key[0] != bucket}
            self._mirror.delete_bucket(bucket)

    def _index(self, bucket: str, key: str) -> BucketIndex:
        try:
            return self._indexes[bucket]
        except KeyError:
            raise NoSuchObjectError(bucket, key) from None

    def _load(self) -> None:
        for bucket, region, owner in self._mirror.buckets():
            self._owners[bucket] = owner or ACCOUNT_ID
            _leave_policies_to_us(self._backend.create_bucket(bucket, region))
            index = self._indexes[bucket] = BucketIndex()
            for stored in self._mirror.objects(bucket):
                key = stored.info.key
                encryption = _encryption(stored.kms_key)
                loaded = self._backend.put_object(
                    bucket, key, stored.body, etag=stored.info.etag, **encryption
                )
                loaded.last_modified = stored.info.modified.replace(tzinfo=None)
                loaded.set_metadata(dict(stored.headers))
                index.put(stored.info)
                self._known[bucket, key] = loaded


def _leave_policies_to_us(bucket: FakeBucket) -> None:
    """Keep moto from its own evaluation of the bucket's policy, which knows neither principals nor conditions."""

    def no_opinion(action: str, resource: str) -> PermissionResult:
        del action, resource
        return PermissionResult.NEUTRAL

    bucket.get_permission = no_opinion


def _stored(key: FakeKey) -> StoredObject:
    info = ObjectInfo(
        key=key.name,
        size=key.size,
        etag=key.etag.strip('"'),
        modified=key.last_modified.replace(tzinfo=UTC),
    )
    headers = {str(k): str(v) for k, v in key.metadata.items()}
    return StoredObject(info=info, body=key.value, headers=headers, kms_key=key.kms_key_id or "")


def _encryption(kms_key: str) -> dict[str, Any]:
    return {"encryption": "aws:kms", "kms_key_id": kms_key} if kms_key else {}
