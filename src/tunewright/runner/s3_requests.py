"""Fields of every request to a bucket; the tuner's clients and the runner's both add them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_OWNER = "ExpectedBucketOwner"


@dataclass(frozen=True)
class BucketTerms:
    """Terms on which a bucket is used."""

    owner: str = ""
    """Account that must own it, 12 digits: S3 refuses each request (403) if another does. Empty: any account."""


def apply_terms(client: Any, terms_of: Callable[[str], BucketTerms]) -> None:
    """Let all later requests of a client carry the terms of their bucket.

    The name of a default bucket can be guessed, and names are global: without the owner, code, results and the programs of
    jobs would go through the bucket of whoever took the name first.

    Parameters
    ----------
    client
        A boto3 client of S3. A request with an empty ``ExpectedBucketOwner`` is sent without one.
    terms_of
        The terms of a bucket, by its name.
    """

    def add(params: dict[str, Any], model: Any, **_: Any) -> None:
        known = model.input_shape.members if model.input_shape else {}
        terms = terms_of(str(params.get("Bucket", "")))
        if _OWNER in known and not params.setdefault(_OWNER, terms.owner):
            del params[_OWNER]

    client.meta.events.register("before-parameter-build.s3", add)
