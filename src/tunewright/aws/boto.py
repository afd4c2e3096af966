"""The one place where boto3 is imported, when it is first needed, and where its errors become ours."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Final, final

from tunewright.exceptions import MissingExtraError, TunewrightError

_THROTTLING: Final = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "SlowDown", "RequestLimitExceeded"}
)
_SERVER_SIDE: Final = frozenset(
    {"InternalFailure", "InternalError", "ServiceUnavailable", "InternalServerError"}
)
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
    }
)


@final
class ServiceError(TunewrightError):
    """A request to a service was refused, or nothing is known about how it ended.

    Parameters
    ----------
    code
        The service's code such as ``ResourceInUse``; empty where no answer came.
    text
        The service's message.
    status
        HTTP status; 0 where no answer came.
    """

    def __init__(self, code: str, text: str, *, status: int = 0) -> None:
        super().__init__(f"{code}: {text}" if code else text)
        self.code = code
        self.text = text
        self.status = status

    @property
    def is_throttling(self) -> bool:
        """Whether the service had too many requests."""
        return self.code in _THROTTLING

    @property
    def is_lost(self) -> bool:
        """Whether the request may have been carried out although it failed."""
        return self.status == 0 or self.status >= 500 or self.code in _SERVER_SIDE

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.is_throttling or self.is_lost

    @property
    def is_denied(self) -> bool:
        """Whether credentials or permissions are the cause."""
        return self.code in _DENIED


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
        raise MissingExtraError("aws", "The SageMaker backend") from error


@contextmanager
def service_errors() -> Generator[None]:
    """Turn what boto3 raises into :class:`ServiceError`."""
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
        raise ServiceError("", f"{type(error).__name__}: {error}") from error
