"""A machine whose clock differs from S3's: reports carry the time of S3."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import boto3
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from sagemaker_emulator.storage import AwsServices
from tunewright.runner.s3_channel import S3Clock


@pytest.mark.parametrize(("shift", "low", "high"), [(0, 0, 0), (3600, 3500, 3700), (-86400, -86500, -86300)])
def test_the_difference_to_the_clock_of_s3_is_measured(
    tmp_path: Path, shift: float, low: float, high: float
) -> None:
    class Handler(WSGIRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(time.time() + shift)

        def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - the parent's name
            """Write nothing."""

    aws = AwsServices(tmp_path / "services", region="us-east-1")
    aws.store.create_bucket("bucket")
    server = make_server("127.0.0.1", 0, aws.app, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    try:
        assert low <= S3Clock(client, "bucket", "x/").ahead() <= high
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()
