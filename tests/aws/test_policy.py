"""The policy holds what is called, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws.policy import ACTIONS, IMPLIED, policy
from tunewright.cli import main

SOURCES = Path(__file__).resolve().parent.parent.parent / "src" / "tunewright"
NAMES = {
    "upload_file": "PutObject",
    "download_file": "GetObject",
    "list_aws_default_service_quotas": "ListAWSDefaultServiceQuotas",
}
"""Operations of methods whose names are not formed by rule."""
PARTS = {
    "HeadObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
}
"""What a transfer of a large file consists of."""


def called() -> set[str]:
    """Operations that the code names."""
    text = "\n".join(
        path.read_text()
        for folder in ("aws", "backends", "experiments", "remote", "runner")
        for path in sorted((SOURCES / folder).rglob("*.py"))
    )
    operations = set(re.findall(r'\b_?session\.call\(\s*"(\w+)"', text))
    methods = set(re.findall(r'(?:_client|\bclient|client\("\w+"\))\.((?:\w+_)+\w+)\(', text)) - {
        "get_paginator"
    }
    methods |= set(re.findall(r'get_paginator\("(\w+)"\)', text))
    return operations | {NAMES.get(name) or "".join(map(str.capitalize, name.split("_"))) for name in methods}


def actions(document: dict[str, Any]) -> set[str]:
    return {action for statement in document["Statement"] for action in statement["Action"]}


def test_the_policy_lists_exactly_what_is_called() -> None:
    assert called() | PARTS == set(ACTIONS)
    assert actions(policy()) == set(ACTIONS.values()) | set(IMPLIED)


def test_a_job_may_also_write_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sagemaker", "policy", "--for", "job"])
    document = json.loads(capsys.readouterr().out)
    assert actions(document) > actions(policy())
    assert {"logs:PutLogEvents", "ecr:BatchGetImage"} <= actions(document)
