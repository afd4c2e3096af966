"""ListObjectsV2: the sorted names of a bucket, so that a listing costs what it returns, and the XML of a page."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, final
from urllib.parse import quote
from xml.sax.saxutils import escape

from sagemaker_emulator.storage.mirror import ObjectInfo

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

_LAST_CHARACTER: Final = "\U0010ffff"
PAGE_LIMIT: Final = 1000
"""Maximum number of names per page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """Arguments of ListObjectsV2."""

    prefix: str = ""
    delimiter: str = ""
    start_after: str = ""
    token: str = ""
    """NextContinuationToken of the previous page."""
    limit: int = PAGE_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One page of a listing, in the order of S3 (UTF-8 bytes)."""

    objects: list[ObjectInfo]
    prefixes: list[str]
    next_token: str
    """Empty on the last page."""


@final
class BucketIndex:
    """Objects of one bucket by name; not thread-safe, its owner holds a lock."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._objects: dict[str, ObjectInfo] = {}

    def names(self) -> list[str]:
        """All names, sorted."""
        return list(self._names)

    def get(self, key: str) -> ObjectInfo | None:
        """Metadata of an object, or None."""
        return self._objects.get(key)

    def put(self, info: ObjectInfo) -> None:
        """Add or replace an object."""
        if info.key not in self._objects:
            insort(self._names, info.key)
        self._objects[info.key] = info

    def remove(self, key: str) -> None:
        """Remove an object if it is known."""
        if self._objects.pop(key, None) is not None:
            del self._names[bisect_left(self._names, key)]

    def with_prefix(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects with a prefix."""
        start, end = bisect_left(self._names, prefix), self._past(prefix)
        return (self._objects[name] for name in self._names[start:end])

    def page(self, query: ListQuery) -> ListPage:
        """One page of ListObjectsV2.

        Raises
        ------
        ValueError
            The continuation token is invalid.
        """
        position = self._first(query)
        end = self._past(query.prefix)
        limit = min(query.limit, PAGE_LIMIT)
        objects: list[ObjectInfo] = []
        prefixes: list[str] = []
        while position < end and len(objects) + len(prefixes) < limit:
            name = self._names[position]
            cut = name.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
            if cut < 0:
                objects.append(self._objects[name])
                position += 1
            else:
                common = name[: cut + len(query.delimiter)]
                prefixes.append(common)
                position = self._past(common)
        following = _encode(self._names[position]) if position < end and limit > 0 else ""
        return ListPage(objects=objects, prefixes=prefixes, next_token=following)

    def _first(self, query: ListQuery) -> int:
        position = bisect_left(self._names, query.prefix)
        if query.token:
            return max(position, bisect_left(self._names, _decode(query.token)))
        if query.start_after:
            return max(position, bisect_right(self._names, query.start_after))
        return position

    def _past(self, prefix: str) -> int:
        return bisect_right(self._names, prefix + _LAST_CHARACTER) if prefix else len(self._names)


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("The continuation token provided is incorrect") from error


_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Listable(Protocol):
    """A store with pages of names."""

    def page(self, bucket: str, query: ListQuery) -> ListPage:
        """One page; ValueError for an invalid token."""
        ...


def answer_listing(
    store: Listable, bucket: str, arguments: Mapping[str, str], start_response: StartResponse
) -> Iterable[bytes]:
    """Answer a ListObjectsV2 request for an existing bucket, or S3's InvalidArgument."""
    try:
        query = _query_of(arguments)
        page = store.page(bucket, query)
    except ValueError as error:
        text = f"<Error><Code>InvalidArgument</Code><Message>{escape(str(error))}</Message></Error>"
        return _xml_answer(start_response, "400 Bad Request", text)
    return _xml_answer(start_response, "200 OK", _render(bucket, arguments, query, page))


def _query_of(arguments: Mapping[str, str]) -> ListQuery:
    limit = arguments.get("max-keys", str(PAGE_LIMIT))
    if not limit.isdecimal():
        raise ValueError(f"max-keys must be a whole number from 0 to {PAGE_LIMIT}, got {limit}")
    return ListQuery(
        prefix=arguments.get("prefix", ""),
        delimiter=arguments.get("delimiter", ""),
        start_after=arguments.get("start-after", ""),
        token=arguments.get("continuation-token", ""),
        limit=int(limit),
    )


def _render(bucket: str, arguments: Mapping[str, str], query: ListQuery, page: ListPage) -> str:
    encoded = arguments.get("encoding-type") == "url"

    def name(text: str) -> str:
        return quote(text, safe="/") if encoded else escape(text)

    def element(tag: str, text: str) -> str:
        return f"<{tag}>{text}</{tag}>" if text else ""

    contents = [
        f"<Contents><Key>{name(found.key)}</Key><LastModified>{_timestamp(found.modified)}</LastModified>"
        f"<ETag>&quot;{found.etag}&quot;</ETag><Size>{found.size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for found in page.objects
    ]
    common = [f"<CommonPrefixes><Prefix>{name(prefix)}</Prefix></CommonPrefixes>" for prefix in page.prefixes]
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{_NAMESPACE}">'
        f"<Name>{escape(bucket)}</Name><Prefix>{name(query.prefix)}</Prefix>"
        f"<KeyCount>{len(contents) + len(common)}</KeyCount><MaxKeys>{query.limit}</MaxKeys>"
        f"<IsTruncated>{'true' if page.next_token else 'false'}</IsTruncated>"
        + element("Delimiter", name(query.delimiter))
        + element("StartAfter", name(query.start_after))
        + element("EncodingType", "url" if encoded else "")
        + element("ContinuationToken", escape(query.token))
        + element("NextContinuationToken", page.next_token)
        + "".join(contents)
        + "".join(common)
        + "</ListBucketResult>"
    )


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _xml_answer(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]
