"""The only importer of boto3, on first use, and the conversion of its errors."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache, partial
from types import ModuleType
from typing import Any, Final, final

from typing_extensions import override

from tunewright.exceptions import MissingExtraError, RequestError, nearest_hint

_THROTTLING: Final = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "SlowDown", "RequestLimitExceeded"}
)
_SERVER_SIDE: Final = frozenset(
    {"InternalFailure", "InternalError", "ServiceUnavailable", "InternalServerError"}
)
_FORBIDDEN: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_CLOCK: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_SIGNATURE: Final = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException"})
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_UNKNOWN_KEYS: Final = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure"}
)
_ROLE_SESSION: Final = "tunewright"
"""Name of the sessions of assumed roles, which CloudTrail shows."""
NO_CREDENTIALS: Final = "NoCredentials"
"""Code of a request that was not sent because boto3 found no credentials."""
_DENIED: Final = _FORBIDDEN | _CLOCK | _SIGNATURE | _EXPIRED | _UNKNOWN_KEYS | {NO_CREDENTIALS}
_POLICIES: Final = (
    (
        re.compile(r"(?:service|resource) control policy"),
        (
            "a control policy of the organization forbids it, whatever this account allows: ask the organization's administrators, "
            "or use another account, region or instance type"
        ),
    ),
    (
        re.compile(r"permissions? boundary"),
        (
            "the permissions boundary of the user or role does not allow it, whatever its policies say: have the boundary widened by "
            "what 'tunewright sagemaker policy' prints"
        ),
    ),
    (
        re.compile(r"(?:VPC endpoint|session) policy"),
        (
            "the policy of the session or of the VPC endpoint does not allow it, whatever the user's policies say: widen it by what "
            "'tunewright sagemaker policy' prints"
        ),
    ),
    (
        re.compile(r"explicit deny"),
        (
            "a policy denies it, and no further permission changes that; mostly under a condition (on encryption, network, tags or "
            "the like): change the policy, or meet its condition"
        ),
    ),
)
"""Texts of AccessDenied that name the kind of the policy, and their remedies; the first fitting one counts.

Source: IAM User Guide, "Troubleshoot access denied error messages".
"""
_CLOCK_TEXT: Final = re.compile(r"[Ss]ignature (expired|not yet current)")
_CREDENTIAL_ERRORS: Final = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "SSOError",
    "TokenRetrievalError",
    "LoginError",
)
"""Errors of botocore for credentials that are missing or cannot be renewed."""


@final
class ServiceError(RequestError):
    """A request was rejected by the service, or its outcome is unknown.

    Parameters
    ----------
    code
        Code of the service such as ``ResourceInUse``; empty without a response.
    text
        Message of the service.
    status
        HTTP status; 0 without a response.
    """

    def __init__(self, code: str, text: str, *, status: int = 0) -> None:
        super().__init__(f"{code}: {text}" if code else text)
        self.code = code
        self.text = text
        self.status = status

    @property
    def is_throttling(self) -> bool:
        """Whether the request rate was exceeded."""
        return self.code in _THROTTLING

    @property
    @override
    def is_lost(self) -> bool:
        return self.status == 0 or self.status >= 500 or self.code in _SERVER_SIDE

    @property
    @override
    def is_transient(self) -> bool:
        return self.is_throttling or self.is_lost

    @property
    @override
    def is_denied(self) -> bool:
        return self.code in _DENIED

    @property
    def is_forbidden(self) -> bool:
        """Whether a permission is missing or a policy denies the request."""
        return self.code in _FORBIDDEN

    @property
    @override
    def remedy(self) -> str:
        if self.code in _CLOCK or (self.code in _SIGNATURE and _CLOCK_TEXT.search(self.text)):
            return "the clock of this machine is wrong: set it (for example by NTP)"
        if self.is_forbidden:
            missing = "the permission is missing: 'tunewright sagemaker policy' prints all that are needed"
            return next((remedy for pattern, remedy in _POLICIES if pattern.search(self.text)), missing)
        if self.code == NO_CREDENTIALS:
            return "run aws configure or aws sso login, or use --endpoint embedded"
        if self.code in _EXPIRED:
            return "the credentials have expired: renew them (aws sso login, or new access keys)"
        return "renew the credentials (aws sso login, or new access keys)" if self.is_denied else ""


def load(module: str) -> ModuleType:
    """Import boto3 or a module of botocore.

    Parameters
    ----------
    module
        Such as ``boto3`` or ``botocore.session``.

    Raises
    ------
    MissingExtraError
        boto3 is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            "aws", "The SageMaker backend", " (or the extra emulator instead, for jobs on this machine)"
        ) from error


