"""ListObjectsV2 is ours: it must answer as S3 does."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.storage import AwsServices

KEYS = ["a/1", "a/2", "a/b/3", "a0", "b", "c/4", "Z", "é"]


@pytest.fixture
def s3(aws: AwsServices, client: Callable[[str], Any]) -> Any:
    aws.store.create_bucket("bucket")
    for key in KEYS:
        aws.store.put("bucket", key, key.encode())
    return client("s3")


def keys(answer: Any) -> list[str]:
    return [found["Key"] for found in answer.get("Contents", [])]


def test_order_is_that_of_utf8_bytes(s3: Any) -> None:
    answer = s3.list_objects_v2(Bucket="bucket")
    assert keys(answer) == sorted(KEYS, key=str.encode)
    assert (answer["KeyCount"], answer["IsTruncated"], answer["Name"]) == (len(KEYS), False, "bucket")
    first = answer["Contents"][0]
    assert first["ETag"] == s3.head_object(Bucket="bucket", Key="Z")["ETag"]
    assert (first["Size"], first["StorageClass"]) == (1, "STANDARD")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"Prefix": "a/"}, ["a/1", "a/2", "a/b/3"]),
        ({"Prefix": "a/", "StartAfter": "a/1"}, ["a/2", "a/b/3"]),
        ({"StartAfter": "b"}, ["c/4", "é"]),
        ({"StartAfter": "b!"}, ["c/4", "é"]),
        ({"Prefix": "nothing"}, []),
        ({"MaxKeys": 0}, []),
    ],
)
def test_selection(s3: Any, arguments: dict[str, Any], expected: list[str]) -> None:
    assert keys(s3.list_objects_v2(Bucket="bucket", **arguments)) == expected


def test_delimiter(s3: Any) -> None:
    answer = s3.list_objects_v2(Bucket="bucket", Delimiter="/")
    assert keys(answer) == ["Z", "a0", "b", "é"]
    assert [each["Prefix"] for each in answer["CommonPrefixes"]] == ["a/", "c/"]
    below = s3.list_objects_v2(Bucket="bucket", Prefix="a/", Delimiter="/")
    assert keys(below) == ["a/1", "a/2"]
    assert [each["Prefix"] for each in below["CommonPrefixes"]] == ["a/b/"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_together_are_the_whole(s3: Any, size: int, delimiter: str) -> None:
    whole = s3.list_objects_v2(Bucket="bucket", Delimiter=delimiter)
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(
            Bucket="bucket", Delimiter=delimiter, PaginationConfig={"PageSize": size}
        )
    )
    assert [key for page in pages for key in keys(page)] == keys(whole)
    prefixes = [each for page in pages for each in page.get("CommonPrefixes", [])]
    assert prefixes == whole.get("CommonPrefixes", [])
    assert all(page["KeyCount"] <= size for page in pages)


def test_a_page_goes_on_where_its_key_was_deleted(aws: AwsServices, s3: Any) -> None:
    first = s3.list_objects_v2(Bucket="bucket", MaxKeys=2)
    aws.store.delete("bucket", "a/2")
    rest = s3.list_objects_v2(Bucket="bucket", ContinuationToken=first["NextContinuationToken"])
    assert keys(first) + keys(rest) == sorted(set(KEYS) - {"a/2"}, key=str.encode)


def test_bad_arguments(s3: Any) -> None:
    with pytest.raises(ClientError, match=r"InvalidArgument.*token"):
        s3.list_objects_v2(Bucket="bucket", ContinuationToken="~")
    with pytest.raises(ClientError, match="max-keys"):
        s3.list_objects_v2(Bucket="bucket", MaxKeys=-1)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.list_objects_v2(Bucket="nowhere")


def test_names_are_escaped_for_clients_that_do_not_ask_for_url_encoding(aws: AwsServices, s3: Any) -> None:
    aws.store.put("bucket", "x<&>", b"")
    url = s3.generate_presigned_url(
        "list_objects_v2", Params={"Bucket": "bucket", "Prefix": "x", "EncodingType": "url"}
    )
    with urllib.request.urlopen(url.replace("&encoding-type=url", "")) as answer:  # noqa: S310 - our own server
        assert b"<Key>x&lt;&amp;&gt;</Key>" in answer.read()
