"""The WSGI application: training jobs and quotas are answered here, other services by moto.

Requests with a wrong access key are rejected.
"""

from __future__ import annotations

import hmac
import json
import re
import socket
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, cast, final
from urllib.parse import unquote
from uuid import uuid4
from xml.sax.saxutils import escape

from botocore.auth import HmacV1Auth
from werkzeug.wrappers import Request, Response

from sagemaker_emulator.api.operations import Operations
from sagemaker_emulator.api.quotas import TARGET_PREFIX as QUOTAS_PREFIX
from sagemaker_emulator.api.quotas import RequestRates, ServiceQuotas
from sagemaker_emulator.api.status_page import CallCounts, status_page
from sagemaker_emulator.service.engine import Engine
from sagemaker_emulator.service.errors import ServiceError, invalid, throttled, unknown_key
from sagemaker_emulator.service.faults import FaultInjector, parse_faults
from sagemaker_emulator.storage.application import PRINCIPAL
from sagemaker_emulator.storage.permissions import (
    CREDENTIALS_PATH,
    DeniedError,
    Need,
    NoSuchKeyError,
    Permissions,
    Principal,
    create_needs,
)

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
    """Access key and service of a request's signature; both empty without one. Only presigned URLs' signatures are verified."""

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


def presigned_trouble(request: Request, secret_key: str, now: datetime) -> tuple[str, str] | None:
    """Code and message of S3's refusal of a presigned URL; None for a valid one, and for other requests.

    The sources are "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" of S3's API reference, and "Signing
    and authenticating REST requests" for version 2.
    """
    given = request.args
    target: str = request.environ.get("RAW_URI", request.full_path)
    path, _, query = target.partition("?")
    if "AWSAccessKeyId" in given:
        expires = given.get("Expires", "")
        if not expires.isascii() or not expires.isdecimal():
            return _NO_QUERY
        ends = datetime.fromtimestamp(min(int(expires), _LAST_SECOND), UTC)
        expected = _signature_2(request, secret_key, path, query, expires)
        signature = given.get("Signature", "")
    elif "X-Amz-Credential" in given:
        begins = _DATE.fullmatch(given.get("X-Amz-Date", ""))
        seconds = given.get("X-Amz-Expires", "")
        if (
            begins is None
            or not _SECONDS.fullmatch(seconds)
            or not 0 < int(seconds) <= _MAX_PRESIGNED_SECONDS
        ):
            return _NO_QUERY
        try:
            ends = datetime.strptime(begins[0], "%Y%m%dT%H%M%S%z") + timedelta(seconds=int(seconds))
        except ValueError:
            return _NO_QUERY
        expected = _signature_4(request, secret_key, path, query)
        signature = given.get("X-Amz-Signature", "")
    else:
        return None
    if now > ends:
        return "AccessDenied", "Request has expired"
    return None if is_same_key(signature, expected) else ("SignatureDoesNotMatch", _NO_MATCH)


_DATE: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SECONDS: Final = re.compile(r"\d{1,7}", re.ASCII)
_LAST_SECOND: Final = 10**11
_MAX_PRESIGNED_SECONDS: Final = 7 * 86400
_NO_QUERY: Final = (
    "AuthorizationQueryParametersError",
    "Query-string authentication requires a date and a valid number of seconds until it expires",
)
_NO_MATCH: Final = "The request signature we calculated does not match the signature you provided. Check your key and signing method."


