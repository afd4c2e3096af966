"""Answers in the AWS JSON 1.1 protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from werkzeug.wrappers import Response

from sagemaker_emulator.errors import ServiceError

MIMETYPE: Final = "application/x-amz-json-1.1"


def json_answer(members: Mapping[str, Any] | None, status: int = 200) -> Response:
    """An answer with these members; None for an operation whose answer has no body."""
    body = "" if members is None else json.dumps(members)
    return Response(body, status=status, mimetype=MIMETYPE, headers={"x-amzn-RequestId": str(uuid4())})


def json_error(error: ServiceError) -> Response:
    """HTTP 400 with the error's code and message."""
    return json_answer({"__type": error.code, "message": error.message}, status=400)
