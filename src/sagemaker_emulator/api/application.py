"""The WSGI application: training jobs and quotas are answered here, other services by moto.

Requests with a wrong access key are rejected.
"""

from __future__ import annotations

import hmac
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final
from uuid import uuid4
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from sagemaker_emulator.api.operations import Operations
from sagemaker_emulator.api.quotas import TARGET_PREFIX as QUOTAS_PREFIX
from sagemaker_emulator.api.quotas import RequestRates, ServiceQuotas
from sagemaker_emulator.api.status_page import CallCounts, status_page
from sagemaker_emulator.service.engine import Engine
from sagemaker_emulator.service.errors import ServiceError, throttled, unknown_key
from sagemaker_emulator.service.faults import FaultInjector, parse_faults

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


MIMETYPE: Final = "application/x-amz-json-1.1"


def json_answer(members: Mapping[str, Any] | None, status: int = 200) -> Response:
    """Response with these members; None for an operation without a response body."""
    body = "" if members is None else json.dumps(members)
    return Response(body, status=status, mimetype=MIMETYPE, headers={"x-amzn-RequestId": str(uuid4())})


def json_error(error: ServiceError) -> Response:
    """HTTP 400 with code and message of the error."""
    return json_answer({"__type": error.code, "message": error.message}, status=400)


_CREDENTIAL: Final = re.compile(r"Credential=([^/,\s]+)/\d+/[^/]*/([^/]*)/aws4_request")
_REFUSED: Final = "The security token included in the request is invalid."


@dataclass(frozen=True, slots=True)
class Caller:
    """Access key and service of a request's signature; both empty without one. The signature is not verified."""

    access_key: str
    service: str


def caller_of(request: Request) -> Caller:
    """Parse the signature of the header, or of a presigned URL's query (signature version 2 or 4)."""
    old_style = request.args.get("AWSAccessKeyId")
    if old_style is not None:
        return Caller(old_style, "s3")
    presigned = request.args.get("X-Amz-Credential")
    text = request.headers.get("Authorization", "") if presigned is None else f"Credential={presigned}"
    found = _CREDENTIAL.search(text)
    return Caller(*found.groups()) if found else Caller("", "")


def is_same_key(given: str, expected: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


def refusal(caller: Caller, *, is_json: bool) -> Response:
    """Response to a wrong access key, in the words of the requested service."""
    if is_json:
        return json_error(unknown_key())
    if caller.service in {"sts", "iam"}:
        error = f"<Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>{_REFUSED}</Message></Error>"
        return _xml(f"<ErrorResponse>{error}<RequestId>emulator</RequestId></ErrorResponse>")
    return _xml(
        "<Error><Code>InvalidAccessKeyId</Code>"
        "<Message>The AWS Access Key Id you provided does not exist in our records.</Message>"
        f"<AWSAccessKeyId>{escape(caller.access_key)}</AWSAccessKeyId></Error>"
    )


def _xml(document: str) -> Response:
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?>{document}', status=403, mimetype="application/xml"
    )


