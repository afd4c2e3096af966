"""S3, Logs, STS and IAM, for HTTP clients and for code in this process: moto's, with own answers to operations that moto lacks or does slowly."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import parse_qs, parse_qsl, unquote
from xml.sax.saxutils import escape

from moto.iam.models import IAMBackend, iam_backends
from moto.kms.models import kms_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sts.models import sts_backends

from sagemaker_emulator.storage.listing import answer_listing
from sagemaker_emulator.storage.logs import BadRequestError, LogStore
from sagemaker_emulator.storage.objects import ACCOUNT_ID, ObjectStore
from sagemaker_emulator.storage.permissions import (
    DeniedError,
    Need,
    NoSuchKeyError,
    Permissions,
    Principal,
    RoleObjects,
    bucket_arn,
    key_arn,
    logs_need,
    object_arn,
    query_needs,
    s3_needs,
    secret_need,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


_LOG: Final = logging.getLogger(__name__)
_SIMULATION: Final = "SimulatePrincipalPolicy"
_ACTION: Final = re.compile(r"ActionNames\.member\.\d+")
_RESOURCE: Final = re.compile(r"ResourceArns\.member\.\d+")
PRINCIPAL: Final = "sagemaker_emulator.principal"
"""Entry of the environ: the caller, if permissions are checked."""
_IAM_NAMESPACE: Final = "https://iam.amazonaws.com/doc/2010-05-08/"
_Header = tuple[str, str]
_WRITES: Final = frozenset({"PUT", "POST", "DELETE"})
_EXPECTED_OWNER: Final = "HTTP_X_AMZ_EXPECTED_BUCKET_OWNER"
_EXPECTED_SOURCE_OWNER: Final = "HTTP_X_AMZ_SOURCE_EXPECTED_BUCKET_OWNER"
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_FILTER_TARGET: Final = "Logs_20140328.FilterLogEvents"
_KMS_TARGET: Final = "TrentService"
_BUCKET_NAME: Final = re.compile(r"(?!xn--|sthree-|amzn-s3-demo-)[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]")
_NO_BUCKET_NAME: Final = re.compile(r"\d+(\.\d+){3}|.*(-s3alias|--ola-s3|\.mrap|--x-s3|--table-s3)")
"""Source of both: "General purpose bucket naming rules" of the S3 user guide."""


@final
class AwsApplication:
    """WSGI application for S3, Logs, STS and IAM. Thread-safe: moto gets one request of a service at a time.

    The permissions of the principal in :data:`PRINCIPAL` of the environ are checked; without one everything is allowed.

    ListObjectsV2 is answered here, because moto scans the whole bucket for each page, and so is FilterLogEvents, because
    moto does not support stream prefixes.
    """

    def __init__(
        self, store: ObjectStore, logs: LogStore, permissions: Permissions | None, region: str
    ) -> None:
        self._store = store
        self._logs = logs
        self._permissions = permissions
        self._region = region
        # Requests for S3 bypass moto's dispatcher, which takes longer than a small write.
        self._moto_s3 = create_backend_app("s3")
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._others = threading.RLock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        _buffer_body(environ)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        principal: Principal | None = environ.get(PRINCIPAL)
        if target and not _is_json_object(environ["wsgi.input"].getvalue()):
            refusal = {"__type": "SerializationException", "message": "The request is not a JSON object"}
            return _json(start_response, refusal, "400 Bad Request")
        if principal is not None and self._permissions is not None:
            try:
                needs = self._needs(environ, target, principal, self._permissions)
                self._permissions.check(principal, needs)
            except DeniedError as error:
                return _denied(environ, start_response, str(error))
            except NoSuchKeyError as error:
                return _xml_error(start_response, "400 Bad Request", "KMS.NotFoundException", str(error))
        if target.startswith("Logs_"):
            with self._logs.lock:
                self._logs.publish_due()
                if target == _FILTER_TARGET:
                    return self._filter(environ, start_response)
                return self._ask_moto(environ, start_response)
        if target or _is_query_protocol(environ):
            if _is_simulation(environ["wsgi.input"].getvalue()):
                return _answer_simulation(environ["wsgi.input"].getvalue(), self._permissions, start_response)
            with self._others:
                return self._ask_moto(environ, start_response)
        with self._store.lock:
            return self._s3(environ, start_response)

    def _needs(
        self, environ: WSGIEnvironment, target: str, principal: Principal, permissions: Permissions
    ) -> list[Need]:
        """Actions that the caller needs."""
        body: bytes = environ["wsgi.input"].getvalue()
        service, _, operation = target.partition(".")
        if service.startswith("Logs_"):
            return [logs_need(operation, _members(body), self._region)]
        if service == _KMS_TARGET:
            key = str(_members(body).get("KeyId") or _members(body).get("TargetKeyId") or "")
            return [Need(f"kms:{operation}", _found_key(permissions, key, self._region) if key else "*")]
        if target:
            need = secret_need(target, _members(body), self._region)
            return [need or Need(f"{service.lower()}:{operation}")]
        if not _is_query_protocol(environ):
            bucket, key = _bucket_and_key(environ)
            needs = s3_needs(environ, bucket, key, permissions.key_arn)
            owner = (self._store.owner(bucket) or ACCOUNT_ID,)
            return [replace(need, context={**need.context, "aws:resourceaccount": owner}) for need in needs]
        needs = query_needs(body, "sts" if "/sts/" in environ.get("HTTP_AUTHORIZATION", "") else "iam")
        for need in needs:
            if need.action == "sts:AssumeRole" and not permissions.is_assumable(need.resource, principal):
                raise DeniedError(replace(principal, documents=()), need)
        return needs

    def _s3_denial(
        self, principal: Principal, permissions: Permissions, bucket: str, key: str, answer: _Answer
    ) -> DeniedError | None:
        """Denial that depends on the object: its absence is shown to those who may list, its content to users of its key."""
        headers = {name.lower(): value for name, value in answer.headers}
        kms_key = headers.get("x-amz-server-side-encryption-aws-kms-key-id")
        if answer.status.startswith("404"):
            if principal.decide(Need("s3:ListBucket", bucket_arn(bucket))) == "allowed":
                return None
            return DeniedError(
                replace(principal, documents=()), Need("s3:GetObject", object_arn(bucket, key))
            )
        if not kms_key:
            return None
        need = Need("kms:Decrypt", _found_key(permissions, kms_key, self._region))
        return None if principal.decide(need) == "allowed" else DeniedError(principal, need)

    def _s3(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        bucket, key = _bucket_and_key(environ)
        method = environ["REQUEST_METHOD"]
        if refusal := self._refusal(environ, bucket, key):
            body = _xml_error(start_response, *refusal)
            return [] if method == "HEAD" else body
        if method == "GET" and bucket and not key:
            query = {name: values[0] for name, values in _query(environ).items()}
            if query.get("list-type") == "2" and self._store.bucket_exists(bucket):
                return answer_listing(self._store, bucket, query, start_response)
        answer = _Answer()
        chunks = answer.collect(self._moto_s3, environ)
        principal: Principal | None = environ.get(PRINCIPAL)
        if principal is not None and self._permissions is not None and key and method in {"GET", "HEAD"}:
            denial = self._s3_denial(principal, self._permissions, bucket, key, answer)
            if denial is not None:
                return _denied(environ, start_response, str(denial))
        if method in _WRITES and bucket and answer.status.startswith("2"):
            try:
                self._store.sync(bucket, key or None)
            except OSError as error:
                text = f"The object cannot be kept on disk: {error}; free some space"
                return _xml_error(start_response, "500 Internal Server Error", "InternalError", text)
        start_response(answer.status, answer.headers)
        return chunks

    def _refusal(self, environ: WSGIEnvironment, bucket: str, key: str) -> tuple[str, str, str] | None:
        """Status, code and message for a request to a bucket of another owner than it expects, or for a name that is taken or invalid.

        S3 checks these headers of every operation on buckets and objects ("Verifying bucket ownership with bucket owner
        condition" of its user guide).
        """
        source = unquote(environ.get("HTTP_X_AMZ_COPY_SOURCE", "")).removeprefix("/").partition("/")[0]
        for place, header in ((bucket, _EXPECTED_OWNER), (source, _EXPECTED_SOURCE_OWNER)):
            expected, owner = environ.get(header), self._store.owner(place)
            if expected is None:
                continue
            if not _ACCOUNT.fullmatch(expected):
                text = "The value of the expected bucket owner parameter must be an AWS account ID"
                return "400 Bad Request", "InvalidBucketOwnerAWSAccountID", text
            if owner and owner != expected:
                return "403 Forbidden", "AccessDenied", "Access Denied"
        is_creation = environ["REQUEST_METHOD"] == "PUT" and not key and not environ.get("QUERY_STRING")
        if is_creation and not is_bucket_name(bucket):
            return "400 Bad Request", "InvalidBucketName", "The specified bucket is not valid."
        if is_creation and self._store.owner(bucket) not in {"", ACCOUNT_ID}:
            text = "The requested bucket name is not available. The bucket namespace is shared by all users of the system."
            return "409 Conflict", "BucketAlreadyExists", text
        return None

    def _ask_moto(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = _Answer()
        try:
            chunks = answer.collect(self._moto, environ)
        except NotImplementedError as error:
            return _unknown_operation(environ, start_response, f"The emulator does not know it: {error}")
        except (AttributeError, ImportError):  # of moto's search for a service that it does not have
            _LOG.debug("moto failed", exc_info=True)
            return _unknown_operation(environ, start_response, "The emulator does not know this service")
        start_response(answer.status, answer.headers)
        return chunks

    def _filter(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a FilterLogEvents request; moto answers for unknown groups."""
        try:
            answer = self._logs.filter(json.loads(environ["wsgi.input"].getvalue() or b"{}"))
        except BadRequestError as error:
            refusal = {"__type": "InvalidParameterException", "message": str(error)}
            return _json(start_response, refusal, "400 Bad Request")
        return self._ask_moto(environ, start_response) if answer is None else _json(start_response, answer)


@final
class _Answer:
    """Buffered response of an inner application."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[_Header] = []

    def collect(self, application: Any, environ: WSGIEnvironment) -> list[bytes]:
        chunks: Iterable[bytes] = application(environ, self._start)
        try:
            return list(chunks)
        finally:
            close: Callable[[], None] | None = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _start(
        self, status: str, headers: list[_Header], _exc_info: object = None
    ) -> Callable[[bytes], object]:
        self.status, self.headers = status, headers
        return _refuse_write


def _is_json_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body or b"{}"), dict)
    except (ValueError, RecursionError):
        return False


def _members(body: bytes) -> dict[str, Any]:
    """Members of a JSON object."""
    return json.loads(body or b"{}")


def _denied(environ: WSGIEnvironment, start_response: StartResponse, message: str) -> Iterable[bytes]:
    """Response to a caller without permission, in the protocol of the request."""
    if environ.get("HTTP_X_AMZ_TARGET"):
        return _json(
            start_response, {"__type": "AccessDeniedException", "message": message}, "400 Bad Request"
        )
    text = f"<Message>{escape(message)}</Message>"
    if _is_query_protocol(environ):
        body = f"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>{text}</Error></ErrorResponse>"
    else:
        body = f"<Error><Code>AccessDenied</Code>{text}</Error>"
    return _xml(start_response, "403 Forbidden", body)


def _refuse_write(_data: bytes) -> None:
    raise RuntimeError("the write callable of WSGI is not supported; yield the body")


def _buffer_body(environ: WSGIEnvironment) -> None:
    """Read the body before a lock is taken."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    _set_body(environ, body)


def _set_body(environ: WSGIEnvironment, body: bytes) -> None:
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def _query(environ: WSGIEnvironment) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)


