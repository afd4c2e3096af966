"""A connection to the services: clients, request rates and counts of calls."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

from tunewright.aws import boto
from tunewright.aws.embedded import EmbeddedEndpoint, announced_speed, restart_if_dead, start_or_join
from tunewright.aws.endpoint import Endpoint, EndpointKind
from tunewright.aws.objects import S3Objects, read_listings_quickly
from tunewright.exceptions import BackendError
from tunewright.runner.contract import BucketTerms, apply_terms

SERVICE_RATES: Final[Mapping[str, float]] = {
    "CreateTrainingJob": 1.0,
    "ListTrainingJobs": 1.0,
    "DescribeTrainingJob": 2.0,
    "StopTrainingJob": 2.0,
    "UpdateTrainingJob": 1.0,
    "Search": 1.0,
    "FilterLogEvents": 2.0,
    "GetLogEvents": 5.0,
    "DescribeLogStreams": 5.0,
}
"""Requests per service second by operation.

CreateTrainingJob has a quota of 1 per second (L-21A1652A). ListTrainingJobs has 2 per second, not adjustable; half of it
is left to other clients such as the console. The others are not published: these are cautious values, which throttling
lowers.
"""

DEFAULT_RATE: Final = 20.0
"""Requests per second of all other operations (S3, STS, IAM)."""

_RECOVERY_SECONDS: Final = 10.0
_RECOVERY_STEP: Final = 0.05
_LOWEST_SHARE: Final = 1 / 200
"""So low that hundreds of clients can share the quota of an account."""


@final
class TokenBucket:
    """Allows one request every ``1 / rate`` seconds; thread-safe.

    Throttling halves the rate (down to a two-hundredth), once for all requests sent at the old rate; every ten seconds
    without throttling restore five per cent of the full rate.

    Parameters
    ----------
    rate
        Requests per second.
    speed
        Divisor of the ten seconds.
    clock
        Monotonic seconds.
    sleep
        Function that waits for a number of seconds.

    Raises
    ------
    ValueError
        The rate is not positive.
    """

    def __init__(
        self,
        rate: float,
        *,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not rate > 0:
            raise ValueError(f"rate must be positive, got {rate}")
        self._full_rate = rate
        self._recovery = _RECOVERY_SECONDS / speed
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = clock()
        self._changed = self._next
        self._ignored_until = self._next

    @property
    def rate(self) -> float:
        """Current requests per second."""
        with self._lock:
            self._recover(self._clock())
            return self._rate

    def delay(self) -> float:
        """Seconds until the next request is allowed, 0 if it is now. Reserves nothing."""
        with self._lock:
            return max(0.0, self._next - self._clock())

    def acquire(self) -> None:
        """Reserve the next request and wait for its time."""
        with self._lock:
            now = self._clock()
            self._recover(now)
            start = max(now, self._next)
            self._next = start + 1 / self._rate
        if start > now:
            self._sleep(start - now)

    def throttled(self) -> None:
        """Record that the service throttled a request."""
        with self._lock:
            now = self._clock()
            self._recover(now)
            if now >= self._ignored_until:
                self._rate = max(self._rate / 2, self._full_rate * _LOWEST_SHARE)
            self._ignored_until = self._next = max(self._next, now + 1 / self._rate)
            self._changed = now

    def _recover(self, now: float) -> None:
        steps = int((now - self._changed) / self._recovery)
        if steps > 0:
            self._rate = min(self._full_rate, self._rate + steps * _RECOVERY_STEP * self._full_rate)
            self._changed += steps * self._recovery


@final
class Rates:
    """One bucket per operation, created on first use.

    Parameters
    ----------
    speed
        Service seconds per second, the factor of all rates.
    rates
        Requests per service second by operation.
    """

    def __init__(self, *, speed: float = 1.0, rates: Mapping[str, float] = SERVICE_RATES) -> None:
        self._speed = speed
        self._rates = rates
        self._buckets: dict[str, TokenBucket] = {}
        self._lock = threading.Lock()

    def bucket(self, operation: str) -> TokenBucket:
        """The bucket of an operation such as ``CreateTrainingJob``."""
        with self._lock:
            if operation not in self._buckets:
                rate = self._rates.get(operation, DEFAULT_RATE) * self._speed
                self._buckets[operation] = TokenBucket(rate, speed=self._speed)
            return self._buckets[operation]


EMULATED_ACCOUNT: Final = "123456789012"
"""Account of the embedded endpoint."""

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30
_ATTEMPTS: Final = 3
_CONNECTIONS: Final = 16

_SERVICES: Final[Mapping[str, str]] = {
    "FilterLogEvents": "logs",
    "DescribeLogStreams": "logs",
    "GetLogEvents": "logs",
    "GetProducts": "pricing",
}
"""Operations that are not SageMaker's."""
_PRICING_REGION: Final = "us-east-1"
"""Region of the Price List API, which knows the prices of all regions."""


