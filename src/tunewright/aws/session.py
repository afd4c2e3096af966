"""A connection to the services: clients, request rates, counts of calls."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

from tunewright.aws import boto
from tunewright.aws.embedded import EmbeddedEndpoint, announced_speed, restart_if_dead, start_or_join
from tunewright.aws.endpoint import Endpoint, EndpointKind
from tunewright.aws.objects import S3Objects
from tunewright.aws.rates import Rates, TokenBucket
from tunewright.exceptions import BackendError

EMULATED_ACCOUNT: Final = "123456789012"
"""The account of the embedded endpoint."""

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30
_ATTEMPTS: Final = 3
_CONNECTIONS: Final = 16

_SERVICES: Final[Mapping[str, str]] = {
    "FilterLogEvents": "logs",
    "DescribeLogStreams": "logs",
    "GetLogEvents": "logs",
}
"""Operations that are not SageMaker's."""


@final
class AwsSession:
    """Clients of one endpoint; thread-safe.

    Every request is counted, and waits for its operation's token bucket first where it goes through :meth:`call`.
    Opened by :func:`open_session`.

    Attributes
    ----------
    endpoint
        Where requests go.
    account
        The twelve digits of the account.

    Parameters
    ----------
    endpoint
        With an address where it is not AWS.
    embedded
        The running server whose lease is returned by :meth:`close`.
    """

    def __init__(self, endpoint: Endpoint, *, embedded: EmbeddedEndpoint | None = None) -> None:
        self.endpoint = endpoint
        self.account = ""
        self._embedded = embedded
        self._rates = Rates(speed=endpoint.speed)
        self._calls: Counter[str] = Counter()
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._attempts = _ATTEMPTS
        self._session = self._boto_session()

    @property
    def calls(self) -> Mapping[str, int]:
        """Requests sent so far by operation, repeated ones included."""
        with self._lock:
            return dict(sorted(self._calls.items()))

    def client(self, service: str) -> Any:
        """The boto3 client of a service such as ``sagemaker``; made once."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def send_once(self) -> None:
        """Send each request of SageMaker only once, because the caller does it again later and has other work meanwhile.

        Otherwise a request that is refused as one too many is repeated after a pause, as those of S3 always are. To be
        said before the first request.
        """
        self._attempts = 1

    def bucket_of(self, operation: str) -> TokenBucket:
        """The token bucket of an operation."""
        return self._rates.bucket(operation)

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send one request of SageMaker or CloudWatch Logs when its rate allows it.

        Parameters
        ----------
        operation
            Such as ``CreateTrainingJob``.
        **parameters
            The request's fields.

        Returns
        -------
        dict
            The answer's fields.

        Raises
        ------
        ServiceError
            The service refused, or no answer came.
        """
        xform_name = boto.load("botocore").xform_name
        client = self.client(_SERVICES.get(operation, "sagemaker"))
        self._rates.bucket(operation).acquire()
        with boto.service_errors():
            return getattr(client, xform_name(operation))(**parameters)

    def objects(self, bucket: str, prefix: str) -> S3Objects:
        """The objects of a bucket under a prefix."""
        return S3Objects(self.client("s3"), bucket, prefix)

    def revive(self) -> None:
        """Start the embedded endpoint again if it has died; nothing elsewhere.

        Raises
        ------
        BackendError
            It does not start.
        """
        if self._embedded is not None:
            restart_if_dead(self._embedded)

    def close(self) -> None:
        """Close all connections and return the lease on the embedded endpoint. A second call does nothing."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()
        if self._embedded is not None:
            self._embedded.lease.release()

    def _boto_session(self) -> Any:
        credentials = self.endpoint.credentials
        keys = (
            {"aws_access_key_id": credentials.access_key, "aws_secret_access_key": credentials.secret_key}
            if credentials
            else {}
        )
        with boto.service_errors():
            return boto.load("boto3").Session(region_name=self.endpoint.region, **keys)

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
        client = self._session.client(service, endpoint_url=self.endpoint.url, config=config)
        client.meta.events.register("before-send", self._count)
        client.meta.events.register("response-received", self._learn)
        return client

    def _count(self, event_name: str, **_: Any) -> None:
        with self._lock:
            self._calls[event_name.rpartition(".")[2]] += 1

    def _learn(self, event_name: str, parsed_response: Any = None, **_: Any) -> None:
        code = (parsed_response or {}).get("Error", {}).get("Code", "")
        if boto.ServiceError(code, "").is_throttling:
            self._rates.bucket(event_name.rpartition(".")[2]).throttled()


def open_session(endpoint: Endpoint, *, root: Path | None = None) -> AwsSession:
    """Connect: start or join the embedded endpoint where it is meant, and prove the credentials.

    Parameters
    ----------
    endpoint
        From :func:`~tunewright.aws.endpoint.resolve_endpoint`.
    root
        Folder of the embedded endpoints; default ``$TUNEWRIGHT_HOME/endpoint``.

    Raises
    ------
    BackendError
        No endpoint, no credentials, or expired ones; the message names the remedy. Nothing was created.
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
            session.account = str(session.client("sts").get_caller_identity()["Account"])
    except boto.ServiceError as error:
        session.close()
        raise BackendError(_connection_trouble(endpoint, error)) from error
    return session


def _connection_trouble(endpoint: Endpoint, error: boto.ServiceError) -> str:
    where = endpoint.url or f"AWS in {endpoint.region}"
    if error.code == boto.NO_CREDENTIALS:
        return f"No usable AWS credentials ({error.text}): {error.remedy}"
    if error.is_denied:
        return f"{where} does not accept the credentials ({error}): {error.remedy}"
    return f"{where} does not answer ({error.text}): check the address, the region and the network"
