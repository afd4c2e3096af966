"""Responses in the AWS JSON 1.1 protocol, and the check of a request's access key."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from sagemaker_emulator.service.errors import ServiceError, unknown_key

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