def _is_query_protocol(environ: WSGIEnvironment) -> bool:
    """Whether a request is for STS or IAM: signed for another service than S3, or an unsigned form."""
    signature = environ.get("HTTP_AUTHORIZATION", "")
    if signature:
        return "/s3/aws4_request" not in signature
    return environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")


def _bucket_and_key(environ: WSGIEnvironment) -> tuple[str, str]:
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


def is_bucket_name(name: str) -> bool:
    """Whether S3 accepts the name of a new bucket."""
    return bool(_BUCKET_NAME.fullmatch(name)) and not _NO_BUCKET_NAME.fullmatch(name)


def _found_key(permissions: Permissions, key: str, region: str) -> str:
    """ARN of a KMS key; of one that ended with an earlier server, the ARN as named."""
    try:
        return permissions.key_arn(key)
    except NoSuchKeyError:
        return key_arn(key, region)


def _json(start_response: StartResponse, answer: dict[str, Any], status: str = "200 OK") -> Iterable[bytes]:
    body = json.dumps(answer).encode()
    start_response(
        status, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    )
    return [body]


def _unknown_operation(
    environ: WSGIEnvironment, start_response: StartResponse, message: str
) -> Iterable[bytes]:
    """Response 501, which clients do not retry, in the protocol of the request."""
    status = "501 Not Implemented"
    if environ.get("HTTP_X_AMZ_TARGET"):
        return _json(start_response, {"__type": "NotImplemented", "message": message}, status)
    error = f"<Error><Code>NotImplemented</Code><Message>{escape(message)}</Message></Error>"
    return _xml(start_response, status, f"<ErrorResponse>{error}</ErrorResponse>")


