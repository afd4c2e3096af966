"""Secrets of AWS as environment variables of a job's script: the order has their names, AWS keeps their values.

A reference is the name or ARN of a secret of Secrets Manager, with ``#KEY`` for one value of a JSON object, or ``ssm:NAME`` for a
parameter of Systems Manager. Values are read with the role of the job. They are in no file, request, message or report.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .run_order import RunOrder
from .training_job import UnreadableSecretError, is_passing

SECRETS = "secrets"
"""Entry of the job's file: name of a variable -> reference."""
PARAMETER = "ssm:"
"""Begins references to parameters of Systems Manager."""
_ARN = "arn:"
_REGION = 3
"""Place of the region among the parts of an ARN."""


def read_secrets(job: Mapping[str, Any], load_boto3: Callable[[], Any]) -> dict[str, str]:
    """Values of the secrets of a job, by the names of their variables.

    Parameters
    ----------
    job
        The content of the job's file.
    load_boto3
        Imports boto3; called only if there are secrets.

    Raises
    ------
    UnreadableSecretError
        One is missing or forbidden, or is not of the expected form.
    """
    references: Mapping[str, str] = job.get(SECRETS) or {}
    boto3 = load_boto3() if references else None
    return {name: _value(name, reference, boto3) for name, reference in references.items()}


def with_secrets(order: RunOrder, values: Mapping[str, str]) -> RunOrder:
    """Return the order whose script gets these variables."""
    return replace(order, environment={**order.environment, **values}, secrets=sorted(values))


def _value(name: str, reference: str, boto3: Any) -> str:
    try:
        text = _read(reference, boto3)
    except Exception as error:
        if is_passing(error):
            raise
        raise UnreadableSecretError(name, reference, f"{type(error).__name__}: {error}") from None
    if text is None:
        raise UnreadableSecretError(name, reference, "it is not a text")
    key = "" if reference.startswith(PARAMETER) else reference.partition("#")[2]
    if not key:
        return text
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError):
        # the error would hold the value
        raise UnreadableSecretError(name, reference, f"it is no JSON object with the key {key}") from None


def _read(reference: str, boto3: Any) -> str | None:
    if reference.startswith(PARAMETER):
        place = reference[len(PARAMETER) :]
        answer = _client(boto3, "ssm", place).get_parameter(Name=place, WithDecryption=True)
        value: str = answer["Parameter"]["Value"]
        return value
    place = reference.partition("#")[0]
    answer = _client(boto3, "secretsmanager", place).get_secret_value(SecretId=place)
    text: str | None = answer.get("SecretString")
    return text


def _client(boto3: Any, service: str, place: str) -> Any:
    """A client in the region of an ARN, or else in that of the job."""
    region = place.split(":")[_REGION] if place.startswith(_ARN) else ""
    return boto3.client(service, region_name=region or os.environ.get("AWS_REGION"))