VERSION: Final = "0.1.0"
"""Version of the emulator, shown by ``/_health``."""
TARGET_PREFIX: Final = "SageMaker."
LOGS_PREFIX: Final = "Logs_20140328."
KEY_HEADER: Final = "x-emulator-key"
_WITHOUT_BODY: Final = frozenset({"StopTrainingJob", "DeleteTrainingJob"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Objects that the application routes requests to."""

    engine: Engine
    operations: Operations
    quotas: ServiceQuotas
    aws: WSGIApplication
    """Application for S3, Logs, STS and IAM."""
    faults: FaultInjector
    rates: RequestRates | None
    """None: no throttling."""
    access_key: str
    speed: float


@final
class Application:
    """Routes requests.

    ``GET /_health`` needs no key. ``/_status`` needs the access key as ``?key=`` or in the header ``x-emulator-key``,
    ``/_faults`` (GET, POST to add, DELETE to clear) in that header. All other requests need an AWS signature with that
    access key.
    """

    def __init__(self, components: Components) -> None:
        self._components = components
        self._started = time.time()
        self._counts: Counter[str] = Counter()
        self._throttled: Counter[str] = Counter()
        self._own_pages: Mapping[str, Callable[[Request], Response]] = {
            "/_health": self._health,
            "/_faults": self._change_faults,
            "/_status": self._status,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        page = self._own_pages.get(request.path)
        if page is not None:
            return page(request)(environ, start_response)
        target = request.headers.get("X-Amz-Target", "")
        caller = caller_of(request)
        if not is_same_key(caller.access_key, self._components.access_key):
            request.get_data()  # so that the connection can be reused
            return refusal(caller, is_json=bool(target))(environ, start_response)
        if target.startswith(QUOTAS_PREFIX):
            return self._answer_quotas(target.removeprefix(QUOTAS_PREFIX), request)(environ, start_response)
        if not target.startswith(TARGET_PREFIX):
            return self._forward(environ, start_response)
        operation = target.removeprefix(TARGET_PREFIX)
        response = self._answer(operation, request)
        if response.status_code == 200 and self._components.faults.trigger("lost_answer", operation):
            _close_connection(environ)
        return response(environ, start_response)

    def _answer(self, operation: str, request: Request) -> Response:
        body = request.get_data()
        self._counts[operation] += 1
        try:
            self._check_rate(operation)
            answer = self._components.operations.execute(operation, _members(body))
        except ServiceError as error:
            return json_error(error)
        return json_answer(None if operation in _WITHOUT_BODY else answer)

    def _check_rate(self, operation: str) -> None:
        try:
            if self._components.faults.trigger("throttle", operation):
                raise throttled()
            if self._components.rates is not None:
                self._components.rates.acquire(operation)
        except ServiceError:
            self._throttled[operation] += 1
            raise

    def _answer_quotas(self, operation: str, request: Request) -> Response:
        try:
            return json_answer(self._components.quotas.execute(operation, _members(request.get_data())))
        except ServiceError as error:
            return json_error(error)

    def _forward(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Forward a request for another service, after S3's faults and the rates of CloudWatch Logs."""
        faults = self._components.faults
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if target.startswith(LOGS_PREFIX):
            operation = target.removeprefix(LOGS_PREFIX)
            self._counts[operation] += 1
            try:
                self._check_rate(operation)
            except ServiceError as error:
                return json_error(error)(environ, start_response)
        if not target:
            path = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"
            slow = faults.trigger("slow_s3", path)
            if slow:
                time.sleep(slow.seconds)
            if faults.trigger("s3_error", path):
                return _slow_down()(environ, start_response)
        return self._components.aws(environ, start_response)

    def _status(self, request: Request) -> Response:
        given = request.args.get("key") or request.headers.get(KEY_HEADER, "")
        if not is_same_key(given, self._components.access_key):
            return Response(
                "The access key is missing: /_status?key=ACCESS_KEY\n", status=403, mimetype="text/plain"
            )
        traffic = CallCounts(dict(self._counts), dict(self._throttled))
        page = status_page(self._components.engine, traffic, self._components.faults.describe())
        return Response(page, mimetype="text/html")

    def _health(self, _request: Request) -> Response:
        return json_answer(
            {
                "version": VERSION,
                "speed": self._components.speed,
                "started": self._started,
                "calls": dict(self._counts),
            }
        )

    def _change_faults(self, request: Request) -> Response:
        if not is_same_key(request.headers.get(KEY_HEADER, ""), self._components.access_key):
            return json_answer({"message": f"the header {KEY_HEADER} must hold the access key"}, status=403)
        faults = self._components.faults
        try:
            if request.method == "POST":
                faults.add(parse_faults(json.loads(request.get_data())))
            elif request.method == "DELETE":
                faults.clear()
        except ValueError as error:
            return json_answer({"message": str(error)}, status=400)
        return json_answer({"faults": faults.describe()})


def _slow_down() -> Response:
    error = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    return Response(error, status=503, mimetype="application/xml")


def _members(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except ValueError as error:
        raise ServiceError("SerializationException", f"The request is not JSON: {error}") from error


def _close_connection(environ: WSGIEnvironment) -> None:
    """Close the connection, so that the response is lost."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
