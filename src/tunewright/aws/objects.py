"""Objects of one bucket under one prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, final
from xml.etree import ElementTree

from tunewright.aws import boto

_PAGE: Final = 1000
_THREADS: Final = 8
_EPOCH: Final = "1970-01-01T00:00:00Z"
"""Time of an entry without one."""


class StoredObject(NamedTuple):
    """One line of a listing; a named tuple, as a listing of 10,000 workers has many."""

    key: str
    """Relative to the prefix."""
    size: int
    etag: str = ""
    """Changes with the content."""
    modified: float = 0.0
    """Seconds since 1970; 0 if unknown."""


@final
class S3Objects:
    """Reads and writes objects under ``s3://bucket/prefix/``; thread-safe.

    Parameters
    ----------
    client
        A boto3 client of S3.
    bucket
        Name of the bucket.
    prefix
        Prefix without leading or trailing slashes; all keys are relative to it.

    Every method raises :class:`~tunewright.aws.boto.ServiceError` if the service rejects the request or does not respond.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self.bucket = bucket
        self.prefix = prefix.strip("/")

    def key(self, name: str) -> str:
        """The full key of a relative one."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def uri(self, name: str = "") -> str:
        """The address of a relative key, or of the prefix itself."""
        return f"s3://{self.bucket}/{self.key(name)}"

    def under(self, name: str) -> S3Objects:
        """The objects under a longer prefix."""
        return S3Objects(self._client, self.bucket, self.key(name))

    def put(self, name: str, body: bytes) -> None:
        """Write an object unconditionally."""
        with boto.service_errors():
            self._client.put_object(Bucket=self.bucket, Key=self.key(name), Body=body)

    def put_new(self, name: str, body: bytes) -> bool:
        """Write an object if it does not exist; return whether it was written."""
        return self.put_if(name, body, None) is not None

    def replace(self, name: str, body: bytes, etag: str) -> bool:
        """Write an object if its ETag is unchanged; return whether it was written."""
        return self.put_if(name, body, etag) is not None

    def put_if(self, name: str, body: bytes, etag: str | None) -> str | None:
        """Write an object if its ETag is unchanged, or if it does not exist; return its new ETag.

        Parameters
        ----------
        name
            Its relative key.
        body
            Its content.
        etag
            The ETag that it must have; None: it must not exist.

        Returns
        -------
        str or None
            None: it was not written.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            with boto.service_errors():
                answer: Mapping[str, Any] | None = self._client.put_object(
                    Bucket=self.bucket, Key=self.key(name), Body=body, **condition
                )
        except boto.ServiceError as error:
            if error.code in {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}:
                return None
            raise
        return str((answer or {}).get("ETag", "")).strip('"')

    def put_file(self, name: str, path: Path) -> None:
        """Write an object from a file of any size."""
        with boto.service_errors():
            self._client.upload_file(str(path), self.bucket, self.key(name))

    def get(self, name: str) -> bytes | None:
        """Content of the object; None if it does not exist."""
        try:
            with boto.service_errors():
                return self._client.get_object(Bucket=self.bucket, Key=self.key(name))["Body"].read()
        except boto.ServiceError as error:
            if error.code in {"NoSuchKey", "404"}:
                return None
            raise

    def get_file(self, name: str, path: Path) -> None:
        """Write the content of an object of any size into a file."""
        with boto.service_errors():
            self._client.download_file(self.bucket, self.key(name), str(path))

    def exists(self, name: str) -> bool:
        """Whether the object exists."""
        return any(stored.key == name for stored in self.page(name))

    def page(self, name: str = "", *, start_after: str = "") -> Sequence[StoredObject]:
        """At most 1,000 objects whose relative keys begin with ``name``, in order of their keys: one request.

        Parameters
        ----------
        name
            Beginning of the relative keys.
        start_after
            Relative key after which the listing begins.
        """
        after = {"StartAfter": self.key(start_after)} if start_after else {}
        with boto.service_errors():
            answer = self._client.list_objects_v2(
                Bucket=self.bucket, Prefix=self.key(name), MaxKeys=_PAGE, **after
            )
        skip = len(self.key(""))
        return [_stored(entry, skip) for entry in answer.get("Contents", [])]

    def list(self, name: str = "", *, start_after: str = "") -> Iterator[StoredObject]:
        """All objects whose relative keys begin with ``name``, in order of their keys."""
        while True:
            found = self.page(name, start_after=start_after)
            yield from found
            if len(found) < _PAGE:
                return
            start_after = found[-1].key

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored."""
        keys = [{"Key": self.key(name)} for name in names]
        for first in range(0, len(keys), _PAGE):
            batch = {"Objects": keys[first : first + _PAGE], "Quiet": True}
            with boto.service_errors():
                answer: dict[str, Any] = self._client.delete_objects(Bucket=self.bucket, Delete=batch) or {}
            for error in answer.get("Errors", []):
                raise boto.ServiceError(error["Code"], f"{error['Key']}: {error['Message']}", status=403)

    def delete_under(self, name: str) -> None:
        """Delete all objects whose relative keys begin with ``name``."""
        self.delete([stored.key for stored in self.list(name)])

    def put_files(self, files: Iterable[tuple[str, Path]]) -> None:
        """Upload files in parallel; the first failure is raised after all are done."""
        in_parallel(lambda pair: self.put_file(*pair), files)


def read_listings_quickly(client: Any) -> None:
    """Let a boto3 client of S3 read the entries of its listings by :mod:`xml.etree` instead of botocore's parser.

    For 1,000 entries botocore takes three times the CPU time. A tuner of 10,000 workers reads ten thousand entries a second.
    """
    # with this wildcard the handler comes before botocore's own, which parse the whole text as well
    client.meta.events.register_first("before-parse.*.ListObjectsV2", _take_entries)


def _take_entries(
    *, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Move the entries of a whole listing from the text to the answer; leave all other answers to botocore."""
    if response_dict["status_code"] != 200:
        return
    try:
        root = ElementTree.fromstring(response_dict["body"])  # noqa: S314 - of S3, as botocore reads it
        space = root.tag.removesuffix("ListBucketResult")
        entries = [_entry(element, space) for element in root.findall(f"{space}Contents")]
    except (ElementTree.ParseError, ValueError):  # incomplete or unusual: botocore judges it
        return
    if space != root.tag and entries:
        customized_response_dict["Contents"] = entries
        root[:] = [element for element in root if element.tag != f"{space}Contents"]
        response_dict["body"] = ElementTree.tostring(root)


def _entry(element: ElementTree.Element, space: str) -> dict[str, Any]:
    """One entry as botocore's parser returns it, without its owner and storage class."""
    return {
        "Key": element.findtext(f"{space}Key", ""),
        "Size": int(element.findtext(f"{space}Size", "0")),
        "ETag": element.findtext(f"{space}ETag", ""),
        "LastModified": datetime.fromisoformat(element.findtext(f"{space}LastModified", _EPOCH)),
    }


def _stored(entry: Mapping[str, Any], skip: int) -> StoredObject:
    modified: datetime | None = entry.get("LastModified")
    return StoredObject(
        key=entry["Key"][skip:],
        size=entry["Size"],
        etag=entry.get("ETag", "").strip('"'),
        modified=modified.timestamp() if modified else 0.0,
    )


def in_parallel(work: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Call ``work`` for each item in a few threads; the first failure is raised after all are done."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for future in [pool.submit(work, item) for item in items]:
            future.result()
