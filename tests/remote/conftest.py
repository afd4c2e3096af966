"""A service that is a dictionary."""

# ruff: noqa: N802, N803 - the service's own names

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import Endpoint, EndpointKind, S3Objects, ServiceError
from tunewright.runner.contract import BucketTerms


class FakeS3:
    """The calls of a boto3 client of S3 that `S3Objects` makes."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.n_gets = 0
        self.fails = False
        self.now = 0.0
        """Seconds since 1970."""
        self.modified: dict[str, float] = {}
        self.lost: list[ServiceError] = []
        """Errors of the next requests that write: they are answers to requests that were fulfilled."""
        self.before_get: Callable[[str], None] = lambda key: None

    def put_object(
        self, *, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str = "", IfMatch: str = ""
    ) -> dict[str, str]:
        if self.fails:
            raise ServiceError("AccessDenied", "no", status=403)
        if (IfNoneMatch and Key in self.content) or (IfMatch and IfMatch != etag(self.content[Key])):
            raise ServiceError("PreconditionFailed", "", status=412)
        self.content[Key] = Body
        self.modified[Key] = self.now
        if self.lost:
            raise self.lost.pop(0)
        return {"ETag": f'"{etag(Body)}"'}

    def upload_file(self, name: str, bucket: str, key: str) -> None:
        self.put_object(Bucket=bucket, Key=key, Body=Path(name).read_bytes())

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self.before_get(Key)
        if Key not in self.content:
            raise ServiceError("NoSuchKey", "", status=404)
        self.n_gets += 1
        return {"Body": io.BytesIO(self.content[Key])}

    def list_objects_v2(
        self, *, Bucket: str, Prefix: str, MaxKeys: int, StartAfter: str = ""
    ) -> dict[str, Any]:
        keys = sorted(key for key in self.content if key.startswith(Prefix) and key > StartAfter)[:MaxKeys]
        return {"Contents": [self._entry(key) for key in keys]}

    def _entry(self, key: str) -> dict[str, Any]:
        content, modified = self.content[key], datetime.fromtimestamp(self.modified.get(key, 0.0), UTC)
        return {"Key": key, "Size": len(content), "ETag": f'"{etag(content)}"', "LastModified": modified}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> None:
        for entry in Delete["Objects"]:
            self.content.pop(entry["Key"], None)


def etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class FakeSession:
    """SageMaker as a launch sees it."""

    s3: FakeS3 = field(default_factory=FakeS3)
    jobs: dict[str, str] = field(default_factory=dict[str, str])
    requests: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    tags: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """Tags of jobs by name."""
    quota: int = 100
    error: ServiceError | None = None
    calls: dict[str, int] = field(default_factory=dict[str, int])

    account = "123456789012"
    endpoint = Endpoint(kind=EndpointKind.EMBEDDED, region="us-east-1")

    def use_bucket(self, bucket: str, terms: BucketTerms) -> None:
        self.terms = bucket, terms

    def objects(self, bucket: str, prefix: str) -> S3Objects:
        return S3Objects(self.s3, bucket, prefix)

    def call(self, operation: str, **fields: Any) -> dict[str, Any]:
        return getattr(self, operation)(**fields)

    def CreateTrainingJob(self, *, TrainingJobName: str, **request: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        if TrainingJobName in self.jobs:
            raise ServiceError("ResourceInUse", "", status=400)
        if sum(status == "InProgress" for status in self.jobs.values()) >= self.quota:
            raise ServiceError("ResourceLimitExceeded", f"limit is {self.quota} Instances", status=400)
        self.jobs[TrainingJobName] = "InProgress"
        self.requests[TrainingJobName] = request
        return {}

    def ListTrainingJobs(self, *, NameContains: str, **_: Any) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "TrainingJobSummaries": [
                {
                    "TrainingJobName": name,
                    "TrainingJobArn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}",
                    "TrainingJobStatus": status,
                    "CreationTime": now,
                }
                for name, status in self.jobs.items()
                if NameContains in name
            ]
        }

    def DescribeTrainingJob(self, *, TrainingJobName: str) -> dict[str, Any]:
        if TrainingJobName not in self.jobs:
            raise ServiceError("ValidationException", "Requested resource not found.", status=400)
        return {
            "TrainingJobStatus": self.jobs[TrainingJobName],
            "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
        }

    def ListTags(self, *, ResourceArn: str) -> dict[str, Any]:
        tags = self.tags.get(ResourceArn.rpartition("/")[2], {})
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def UpdateTrainingJob(self, **_: Any) -> dict[str, Any]:
        return {}

    def StopTrainingJob(self, *, TrainingJobName: str) -> dict[str, Any]:
        self.jobs[TrainingJobName] = "Stopping"
        return {}


@pytest.fixture
def s3() -> FakeS3:
    """An empty bucket."""
    return FakeS3()


@pytest.fixture
def session() -> Any:
    return FakeSession()