def new_session(
    region: str | None,
    access_key: str | None = None,
    secret_key: str | None = None,
    *,
    profile: str | None = None,
    assume_role: str | None = None,
    url: str | None = None,
) -> Any:
    """Create a boto3 session that shares the descriptions of services with all others of this process.

    Parameters
    ----------
    region
        AWS region; None: boto3's default.
    access_key, secret_key
        Credentials; None: boto3's default.
    profile
        Profile of the AWS configuration; None: boto3's default.
    assume_role
        ARN of the role that the session assumes with the credentials, again and again before they expire; None: none.
    url
        Address of STS for that; None: AWS.

    Raises
    ------
    MissingExtraError
        boto3 is not installed.
    """
    session = load("botocore.session").Session(profile=profile)
    session.register_component("data_loader", _descriptions())
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    if assume_role is not None:
        create_client = partial(session.create_client, region_name=region, endpoint_url=url)
        provider = _AssumedRole(create_client, session.get_component("credential_provider"), assume_role)
        resolver = load("botocore.credentials").CredentialResolver([provider])
        session.register_component("credential_provider", resolver)
    return load("boto3").Session(
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=region,
        botocore_session=session,
    )


def _timestamp(value: Any) -> datetime:
    """A time in an answer, as botocore reads it; in a listing of S3 that took three quarters of the time."""
    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    parsed: datetime = load("botocore.utils").parse_timestamp(value)
    return parsed


@final
class _AssumedRole:
    """Provider of credentials for botocore: those of a role, which are renewed before they expire.

    Parameters
    ----------
    create_client
        Creates a client of STS from credentials.
    source
        Resolver of the credentials that may assume the role.
    role
        Its ARN.
    """

    METHOD = "assume-role"
    CANONICAL_NAME = None

    def __init__(self, create_client: Callable[..., Any], source: Any, role: str) -> None:
        self._create_client = create_client
        self._source = source
        self._role = role

    def load(self) -> Any:
        """Credentials that are requested on first use; None if there are no source credentials."""
        source = self._source.load_credentials()
        if source is None:
            return None
        credentials = load("botocore.credentials")
        fetcher = credentials.AssumeRoleCredentialFetcher(
            self._create_client, source, self._role, extra_args={"RoleSessionName": _ROLE_SESSION}
        )
        return credentials.DeferredRefreshableCredentials(
            method=self.METHOD, refresh_using=fetcher.fetch_credentials
        )


@cache
def _descriptions() -> Any:
    """Botocore's loader of the services' descriptions, which keeps them: reading them takes 0.2 s of CPU."""
    return load("botocore.session").Session().get_component("data_loader")


_UNKNOWN_FIELD: Final = re.compile(r'Unknown parameter in (\S+): "(.*)", must be one of: (.*)')
_WRONG_TYPE: Final = re.compile(r"Invalid type for parameter (\S+), value: (.*), type: .*, valid types: (.*)")
_CLASS: Final = re.compile(r"<class '(\w+)'>")


def request_problems(operation: str, fields: Mapping[str, Any]) -> list[str]:
    """Compare a request of SageMaker with botocore's model: unknown and missing fields, types, and lower bounds.

    Parameters
    ----------
    operation
        Such as ``CreateTrainingJob``.
    fields
        The request.

    Returns
    -------
    list of str
        A sentence for each problem.

    Raises
    ------
    MissingExtraError
        boto3 is not installed.
    """
    description = _descriptions().load_service_model("sagemaker", "service-2")
    shape = load("botocore.model").ServiceModel(description).operation_model(operation).input_shape
    report = load("botocore.validate").ParamValidator().validate(fields, shape).generate_report()
    return [_problem(line) for line in report.splitlines()]


def _problem(line: str) -> str:
    if found := _WRONG_TYPE.fullmatch(line):
        return f"{found[1]} takes {' or '.join(_CLASS.findall(found[3]))}, not {found[2]!r}"
    found = _UNKNOWN_FIELD.fullmatch(line)
    if found is None:
        return line
    place, name, known = found.groups()
    place = "the request" if place == "input" else place
    return f"{place} has no field {name}.{nearest_hint(name, known.split(', '))}".rstrip(".")


@contextmanager
def service_errors() -> Generator[None]:
    """Convert errors of boto3 to :class:`ServiceError`."""
    exceptions = load("botocore.exceptions")
    boto3_exceptions = load("boto3.exceptions")
    try:
        yield
    except exceptions.ClientError as error:
        answer = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        raise ServiceError(
            str(answer.get("Code", "")), str(answer.get("Message", error)), status=status
        ) from error
    except exceptions.ParamValidationError as error:
        raise ServiceError("ParamValidation", str(error), status=400) from error
    except (exceptions.BotoCoreError, boto3_exceptions.Boto3Error) as error:
        text = f"{type(error).__name__}: {error}"
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if kinds.isdisjoint(_CREDENTIAL_ERRORS):
            raise ServiceError("", text) from error
        raise ServiceError(NO_CREDENTIALS, str(error), status=401) from error
