"""S3 over HTTP and in process: both see the same, and a restart keeps it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.storage import AwsServices, NoSuchObjectError

HOSTILE_KEYS = [
    "../../etc/passwd",
    "a/../../b",
    "..",
    "/absolute",
    "a//b",
    "dot/.",
    "folder/",
    "a b+c%41&d=e?f#g",
    "日本/é",
    "quote\"<&>'",
    "long/" + "k" * 1000,
]


def reopened(aws: AwsServices) -> AwsServices:
    return AwsServices(aws.directory, region="us-east-1")


@pytest.fixture
def s3(client: Callable[[str], Any]) -> Any:
    made = client("s3")
    made.create_bucket(Bucket="bucket")
    return made


def test_a_restart_keeps_objects_with_their_metadata(aws: AwsServices, s3: Any) -> None:
    key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/mine"}
    s3.put_object(
        Bucket="bucket", Key="a", Body=b"one", ContentType="text/plain", Metadata={"owner": "me"}, **key
    )
    before = s3.head_object(Bucket="bucket", Key="a")
    assert reopened(aws).store.get("bucket", "a") == b"one"
    after = s3.head_object(Bucket="bucket", Key="a")  # the server still runs, on what was loaded again
    assert (after["ServerSideEncryption"], after["SSEKMSKeyId"]) == ("aws:kms", "alias/mine")
    for field in ("ETag", "ContentLength", "ContentType", "Metadata", "LastModified"):
        assert after[field] == before[field]


def test_every_kind_of_write_survives_a_restart(aws: AwsServices, s3: Any) -> None:
    body = os.urandom(9 << 20)
    s3.upload_fileobj(io.BytesIO(body), "bucket", "multipart")
    s3.put_object(Bucket="bucket", Key="first", Body=b"old")
    s3.put_object(Bucket="bucket", Key="first", Body=b"new")
    s3.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "first"})
    for key in ("gone-1", "gone-2", "gone-3"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"x")
    s3.delete_object(Bucket="bucket", Key="gone-1")
    s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "gone-2"}, {"Key": "gone-3"}]})
    s3.create_bucket(Bucket="removed")
    s3.delete_bucket(Bucket="removed")
    etag = s3.head_object(Bucket="bucket", Key="multipart")["ETag"]

    store = reopened(aws).store
    assert {found.key for found in store.objects("bucket")} == {"multipart", "first", "copy"}
    assert store.get("bucket", "multipart") == body
    assert s3.head_object(Bucket="bucket", Key="multipart")["ETag"] == etag
    assert etag.endswith('-2"')
    assert store.get("bucket", "first") == store.get("bucket", "copy") == b"new"
    assert not store.bucket_exists("removed")


def test_no_key_leaves_the_folder_or_is_lost(aws: AwsServices, s3: Any) -> None:
    for key in HOSTILE_KEYS:
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    outside = [path for path in aws.directory.parent.iterdir() if path != aws.directory]
    assert outside == []
    files = [path for path in aws.directory.rglob("*") if path.is_file()]
    assert len(files) == len(HOSTILE_KEYS) + 1
    assert all(path.parent == aws.directory / "s3" / "bucket" for path in files)

    store = reopened(aws).store
    assert sorted(found.key for found in store.objects("bucket")) == sorted(HOSTILE_KEYS)
    for key in HOSTILE_KEYS:
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == key.encode()


def test_in_process_writes_are_seen_over_http_and_the_other_way_round(aws: AwsServices, s3: Any) -> None:
    aws.store.put("bucket", "here", b"1", content_type="text/csv")
    answer = s3.get_object(Bucket="bucket", Key="here")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"1", "text/csv")
    s3.put_object(Bucket="bucket", Key="there", Body=b"22")
    found = aws.store.head("bucket", "there")
    assert found is not None
    assert (found.size, f'"{found.etag}"') == (2, s3.head_object(Bucket="bucket", Key="there")["ETag"])
    aws.store.copy("bucket", "there", "third")
    aws.store.delete("bucket", "there")
    aws.store.delete("bucket", "there")
    with pytest.raises(ClientError, match="Not Found"):
        s3.head_object(Bucket="bucket", Key="there")
    assert s3.get_object(Bucket="bucket", Key="third")["Body"].read() == b"22"


def test_what_is_missing_is_named(aws: AwsServices) -> None:
    aws.store.create_bucket("bucket")
    aws.store.create_bucket("bucket")
    with pytest.raises(NoSuchObjectError, match="s3://bucket/nothing"):
        aws.store.get("bucket", "nothing")
    with pytest.raises(NoSuchObjectError, match="s3://nowhere/key"):
        aws.store.put("nowhere", "key", b"")
    assert aws.store.head("nowhere", "key") is None
    assert aws.store.objects("nowhere") == []


def test_a_conditional_write_that_is_refused_changes_nothing(aws: AwsServices, s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="once", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="bucket", Key="once", Body=b"second", IfNoneMatch="*")
    assert reopened(aws).store.get("bucket", "once") == b"first"


def test_a_deleted_object_of_a_versioned_bucket_is_gone_after_a_restart(aws: AwsServices, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket="bucket", Key="kept", Body=body)
    s3.put_object(Bucket="bucket", Key="deleted", Body=b"x")
    s3.delete_object(Bucket="bucket", Key="deleted")
    store = reopened(aws).store
    assert [found.key for found in store.objects("bucket")] == ["kept"]
    assert store.get("bucket", "kept") == b"2"


def test_a_write_that_cannot_be_kept_is_not_answered_as_success(aws: AwsServices, s3: Any) -> None:
    folder = aws.directory / "s3" / "bucket"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    s3.meta.config.retries = None
    with pytest.raises(ClientError, match="cannot be kept on disk"):
        s3.put_object(Bucket="bucket", Key="a", Body=b"x")


def test_torn_and_foreign_files_are_not_loaded(aws: AwsServices) -> None:
    aws.store.create_bucket("bucket")
    aws.store.put("bucket", "whole", b"1")
    folder = aws.directory / "s3" / "bucket"
    (folder / "torn.object").write_bytes(b'{"key": "half')
    (folder / "foreign.object").write_bytes(b'{"name": 1}\n')
    (folder / ".1-1.tmp").write_bytes(b"unfinished")
    assert [found.key for found in reopened(aws).store.objects("bucket")] == ["whole"]
    assert list(folder.glob("*.tmp")) == []


def test_an_odd_bucket_name_stays_inside(tmp_path: Path) -> None:
    aws = AwsServices(tmp_path / "emulator", region="us-east-1")
    aws.store.create_bucket("...")
    aws.store.put("...", "k", b"1")
    assert list(tmp_path.iterdir()) == [aws.directory]
    assert reopened(aws).store.get("...", "k") == b"1"


ALIEN = "210987654321"


def test_requests_that_expect_another_owner_are_refused(aws: AwsServices, s3: Any) -> None:
    aws.store.create_bucket("taken", owner=ALIEN)
    s3.put_object(Bucket="taken", Key="a", Body=b"1", ExpectedBucketOwner=ALIEN)
    assert s3.get_object(Bucket="taken", Key="a")["Body"].read() == b"1", "open to those that do not ask"
    reopened(aws)
    ours = {"Bucket": "taken", "ExpectedBucketOwner": "123456789012"}
    copied = {"CopySource": {"Bucket": "taken", "Key": "a"}, "ExpectedSourceBucketOwner": "123456789012"}
    refused: list[Callable[[], Any]] = [
        lambda: s3.head_bucket(**ours),
        lambda: s3.put_object(**ours, Key="b", Body=b""),
        lambda: s3.get_object(**ours, Key="a"),
        lambda: s3.head_object(**ours, Key="a"),
        lambda: s3.list_objects_v2(**ours),
        lambda: s3.delete_object(**ours, Key="a"),
        lambda: s3.delete_objects(**ours, Delete={"Objects": [{"Key": "a"}]}),
        lambda: s3.create_multipart_upload(**ours, Key="b"),
        lambda: s3.copy_object(Bucket="bucket", Key="c", **copied),
    ]
    for request in refused:
        with pytest.raises(ClientError) as caught:
            request()
        assert caught.value.response["Error"]["Code"] in {"AccessDenied", "403"}
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert [found.key for found in aws.store.objects("taken")] == ["a"]
    assert aws.store.objects("bucket") == []


def test_a_taken_name_of_a_bucket_and_an_owner_that_is_none(aws: AwsServices, s3: Any) -> None:
    aws.store.create_bucket("taken", owner=ALIEN)
    with pytest.raises(ClientError, match="BucketAlreadyExists"):
        s3.create_bucket(Bucket="taken")
    with pytest.raises(ClientError, match="InvalidBucketOwnerAWSAccountID"):
        s3.get_object(Bucket="bucket", Key="a", ExpectedBucketOwner="me")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.list_objects_v2(Bucket="nowhere", ExpectedBucketOwner=ALIEN)