def _signature_4(request: Request, secret_key: str, path: str, query: str) -> str:
    """Signature of version 4 of a presigned request, from its target as sent."""
    given = request.args
    names = given.get("X-Amz-SignedHeaders", "").split(";")
    headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names]
    pairs = sorted(
        pair.partition("=") for pair in query.split("&") if not pair.startswith("X-Amz-Signature=")
    )
    lines = [
        request.method,
        path,
        "&".join(f"{name}={value}" for name, _, value in pairs),
        *headers,
        "",
        ";".join(names),
        "UNSIGNED-PAYLOAD",
    ]
    scope = given.get("X-Amz-Credential", "").partition("/")[2]
    digest = sha256("\n".join(lines).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", given.get("X-Amz-Date", ""), scope, digest])
    key = f"AWS4{secret_key}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def _signature_2(request: Request, secret_key: str, path: str, query: str, expires: str) -> str:
    """Signature of version 2 of a presigned request, from its target as sent."""
    pairs = [
        (name, equals, unquote(value))
        for name, equals, value in (each.partition("=") for each in query.split("&"))
    ]
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {name: value for name, _, value in pairs if name.startswith(("x-amz-", "content-"))}
    resources = sorted(
        f"{name}{equals}{value}" for name, equals, value in pairs if name in HmacV1Auth.QSAOfInterest
    )
    lines = [
        request.method,
        headers.get("content-md5", ""),
        headers.get("content-type", ""),
        expires,
        *(f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-amz-")),
        f"{path}?{'&'.join(resources)}" if resources else path,
    ]
    return b64encode(hmac.digest(secret_key.encode(), "\n".join(lines).encode(), "sha1")).decode()


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


def _s3_refusal(code: str, message: str) -> Response:
    return _xml(f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>")


def _xml(document: str) -> Response:
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?>{document}', status=403, mimetype="application/xml"
    )


VERSION: Final = "0.1.0"
"""Version of the emulator, shown by ``/_health``."""
TARGET_PREFIX: Final = "SageMaker."
LOGS_PREFIX: Final = "Logs_20140328."
KEY_HEADER: Final = "x-emulator-key"
MAX_OBJECT_BYTES: Final = 5 << 30
"""Maximum body of a request to S3, as of S3 itself."""
MAX_BODY_BYTES: Final = 16 << 20
"""Maximum body of all other requests."""
_ADMITTED: Final = "sagemaker_emulator.admitted"
"""Entry of the environ of a request whose key was checked."""
_WITHOUT_KEY: Final = frozenset({"/_health", CREDENTIALS_PATH})
"""Pages that need no access key; credentials need a job's token."""
_PAGE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
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
    secret_key: str
    speed: float
    permissions: Permissions | None
    """None: the access key is the only one, and everything is allowed."""


@final
class Application:
    """Routes requests.

    ``GET /_health`` needs no key, and ``GET /_credentials`` the token of a job. ``/_status`` and ``/_faults`` (GET, POST to add, DELETE to clear) need the access key in the
    header ``x-emulator-key``; for ``/_status`` a browser may send both keys as user name and password instead. All other
    requests need an AWS signature with that access key, or with a key of the account if permissions are checked.
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
            CREDENTIALS_PATH: self._credentials,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; its key is checked unless :meth:`refusal` has admitted it."""
        refused = None if _ADMITTED in environ else self.refusal(environ)
        if refused is not None:
            return refused(environ, start_response)
        request = Request(environ)
        page = self._own_pages.get(request.path)
        if page is not None:
            return page(request)(environ, start_response)
        target = request.headers.get("X-Amz-Target", "")
        if target.startswith(QUOTAS_PREFIX):
            return self._answer_quotas(target.removeprefix(QUOTAS_PREFIX), request)(environ, start_response)
        if not target.startswith(TARGET_PREFIX):
            return self._forward(environ, start_response)
        operation = target.removeprefix(TARGET_PREFIX)
        response = self._answer(operation, request)
        if response.status_code == 200 and self._components.faults.trigger("lost_answer", operation):
            _close_connection(environ)
        return response(environ, start_response)

    def refusal(self, environ: WSGIEnvironment) -> Response | None:
        """Response to a request without the access key, from its head alone; None admits it."""
        request = Request(environ)
        if request.path in self._own_pages:
            refused = None if request.path in _WITHOUT_KEY else self._refuse_page(request)
        else:
            caller = caller_of(request)
            if self._is_known(caller.access_key, environ):
                trouble = presigned_trouble(request, self._secret_of(caller), datetime.now(UTC))
                refused = trouble and _s3_refusal(*trouble)
            else:
                refused = refusal(caller, is_json="X-Amz-Target" in request.headers)
        if refused is None:
            environ[_ADMITTED] = True
        return refused

    def _is_known(self, access_key: str, environ: WSGIEnvironment) -> bool:
        permissions = self._components.permissions
        if permissions is None:
            return is_same_key(access_key, self._components.access_key)
        environ[PRINCIPAL] = permissions.caller(access_key)
        return environ[PRINCIPAL] is not None

    def _secret_of(self, caller: Caller) -> str:
        permissions = self._components.permissions
        found = None if permissions is None else permissions.secret_of(caller.access_key)
        return self._components.secret_key if found is None else found

    def max_body(self, environ: WSGIEnvironment) -> int:
        """Maximum length of the body in bytes."""
        is_s3 = environ.get("PATH_INFO", "/") != "/" and environ.get("PATH_INFO") not in self._own_pages
        return MAX_OBJECT_BYTES if is_s3 else MAX_BODY_BYTES

    def _refuse_page(self, request: Request) -> Response | None:
        components, login = self._components, request.authorization
        if login is not None and login.type == "basic" and request.path == "/_status":
            is_user = is_same_key(login.username or "", components.access_key)
            is_known = is_same_key(login.password or "", components.secret_key) and is_user
        else:
            is_known = is_same_key(request.headers.get(KEY_HEADER, ""), components.access_key)
        if is_known:
            return None
        if request.path != "/_status":
            return json_answer({"message": f"the header {KEY_HEADER} must hold the access key"}, status=403)
        return Response(
            "Log in with the access key as user name and the secret key as password.\n",
            status=401,
            mimetype="text/plain",
            headers={"WWW-Authenticate": 'Basic realm="sagemaker-emulator", charset="UTF-8"'},
        )

    def _answer(self, operation: str, request: Request) -> Response:
        body = request.get_data()
        self._counts[operation] += 1
        try:
            self._check_rate(operation)
            members = _members(body)
            self._authorize(request.environ.get(PRINCIPAL), operation, members)
            answer = self._components.operations.execute(operation, members)
        except ServiceError as error:
            return json_error(error)
        return json_answer(None if operation in _WITHOUT_BODY else answer)

    def _authorize(self, principal: Principal | None, operation: str, members: Any) -> None:
        """Check the caller's permissions for an operation of SageMaker."""
        permissions = self._components.permissions
        if principal is None or permissions is None or not isinstance(members, dict):
            return
        asked = cast("dict[str, Any]", members)
        name = str(asked.get("TrainingJobName", ""))
        arn = str(asked.get("ResourceArn") or (self._components.engine.settings.arn(name) if name else "*"))
        try:
            if operation == "CreateTrainingJob":
                needs = create_needs(asked, arn, permissions.key_arn)
            else:
                job = self._components.engine.jobs.get(arn.rpartition("/")[2])
                tags = {} if job is None else job.tags
                context = {f"aws:resourcetag/{key.lower()}": (value,) for key, value in tags.items()}
                needs = [Need(f"sagemaker:{operation}", arn, context)]
            permissions.check(principal, needs)
        except DeniedError as error:
            raise ServiceError("AccessDeniedException", str(error)) from error
        except NoSuchKeyError as error:
            raise invalid(str(error)) from error

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
        principal: Principal | None = request.environ.get(PRINCIPAL)
        try:
            if principal is not None and self._components.permissions is not None:
                self._components.permissions.check(principal, [Need(f"servicequotas:{operation}")])
            return json_answer(self._components.quotas.execute(operation, _members(request.get_data())))
        except DeniedError as error:
            return json_error(ServiceError("AccessDeniedException", str(error)))
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

    def _status(self, _request: Request) -> Response:
        traffic = CallCounts(dict(self._counts), dict(self._throttled))
        page = status_page(self._components.engine, traffic, self._components.faults.describe())
        return Response(page, mimetype="text/html", headers=_PAGE_HEADERS)

    def _health(self, _request: Request) -> Response:
        return json_answer(
            {
                "version": VERSION,
                "speed": self._components.speed,
                "started": self._started,
                "calls": dict(self._counts),
            }
        )

    def _credentials(self, request: Request) -> Response:
        """Temporary credentials of a job's role, in the format of the container credentials provider."""
        permissions = self._components.permissions
        token = request.headers.get("Authorization", "")
        found = None if permissions is None else permissions.credentials(token)
        if found is None:
            return json_answer(
                {"code": "AccessDenied", "message": "The token of the job is missing"}, status=403
            )
        return json_answer(found)

    def _change_faults(self, request: Request) -> Response:
        faults = self._components.faults
        try:
            if request.method == "POST":
                faults.add(parse_faults(_members(request.get_data())))
            elif request.method == "DELETE":
                faults.clear()
        except (ServiceError, ValueError) as error:
            return json_answer({"message": str(error)}, status=400)
        return json_answer({"faults": faults.describe()})


def _slow_down() -> Response:
    error = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    return Response(error, status=503, mimetype="application/xml")


def _members(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ServiceError("SerializationException", f"The request is not JSON: {error}") from error


def _close_connection(environ: WSGIEnvironment) -> None:
    """Close the connection, so that the response is lost."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
