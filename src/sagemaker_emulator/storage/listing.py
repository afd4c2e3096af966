"""ListObjectsV2 as S3 writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote
from xml.sax.saxutils import escape

from sagemaker_emulator.storage.index import PAGE_LIMIT, ListPage, ListQuery

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Listable(Protocol):
    """What can be listed."""

    def page(self, bucket: str, query: ListQuery) -> ListPage:
        """One page; ValueError for a token that is none."""
        ...


def answer_listing(
    store: Listable, bucket: str, arguments: Mapping[str, str], start_response: StartResponse
) -> Iterable[bytes]:
    """Answer a ListObjectsV2 request for a bucket that exists; bad arguments get S3's InvalidArgument."""
    try:
        query = _parse(arguments)
        page = store.page(bucket, query)
    except ValueError as error:
        text = f"<Error><Code>InvalidArgument</Code><Message>{escape(str(error))}</Message></Error>"
        return _answer(start_response, "400 Bad Request", text)
    return _answer(start_response, "200 OK", _render(bucket, arguments, query, page))


def _parse(arguments: Mapping[str, str]) -> ListQuery:
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


def _answer(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]
