"""AWS: endpoints, sessions, request rates, S3 objects, account, images and prices. The only importer of boto3."""

from __future__ import annotations

from tunewright.aws.account import (
    ROLE_VARIABLE,
    choose_bucket,
    default_bucket,
    ensure_bucket,
    find_bucket,
    find_role,
)
from tunewright.aws.boto import ServiceError, request_problems
from tunewright.aws.catalog import (
    DEFAULT_VERSION,
    Price,
    check_image,
    given_price,
    gpus_of,
    has_gpu,
    has_local_disks,
    image_uri,
    origins,
    price_per_hour,
    prices_at,
    shipped_prices,
    support_warning,
)
from tunewright.aws.endpoint import REMOTE_VARIABLE, Credentials, Endpoint, EndpointKind, resolve_endpoint
from tunewright.aws.objects import S3Objects, StoredObject
from tunewright.aws.session import AwsSession, Rates, TokenBucket, open_session

__all__ = [
    "DEFAULT_VERSION",
    "REMOTE_VARIABLE",
    "ROLE_VARIABLE",
    "AwsSession",
    "Credentials",
    "Endpoint",
    "EndpointKind",
    "Price",
    "Rates",
    "S3Objects",
    "ServiceError",
    "StoredObject",
    "TokenBucket",
    "check_image",
    "choose_bucket",
    "default_bucket",
    "ensure_bucket",
    "find_bucket",
    "find_role",
    "given_price",
    "gpus_of",
    "has_gpu",
    "has_local_disks",
    "image_uri",
    "open_session",
    "origins",
    "price_per_hour",
    "prices_at",
    "request_problems",
    "resolve_endpoint",
    "shipped_prices",
    "support_warning",
]
