"""AWS: endpoints, sessions, request rates, S3 objects, account, images and prices. The only importer of boto3."""

from __future__ import annotations

from tunewright.aws.account import ROLE_VARIABLE, choose_bucket, default_bucket, ensure_bucket, find_role
from tunewright.aws.boto import ServiceError
from tunewright.aws.catalog import gpus_of, has_gpu, has_local_disks, image_uri, price_per_hour
from tunewright.aws.endpoint import REMOTE_VARIABLE, Credentials, Endpoint, EndpointKind, resolve_endpoint
from tunewright.aws.objects import S3Objects, StoredObject
from tunewright.aws.session import AwsSession, Rates, TokenBucket, open_session

__all__ = [
    "REMOTE_VARIABLE",
    "ROLE_VARIABLE",
    "AwsSession",
    "Credentials",
    "Endpoint",
    "EndpointKind",
    "Rates",
    "S3Objects",
    "ServiceError",
    "StoredObject",
    "TokenBucket",
    "choose_bucket",
    "default_bucket",
    "ensure_bucket",
    "find_role",
    "gpus_of",
    "has_gpu",
    "has_local_disks",
    "image_uri",
    "open_session",
    "price_per_hour",
    "resolve_endpoint",
]