@final
class AwsSession:
    """Clients of one endpoint; thread-safe.

    All requests are counted; those of :meth:`call` wait for their operation's token bucket. Opened by
    :func:`open_session`.

    Attributes
    ----------
    endpoint
        Target of the requests.
    account
        Number of the account, 12 digits.
    caller
        ARN of the user or the assumed role whose requests these are.

    Parameters
    ----------
    endpoint
        With an address, unless it is AWS.
    embedded
        Running server, whose lease is returned by :meth:`close`.
    """

    def __init__(self, endpoint: Endpoint, *, embedded: EmbeddedEndpoint | None = None) -> None:
        self.endpoint = endpoint
        self.account = ""
        self.caller = ""
        self._embedded = embedded
        self._rates = Rates(speed=endpoint.speed)
        self._calls: Counter[str] = Counter()
        self._clients: dict[str, Any] = {}
        self._terms: dict[str, BucketTerms] = {}
        self._lock = threading.Lock()
        self._attempts = _ATTEMPTS
        self.on_throttled: Callable[[str], None] = lambda _: None
        """Called with each operation that the service throttles, in the thread of the request."""
        self._session = self._boto_session()

    @property
    def calls(self) -> Mapping[str, int]:
        """Number of requests by operation, retries included."""
        with self._lock:
            return dict(sorted(self._calls.items()))

    def client(self, service: str) -> Any:
        """The boto3 client of a service such as ``sagemaker``; created once."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def send_once(self) -> None:
        """Disable boto3's retries for SageMaker, for callers that retry later and have other work meanwhile.

        Call this before the first request. Requests of S3 keep their retries.
        """
        self._attempts = 1

    def bucket_of(self, operation: str) -> TokenBucket:
        """Token bucket of an operation."""
        return self._rates.bucket(operation)

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send one request to SageMaker, CloudWatch Logs or the Price List at its allowed rate.

        Parameters
        ----------
        operation
            Such as ``CreateTrainingJob``.
        **parameters
            Members of the request.

        Returns
        -------
        dict
            Members of the response.

        Raises
        ------
        ServiceError
            The service rejected the request or did not respond.
        """
        xform_name = boto.load("botocore").xform_name
        client = self.client(_SERVICES.get(operation, "sagemaker"))
        self._rates.bucket(operation).acquire()
        with boto.service_errors():
            return getattr(client, xform_name(operation))(**parameters)

    def objects(self, bucket: str, prefix: str) -> S3Objects:
        """Objects of a bucket under a prefix."""
        return S3Objects(self.client("s3"), bucket, prefix)

    def use_bucket(self, bucket: str, terms: BucketTerms) -> None:
        """Set the terms of all later requests to a bucket; see :func:`~tunewright.aws.account.choose_bucket`."""
        self._terms[bucket] = terms

    def terms_of(self, bucket: str) -> BucketTerms:
        """Terms of the requests to a bucket."""
        return self._terms.get(bucket, BucketTerms())

    def revive(self) -> None:
        """Restart the embedded endpoint if it is dead; no effect for other endpoints.

        Raises
        ------
        BackendError
            The endpoint did not start.
        """
        if self._embedded is not None:
            restart_if_dead(self._embedded)

    def close(self) -> None:
        """Close all connections and return the lease on the embedded endpoint. A second call has no effect."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()
        if self._embedded is not None:
            self._embedded.lease.release()

    def _boto_session(self) -> Any:
        credentials = self.endpoint.credentials
        keys = (credentials.access_key, credentials.secret_key) if credentials else (None, None)
        with boto.service_errors():
            return boto.new_session(
                self.endpoint.region,
                *keys,
                profile=self.endpoint.profile,
                assume_role=self.endpoint.assume_role,
                url=self.endpoint.url,
            )

    def _make_client(self, service: str) -> Any:
        config = boto.load("botocore.config").Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            max_pool_connections=_CONNECTIONS,
            retries={
                "mode": "standard",
                "total_max_attempts": self._attempts if service == "sagemaker" else _ATTEMPTS,
            },
            **({"s3": {"addressing_style": "path"}, "proxies": {}} if self.endpoint.url else {}),
        )
        region = _PRICING_REGION if service == "pricing" else None
        client = self._session.client(
            service, region_name=region, endpoint_url=self.endpoint.url, config=config
        )
        client.meta.events.register("before-send", self._count)
        client.meta.events.register("response-received", self._learn)
        if service == "s3":
            apply_terms(client, self.terms_of)
            read_listings_quickly(client)
        return client

    def _count(self, event_name: str, **_: Any) -> None:
        with self._lock:
            self._calls[event_name.rpartition(".")[2]] += 1

    def _learn(self, event_name: str, parsed_response: Any = None, **_: Any) -> None:
        answer: dict[str, dict[str, str]] = parsed_response or {}
        code = answer.get("Error", {}).get("Code", "")
        if boto.ServiceError(code, "").is_throttling:
            operation = event_name.rpartition(".")[2]
            self._rates.bucket(operation).throttled()
            self.on_throttled(operation)


def open_session(endpoint: Endpoint, *, root: Path | None = None) -> AwsSession:
    """Open a session: start or join the embedded endpoint if it is the target, and check the credentials.

    Parameters
    ----------
    endpoint
        From :func:`~tunewright.aws.endpoint.resolve_endpoint`.
    root
        Folder of the embedded endpoints; default ``$TUNEWRIGHT_HOME/endpoint``.

    Raises
    ------
    BackendError
        No endpoint, or missing or expired credentials; the message has the remedy. Nothing was created.
    MissingExtraError
        boto3 or the emulator's packages are not installed.
    """
    embedded = None
    if endpoint.kind is EndpointKind.EMBEDDED and endpoint.url is None:
        embedded = start_or_join(endpoint, root=root)
        endpoint = embedded.endpoint
    elif endpoint.kind is EndpointKind.OTHER and endpoint.url is not None:
        endpoint = replace(endpoint, speed=announced_speed(endpoint.url) or endpoint.speed)
    session = AwsSession(endpoint, embedded=embedded)
    try:
        with boto.service_errors():
            identity = session.client("sts").get_caller_identity()
        session.account, session.caller = str(identity["Account"]), str(identity["Arn"])
    except boto.ServiceError as error:
        session.close()
        raise BackendError(_connection_trouble(endpoint, error)) from error
    return session


def _connection_trouble(endpoint: Endpoint, error: boto.ServiceError) -> str:
    where = endpoint.url or f"AWS in {endpoint.region}"
    if error.code == boto.NO_CREDENTIALS:
        return f"No usable AWS credentials ({error.text}): {error.remedy}"
    if error.is_forbidden and endpoint.assume_role:
        return (
            f"The role {endpoint.assume_role} cannot be assumed ({error.text}): its trust policy and your own "
            "permissions must allow sts:AssumeRole; or correct --assume_role"
        )
    if error.is_denied:
        return f"{where} does not accept the credentials ({error}): {error.remedy}"
    return f"{where} does not answer ({error.text}): check the address, the region and the network"
