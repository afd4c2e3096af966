"""``tunewright sagemaker verify``: whether a real account behaves as the backend expects it to."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tunewright.aws import (
    AwsSession,
    EndpointKind,
    ServiceError,
    ensure_bucket,
    find_role,
    image_uri,
    open_session,
    price_per_hour,
    resolve_endpoint,
)
from tunewright.backends.sagemaker.assumptions import AssumptionCheck, Finding, JobPlace, report
from tunewright.cli.writing import writing
from tunewright.exceptions import BackendError, SettingsError
from tunewright.launchers.confirm import ask_person
from tunewright.launchers.console import say
from tunewright.launchers.parser import Parser

EXIT_DIFFERENT: Final = 3
"""Exit code where an assumption does not hold."""
_MINUTES: Final = 10
"""Of one instance that the checks are billed at most, roughly."""


def run_verify(arguments: Sequence[str]) -> int:
    """Run the checks and print what was seen; 3 where something is not as assumed."""
    parser = Parser(
        "tunewright sagemaker verify",
        "Run two short jobs and some requests, and compare the service with what the SageMaker backend assumes of it.",
    )
    parser.flag("instance_type", "of the jobs", default="ml.m5.large")
    parser.flag("endpoint", "auto, aws, embedded or an address", default="auto")
    parser.flag("region", "of AWS (default: as boto3 finds it)")
    parser.flag("role", "that jobs run as (default: found)")
    parser.flag("bucket", "for their files (default: sagemaker-REGION-ACCOUNT)")
    parser.flag("image_uri", "of the jobs; needs python3 (default: the CPU image of PyTorch)")
    parser.flag("out", "file for the report as JSON")
    parser.switch("yes", "do not ask before jobs are created on AWS")
    given = vars(parser.read(arguments))
    _check_writable(given["out"])
    session = open_session(resolve_endpoint(given["endpoint"], region=given["region"]))
    try:
        _agree(session, given)
        findings = _check(session, given)
    except ServiceError as error:
        raise BackendError(
            f"The service refuses ({error}): see tunewright sagemaker policy and quotas"
        ) from error
    finally:
        session.close()
    _write(findings, session, given)
    n_wrong = sum(one.holds is False for one in findings)
    n_unseen = sum(one.holds is None for one in findings)
    say(f"{len(findings) - n_wrong - n_unseen} assumptions hold, {n_wrong} do not, {n_unseen} were not seen")
    return EXIT_DIFFERENT if n_wrong else 0


def _check_writable(out: str | None) -> None:
    """Open the report's file before anything is paid for."""
    if out is None:
        return
    path = Path(out)
    with writing(path), path.open("a", encoding="utf-8"):
        pass


def _agree(session: AwsSession, given: Mapping[str, Any]) -> None:
    if session.endpoint.kind is not EndpointKind.AWS or given["yes"]:
        return
    price = price_per_hour(given["instance_type"])
    cost = "" if price is None else f", about ${price * _MINUTES / 60:.2f}"
    text = f"This runs up to {_MINUTES} minutes of one {given['instance_type']} on AWS in {session.endpoint.region}{cost}."
    if not sys.stdin.isatty():
        raise SettingsError(f"{text} Nobody can be asked: say --yes")
    if ask_person(f"{text} Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise SettingsError("Not confirmed: nothing was created")


def _check(session: AwsSession, given: Mapping[str, Any]) -> list[Finding]:
    region = session.endpoint.region
    place = JobPlace(
        prefix=f"tunewright-verify-{secrets.token_hex(4)}",
        role_arn=find_role(session, given["role"]),
        image=given["image_uri"] or image_uri(region, for_gpu=False),
        instance_type=given["instance_type"],
        bucket=ensure_bucket(session, given["bucket"]),
    )
    findings: list[Finding] = []
    for finding in AssumptionCheck(session, place, say).run():
        findings.append(finding)
        mark = {True: "as assumed", False: "DIFFERENT", None: "not seen"}[finding.holds]
        say(f"{mark:>10}  {finding.assumption}: {finding.seen}")
    return findings


def _write(findings: Sequence[Finding], session: AwsSession, given: Mapping[str, Any]) -> None:
    if given["out"] is None:
        return
    facts = {
        "tunewright": version("tunewright"),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "endpoint": str(session.endpoint.kind),
        "region": session.endpoint.region,
        "instance_type": given["instance_type"],
        "calls": dict(session.calls),
    }
    path = Path(given["out"])
    path.write_text(json.dumps(report(findings, facts), indent=2) + "\n")
    say(f"The report is in {path}; it names no account, role or bucket")
