"""Sorted names of a bucket, so that a listing costs what it returns and not what the bucket holds."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from sagemaker_emulator.storage.mirror import ObjectInfo

_LAST_CHARACTER: Final = "\U0010ffff"
PAGE_LIMIT: Final = 1000
"""S3 answers at most so many names a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """Arguments of ListObjectsV2."""

    prefix: str = ""
    delimiter: str = ""
    start_after: str = ""
    token: str = ""
    """NextContinuationToken of the page before."""
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
        """What is known about an object, or None."""
        return self._objects.get(key)

    def put(self, info: ObjectInfo) -> None:
        """Add or replace an object."""
        if info.key not in self._objects:
            insort(self._names, info.key)
        self._objects[info.key] = info

    def remove(self, key: str) -> None:
        """Forget an object; an unknown one is no error."""
        if self._objects.pop(key, None) is not None:
            del self._names[bisect_left(self._names, key)]

    def with_prefix(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose names begin with a prefix."""
        start, end = bisect_left(self._names, prefix), self._past(prefix)
        return (self._objects[name] for name in self._names[start:end])

    def page(self, query: ListQuery) -> ListPage:
        """One page of ListObjectsV2.

        Raises
        ------
        ValueError
            The continuation token is not one of ours.
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
