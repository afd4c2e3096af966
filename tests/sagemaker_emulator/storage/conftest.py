from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from sagemaker_emulator.storage import AwsServices


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Write nothing."""


@pytest.fixture
def aws(tmp_path: Path) -> AwsServices:
    return AwsServices(tmp_path / "emulator", region="us-east-1")


@pytest.fixture
def client(aws: AwsServices) -> Iterator[Callable[[str], Any]]:
    """A factory of boto3 clients that talk to the services over HTTP."""
    server = make_server("127.0.0.1", 0, aws.app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    clients: list[Any] = []

    def make(service: str) -> Any:
        clients.append(
            boto3.client(
                service,
                endpoint_url=f"http://127.0.0.1:{server.port}",
                region_name="us-east-1",
                aws_access_key_id="key",
                aws_secret_access_key="secret",
            )
        )
        return clients[-1]

    yield make
    for each in clients:
        each.close()
    server.shutdown()
    thread.join()
    server.server_close()
