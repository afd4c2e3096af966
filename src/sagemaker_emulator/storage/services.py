"""The AWS services beside SageMaker, for HTTP clients and for code in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from moto.server import DomainDispatcherApplication, create_backend_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ACCOUNT_ID: Final = "123456789012"
"""The account that every caller of the emulator belongs to."""


@final
class AwsServices:
    """S3, Logs, STS and IAM, of which one instance can live in a process (moto's state is global).

    Attributes
    ----------
    app
        WSGI application that answers every request that is not for SageMaker. It is thread-safe.

    Parameters
    ----------
    directory
        Where the objects of S3 are mirrored; what is there is loaded again.
    region
        The region of the emulator, such as ``us-east-1``.
    """

    app: WSGIApplication

    def __init__(self, directory: Path, *, region: str) -> None:
        self.directory = directory
        self.region = region
        self.app = DomainDispatcherApplication(create_backend_app)

    def bucket_exists(self, name: str) -> bool:
        """Whether the account has a bucket of this name (CreateTrainingJob asks)."""
        raise NotImplementedError

    def close(self) -> None:
        """Release files; every write that was answered is on disk already."""
