"""S3 and CloudWatch Logs in memory only, for measurements with thousands of jobs."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast, final
from urllib.parse import unquote
from xml.sax.saxutils import escape

from moto.logs.models import LogGroup
from werkzeug.wrappers import Request, Response

from sagemaker_emulator.storage.listing import BucketIndex, ListPage, ListQuery, answer_listing
from sagemaker_emulator.storage.logs import (
    TRAINING_LOG_GROUP,
    BadRequestError,
    DelayedLines,
    Line,
    filter_events,
)
from sagemaker_emulator.storage.mirror import ObjectInfo
from sagemaker_emulator.storage.objects import ACCOUNT_ID, NoSuchObjectError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@final
class PreconditionError(Exception):
    """A condition of a write is not met."""


@final
class MemoryObjects:
    """Buckets and objects in memory; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._buckets: dict[str, BucketIndex] = {}
        self._bodies: dict[tuple[str, str], bytes] = {}

    def bucket_exists(self, bucket: str) -> bool:
        """Whether the bucket exists."""
        return bucket in self._buckets

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket if it does not exist."""
        with self._lock:
            self._buckets.setdefault(bucket, BucketIndex())

    def put(
        self, bucket: str, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        """Write an object and return its entity tag, without quotes.

        Parameters
        ----------
        bucket, key, body
            Content and name of the object.
        if_absent
            Condition: the object does not exist.
        if_match
            Condition: the object has this entity tag.

        Raises
        ------
        NoSuchObjectError
            The bucket does not exist, or no object for ``if_match``.
        PreconditionError
            The condition is not met; nothing was written.
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
        """Content and metadata of an object.

        Raises
        ------
        NoSuchObjectError
            The object does not exist.
        """
        with self._lock:
            found = self._index(bucket, key).get(key)
            if found is None:
                raise NoSuchObjectError(bucket, key)
            return self._bodies[bucket, key], found

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object if it exists."""
        with self._lock:
            index = self._buckets.get(bucket)
            if index is not None and self._bodies.pop((bucket, key), None) is not None:
                index.remove(key)

    def page(self, bucket: str, query: ListQuery) -> ListPage:
        """One page of ListObjectsV2.

        Raises
        ------
        NoSuchObjectError
            The bucket does not exist.
        ValueError
            The continuation token is invalid.
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


