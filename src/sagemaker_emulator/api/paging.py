"""Pages of a sorted listing, with tokens that only this endpoint can read."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from sagemaker_emulator.errors import invalid

DEFAULT_PAGE: Final = 10

_T = TypeVar("_T")
SortKey = tuple[Any, str]
"""Value that is sorted by, then the name."""


def cut(
    items: Sequence[_T], key: Callable[[_T], SortKey], size: int, token: str | None, *, descending: bool
) -> tuple[list[_T], str | None]:
    """Sort, and return the page that follows the token, with the token of the next page or None.

    A token holds the key of the last item that was given, so that items which come or go in between neither repeat
    nor hide others.

    Raises
    ------
    ServiceError
        ValidationException for a token that is not ours.
    """
    ordered = sorted(items, key=key, reverse=descending)
    if token:
        ordered = _after(ordered, key, token, descending=descending)
    page = ordered[:size]
    return page, _encode(key(page[-1])) if len(ordered) > size else None


def _after(ordered: Sequence[_T], key: Callable[[_T], SortKey], token: str, *, descending: bool) -> list[_T]:
    try:
        value, name = json.loads(base64.urlsafe_b64decode(token))
        last = (tuple(value) if isinstance(value, list) else value, name)
        return [item for item in ordered if (key(item) < last if descending else key(item) > last)]
    except (ValueError, TypeError) as error:
        raise invalid(
            "Invalid NextToken: use the one of the answer before, with the same other arguments."
        ) from error


def _encode(key: SortKey) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