def _xml_error(start_response: StartResponse, status: str, code: str, message: str) -> Iterable[bytes]:
    return _xml(
        start_response, status, f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    )


def _xml(start_response: StartResponse, status: str, document: str) -> Iterable[bytes]:
    body = document.encode()
    start_response(status, [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _is_simulation(body: bytes) -> bool:
    """Whether a form of IAM's protocol requests this operation."""
    return f"Action={_SIMULATION}".encode() in body.split(b"&")


def _answer_simulation(
    body: bytes, permissions: Permissions | None, start_response: StartResponse
) -> Iterable[bytes]:
    """Answer IAM's SimulatePrincipalPolicy, which moto does not support.

    Parameters
    ----------
    body
        The form: ``ActionNames.member.N`` are the actions, such as ``sagemaker:CreateTrainingJob``.
    permissions
        None: each action of each role is allowed.
    start_response
        Receives status and headers.
    """
    form = parse_qsl(body.decode("utf-8", "replace"))
    resources = [value for name, value in form if _RESOURCE.fullmatch(name)] or ["*"]
    role = None if permissions is None else permissions.role(dict(form).get("PolicySourceArn", ""))
    members = ""
    for action in (value for name, value in form if _ACTION.fullmatch(name)):
        for resource in resources:
            decision = "allowed" if role is None else role.decide(Need(action, resource))
            members += (
                f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(resource)}"
                f"</EvalResourceName><EvalDecision>{decision}</EvalDecision></member>"
            )
    return _xml(
        start_response,
        "200 OK",
        f'<{_SIMULATION}Response xmlns="{_IAM_NAMESPACE}"><{_SIMULATION}Result><IsTruncated>false</IsTruncated>'
        f"<EvaluationResults>{members}</EvaluationResults></{_SIMULATION}Result></{_SIMULATION}Response>",
    )


EXECUTION_ROLE_NAME: Final = "AmazonSageMaker-ExecutionRole-Emulator"
EXECUTION_ROLE_ARN: Final = f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/{EXECUTION_ROLE_NAME}"
"""Execution role that always exists, for clients that search for one."""

_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
_SAGEMAKER_BUCKETS: Final = [
    "arn:aws:s3:::*SageMaker*",
    "arn:aws:s3:::*Sagemaker*",
    "arn:aws:s3:::*sagemaker*",
]
_ROLE_POLICY: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "sagemaker:*",
                "ecr:*",
                "logs:*",
                "cloudwatch:*",
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
                "ec2:Describe*",
                "servicequotas:List*",
                "iam:ListRoles",
            ],
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            "Resource": _SAGEMAKER_BUCKETS,
        },
        {
            "Effect": "Allow",
            "Action": ["s3:CreateBucket", "s3:GetBucketLocation", "s3:ListBucket", "s3:ListAllMyBuckets"],
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "arn:aws:secretsmanager:*:*:secret:AmazonSageMaker-*",
        },
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": "arn:aws:iam::*:role/*",
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
    ],
}
"""What the managed policy AmazonSageMakerFullAccess, which the console attaches to its roles, allows to training jobs."""


@final
class AwsServices:
    """S3, Logs, STS, IAM and KMS. moto's state is global: a new instance replaces the previous one of this process.

    Attributes
    ----------
    app
        WSGI application for all services other than SageMaker. Thread-safe.
    store
        The objects of S3, without HTTP. Thread-safe.
    logs
        The log streams of training jobs, without HTTP. Thread-safe.

    Parameters
    ----------
    directory
        Folder of the objects of S3 (in ``s3``) and the log streams (in ``logs``); existing ones are loaded.
    region
        Region of the emulator, such as ``us-east-1``.
    log_delay
        Real seconds until a line of a job's output is readable.
    permissions
        Checked for callers and jobs; None: everything is allowed.
    has_role
        Whether an execution role exists.
    """

    app: WSGIApplication

    def __init__(
        self,
        directory: Path,
        *,
        region: str,
        log_delay: float = 0.0,
        permissions: Permissions | None = None,
        has_role: bool = True,
    ) -> None:
        self.directory = directory
        self.permissions = permissions
        self.region = region
        self.store = ObjectStore(directory / "s3", region=region)
        self.logs = LogStore(directory / "logs", region=region, delay=log_delay)
        self.app = AwsApplication(self.store, self.logs, permissions, region)
        sts_backends[ACCOUNT_ID]["aws"].reset()
        kms_backends[ACCOUNT_ID][region].reset()
        iam = iam_backends[ACCOUNT_ID]["aws"]
        iam.reset()
        if has_role:
            _create_role(iam)

    def objects_of(self, role_arn: str) -> ObjectStore | RoleObjects:
        """The objects of S3, for the service with a role."""
        return self.store if self.permissions is None else RoleObjects(self.store, self.permissions, role_arn)


def _create_role(backend: IAMBackend) -> None:
    backend.create_role(
        role_name=EXECUTION_ROLE_NAME,
        assume_role_policy_document=json.dumps(_TRUST),
        path="/service-role/",
        permissions_boundary=None,
        description="Execution role of the emulator's training jobs",
        tags=[],
        max_session_duration="3600",
    )
    backend.put_role_policy(EXECUTION_ROLE_NAME, "SageMakerFullAccess", json.dumps(_ROLE_POLICY))