@final
class MemoryLogs:
    """Log streams of training jobs in memory; thread-safe.

    Parameters
    ----------
    delay
        Real seconds until a written line is readable.
    clock
        Monotonic real seconds.
    """

    def __init__(self, *, delay: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._delayed = DelayedLines(delay, clock)
        self._group = cast("LogGroup", LogGroup(ACCOUNT_ID, "us-east-1", TRAINING_LOG_GROUP))

    def append(self, stream: str, lines: Sequence[Line]) -> None:
        """Add lines to a stream, oldest first."""
        with self._lock:
            self._delayed.put(stream, lines)

    def filter(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a FilterLogEvents request for any group.

        Raises
        ------
        BadRequestError
            The request is inconsistent.
        """
        with self._lock:
            for stream, lines in self._delayed.due():
                if stream not in self._group.streams:
                    self._group.create_log_stream(stream)
                events = [{"timestamp": at, "message": line} for at, line in lines]
                self._group.put_log_events(stream, events)
            return filter_events(self._group, request)


_XML: Final = "application/xml"
_FILTER_TARGET: Final = "Logs_20140328.FilterLogEvents"
_STS: Final = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    f"<Arn>arn:aws:iam::{ACCOUNT_ID}:user/emulator</Arn><UserId>AIDA</UserId><Account>{ACCOUNT_ID}</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


@final
class MemoryApplication:
    """Answers S3's requests for objects, buckets, listings and several deletions, and FilterLogEvents; thread-safe.

    Uploads in several parts, versions, tags, and the rest of CloudWatch Logs are not there: 501 says so.

    Parameters
    ----------
    store
        The objects.
    logs
        The log; None: there is none.
    """

    def __init__(self, store: MemoryObjects, logs: MemoryLogs | None = None) -> None:
        self._store = store
        self._logs = logs
        self._of_objects: Mapping[str, Callable[[str, str, Request], Response]] = {
            "PUT": self._put,
            "GET": self._get,
            "HEAD": self._get,
            "DELETE": self._delete,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if b"Action=GetCallerIdentity" in request.get_data(cache=True):
            return Response(_STS, mimetype="text/xml")(environ, start_response)
        if self._logs is not None and request.headers.get("X-Amz-Target") == _FILTER_TARGET:
            return self._filter(self._logs, request)(environ, start_response)
        if request.method == "GET" and bucket and not key and request.args.get("list-type") == "2":
            if not self._store.bucket_exists(bucket):
                return _missing("NoSuchBucket", bucket)(environ, start_response)
            return answer_listing(self._store, bucket, request.args.to_dict(), start_response)
        return self._answer(bucket, key, request)(environ, start_response)

    @staticmethod
    def _filter(logs: MemoryLogs, request: Request) -> Response:
        try:
            answer, status = logs.filter(json.loads(request.get_data())), HTTPStatus.OK
        except BadRequestError as error:
            answer = {"__type": "InvalidParameterException", "message": str(error)}
            status = HTTPStatus.BAD_REQUEST
        return Response(json.dumps(answer), status=status, mimetype="application/x-amz-json-1.1")

    def _answer(self, bucket: str, key: str, request: Request) -> Response:
        if request.headers.get("x-amz-expected-bucket-owner", ACCOUNT_ID) != ACCOUNT_ID:
            return _error("AccessDenied", "Access Denied", HTTPStatus.FORBIDDEN)
        unsupported = {"uploads", "uploadId", "partNumber", "versions", "tagging"} & set(request.args)
        if request.headers.get("X-Amz-Target") or not bucket or unsupported:
            return _error("NotImplemented", "The store in memory does not know this", 501)
        if not key:
            return self._of_bucket(bucket, request)
        handler = self._of_objects.get(request.method)
        if handler is None:
            return _error("MethodNotAllowed", "The specified method is not allowed", 405)
        try:
            return handler(bucket, key, request)
        except NoSuchObjectError:
            code = "NoSuchKey" if self._store.bucket_exists(bucket) else "NoSuchBucket"
            return _missing(code, key)
        except PreconditionError:
            text = "At least one of the pre-conditions you specified did not hold"
            return _error("PreconditionFailed", text, HTTPStatus.PRECONDITION_FAILED)

    def _of_bucket(self, bucket: str, request: Request) -> Response:
        if request.method == "PUT":
            self._store.create_bucket(bucket)
            return Response(headers={"Location": f"/{bucket}"})
        if not self._store.bucket_exists(bucket):
            return _missing("NoSuchBucket", bucket)
        if request.method == "POST" and "delete" in request.args:
            return self._delete_several(bucket, request)
        return Response()

    def _put(self, bucket: str, key: str, request: Request) -> Response:
        source = request.headers.get("x-amz-copy-source")
        body = request.get_data()
        if source is not None:
            body, _ = self._store.get(*unquote(source).removeprefix("/").split("/", 1))
        elif "aws-chunked" in request.headers.get("Content-Encoding", ""):
            body = _without_chunks(body)
        expected = request.headers.get("If-Match")
        etag = self._store.put(
            bucket,
            key,
            body,
            if_absent=request.headers.get("If-None-Match") == "*",
            if_match=None if expected is None else expected.strip('"'),
        )
        if source is not None:
            answer = f"<CopyObjectResult><ETag>&quot;{etag}&quot;</ETag></CopyObjectResult>"
            return Response(answer, mimetype=_XML)
        return Response(headers={"ETag": f'"{etag}"'})

    def _get(self, bucket: str, key: str, request: Request) -> Response:
        body, info = self._store.get(bucket, key)
        answer = Response(body, mimetype="binary/octet-stream")
        answer.set_etag(info.etag)
        answer.last_modified = info.modified
        return answer.make_conditional(request, accept_ranges=True, complete_length=info.size)

    def _delete(self, bucket: str, key: str, _request: Request) -> Response:
        self._store.delete(bucket, key)
        return Response(status=HTTPStatus.NO_CONTENT)

    def _delete_several(self, bucket: str, request: Request) -> Response:
        try:
            document = ET.fromstring(request.get_data())  # noqa: S314 - from this machine, with our key
        except ET.ParseError as error:
            return _error("MalformedXML", str(error), HTTPStatus.BAD_REQUEST)
        for element in document.iter():
            if element.tag.rpartition("}")[2] == "Key":
                self._store.delete(bucket, element.text or "")
        return Response("<DeleteResult/>", mimetype=_XML)


def _without_chunks(body: bytes) -> bytes:
    """The payload of a body in the encoding ``aws-chunked``: sizes in hexadecimal, then the bytes, then trailers."""
    parts: list[bytes] = []
    position = 0
    while True:
        end = body.index(b"\r\n", position)
        size = int(body[position:end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2


def _missing(code: str, name: str) -> Response:
    return _error(code, f"{name} does not exist", HTTPStatus.NOT_FOUND)


def _error(code: str, message: str, status: int) -> Response:
    body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Response(body, status=status, mimetype=_XML)
