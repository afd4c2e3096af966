"""``tunewright sagemaker``: permissions, quotas, checks of an account, and jobs that a crash left."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from cyclopts import Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from tunewright.aws import (
    AwsSession,
    EndpointKind,
    ServiceError,
    ensure_bucket,
    find_role,
    open_session,
    origins,
    prices_at,
    resolve_endpoint,
)
from tunewright.aws import image_uri as default_image
from tunewright.aws.account import Quota, partition, read_quotas
from tunewright.aws.policy import policy
from tunewright.backends.plugin import backend_from_json
from tunewright.backends.sagemaker.assumptions import AssumptionCheck, Finding, JobPlace, report
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.preflight import Line, Plan, needs
from tunewright.benchmarks.real import real_benchmark_definitions
from tunewright.cli.exits import say
from tunewright.cli.output import ask_user, print_table, writing
from tunewright.cli.parsing import command_app
from tunewright.exceptions import BackendError, SettingsError, TunewrightError, UnknownNameError
from tunewright.formatting import plural
from tunewright.journal import is_locked
from tunewright.remote.cleanup import Leftover, end_leftovers, find_leftovers
from tunewright.storage import experiments
from tunewright.types import package_version

EXIT_DIFFERENT: Final = 3
"""Exit code if an assumption does not hold."""
_MINUTES: Final = 10
"""Upper bound of the billed time of one instance."""
EXIT_MISSING: Final = 3
"""Exit code of ``quotas`` if a quota is too low."""
_ENDPOINTS: Final = ("aws", "embedded")
_UNKNOWN: Final = "?"
_N_WORKERS: Final = 4
"""Trials at the same time for which quotas are compared, if neither flag nor benchmark gives their number."""
_Place: TypeAlias = tuple[str, str | None, float | None]

app = command_app("sagemaker", "Permissions, quotas, checks of an account, and jobs that a crash left.")
_For = Annotated[Literal["user", "job"], Parameter(name="--for")]


@app.command(name="policy", help="Print the permissions that are needed, as an IAM policy.")
def print_policy(
    *, principal: _For = "user", narrow: bool = False, region: str | None = None, role: str | None = None
) -> int:
    """Print the IAM policy as JSON.

    Parameters
    ----------
    principal
        user, or job: the role of tuning jobs.
    narrow
        Name this account, region and role: AWS is asked for them.
    region
        AWS region, with --narrow (default: as boto3 finds it).
    role
        Role of the jobs, with --narrow.
    """
    for_jobs = principal == "job"
    document = policy(for_jobs=for_jobs)
    if narrow:
        session = open_session(resolve_endpoint("aws", region=region))
        try:
            document = policy(
                region=session.endpoint.region,
                account=session.account,
                role_arn=find_role(session, role),
                partition=partition(session.endpoint.region),
                for_jobs=for_jobs,
            )
        finally:
            session.close()
    say(json.dumps(document, indent=2))
    return 0


@app.command(
    name="quotas", help="Compare the needs of an experiment with the account's quotas. Creates nothing."
)
def show_quotas(
    *,
    benchmark: str | None = None,
    instance_type: str | None = None,
    n_workers: PositiveInt | None = None,
    instance_count: PositiveInt = 1,
    warm_pool: bool = False,
    spot: bool = False,
    trial_seconds: PositiveFloat | None = None,
    endpoint: str = "auto",
    region: str | None = None,
    format: Literal["text", "json"] = "text",  # noqa: A002 - the flag's name
) -> int:
    """Print the table; 3 if a quota is too low.

    Parameters
    ----------
    benchmark
        Take instance type and workers from this benchmark.
    instance_type
        Such as ml.c5.xlarge.
    n_workers
        Trials at the same time (default: the benchmark's, or 4).
    instance_count
        Instances of each trial.
    warm_pool
        Instances are kept warm between trials.
    spot
        Trials run on spot instances.
    trial_seconds
        Mean seconds of a run: shows whether jobs can be created fast enough.
    endpoint
        auto, aws, embedded or a URL.
    region
        AWS region (default: as boto3 finds it).
    format
        Of the output.
    """
    instance_type, n_workers = _trials(benchmark, instance_type, n_workers)
    plan = Plan(
        instance_type=instance_type,
        n_instances=n_workers * instance_count,
        has_warm_pool=warm_pool,
        is_spot=spot,
        trial_seconds=trial_seconds,
    )
    session = open_session(resolve_endpoint(endpoint, region=region))
    try:
        quotas = read_quotas(session)
    finally:
        session.close()
    lines = needs(plan, quotas)
    if format == "json":
        shown = [asdict(line) | {"is_missing": line.is_missing, "remedy": line.remedy} for line in lines]
        say(json.dumps(shown, indent=2))
    else:
        _show_quota_lines(lines, quotas, session.endpoint.region)
    return EXIT_MISSING if any(line.is_missing for line in lines) else 0


@app.command(
    name="verify", help="Run short jobs, and compare the service with the assumptions of the backend."
)
def verify(
    *,
    instance_type: str = "ml.m5.large",
    endpoint: str = "auto",
    region: str | None = None,
    role: str | None = None,
    bucket: str | None = None,
    image_uri: str | None = None,
    out: Path | None = None,
    yes: bool = False,
) -> int:
    """Run the checks and print the findings; 3 if an assumption does not hold.

    Parameters
    ----------
    instance_type
        Of the jobs.
    endpoint
        auto, aws, embedded or a URL.
    region
        AWS region (default: as boto3 finds it).
    role
        Role of the jobs (default: found).
    bucket
        Bucket of their files (default: sagemaker-REGION-ACCOUNT).
    image_uri
        Image of the jobs; needs python3 (default: the CPU image of PyTorch).
    out
        File of the report as JSON.
    yes
        Do not ask before jobs are created on AWS.
    """
    if out is not None:
        with writing(out), out.open("a", encoding="utf-8"):  # before anything is paid for
            pass
    session = open_session(resolve_endpoint(endpoint, region=region))
    try:
        _confirm(session, instance_type, is_agreed=yes)
        place = JobPlace(
            prefix=f"tunewright-verify-{secrets.token_hex(4)}",
            role_arn=find_role(session, role),
            image=image_uri or default_image(session.endpoint.region, for_gpu=False),
            instance_type=instance_type,
            bucket=ensure_bucket(session, bucket),
        )
        findings = _check(session, place)
    except ServiceError as error:
        raise BackendError(
            f"The service refuses ({error}): see tunewright sagemaker policy and quotas"
        ) from error
    finally:
        session.close()
    if out is not None:
        _write(findings, session, instance_type, out)
    n_wrong = sum(one.holds is False for one in findings)
    n_unseen = sum(one.holds is None for one in findings)
    say(f"{len(findings) - n_wrong - n_unseen} assumptions hold, {n_wrong} do not, {n_unseen} were not seen")
    return EXIT_DIFFERENT if n_wrong else 0


@app.command(
    name="cleanup", help="Show jobs and warm pools that a crash left, with their price, and end them."
)
def clean_up(
    *, tag: str | None = None, endpoint: str | None = None, dry_run: bool = False, yes: bool = False
) -> int:
    """Show the jobs and warm pools of abandoned experiments, with their price, and end them.

    Parameters
    ----------
    tag
        Only experiments of this tag.
    endpoint
        Only experiments whose jobs ran there: aws, embedded or a URL (default: everywhere).
    dry_run
        Only show them.
    yes
        Do not ask before they are ended.
    """
    if endpoint and endpoint not in _ENDPOINTS and "://" not in endpoint:
        raise UnknownNameError("endpoint", endpoint, _ENDPOINTS)
    places: dict[_Place, list[str]] = {}
    for place, name in _abandoned(tag):
        if endpoint in {None, place[0]}:
            places.setdefault(place, []).append(name)
    n_jobs = n_pools = 0
    for (address, region, speed), names in places.items():
        session = open_session(resolve_endpoint(address, region=region, speed=speed))
        try:
            left = find_leftovers(session, names)
            if left:
                _show_leftovers(left)
            if left and not dry_run and _is_agreed(session, is_agreed=yes):
                jobs, pools = end_leftovers(session, left)
                n_jobs, n_pools = n_jobs + jobs, n_pools + pools
        except ServiceError as error:
            raise BackendError(f"The service does not answer as it should ({error}): try again") from error
        finally:
            session.close()
    n_experiments = sum(map(len, places.values()))
    say(
        f"{plural(n_experiments, 'experiment')} looked at: {plural(n_jobs, 'job')} stopped, {plural(n_pools, 'warm pool')} released"
    )
    return 0


def _trials(benchmark: str | None, instance_type: str | None, n_workers: int | None) -> tuple[str, int]:
    """Instance type and number of the trials at the same time."""
    if benchmark is not None:
        records = real_benchmark_definitions(sagemaker_backend=True)
        if benchmark not in records:
            raise UnknownNameError("benchmark", benchmark, records)
        record = records[benchmark]
        instance_type, n_workers = instance_type or record.instance_type, n_workers or record.n_workers
    if instance_type is None:
        raise SettingsError("Name an instance type: --instance_type ml.c5.xlarge, or --benchmark NAME")
    return instance_type, n_workers or _N_WORKERS


def _show_quota_lines(lines: Sequence[Line], quotas: Mapping[str, Quota] | None, region: str) -> None:
    if quotas is None:
        say(
            "The quotas of this account cannot be read (servicequotas:ListServiceQuotas is not allowed): "
            f"look them up at https://{region}.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas"
        )
    print_table(
        ("quota", "has", "needs", "verdict"),
        [
            (
                line.quota,
                _UNKNOWN if line.has is None else f"{line.has:g}",
                f"{line.needs:.3g}",
                "too low" if line.is_missing else _UNKNOWN if line.has is None else "enough",
            )
            for line in lines
        ],
    )
    for line in lines:
        if line.is_missing:
            say(f"{line.quota}: {line.remedy}")


def _show_leftovers(left: Sequence[Leftover]) -> None:
    print_table(
        ("job", "experiment", "state", "instances", "price per hour"),
        [
            (
                one.job,
                one.experiment,
                "kept warm" if one.is_pool else "runs",
                f"{one.instance_count} x {one.instance_type}",
                "not known" if one.price is None else f"${one.price.dollars_per_hour:.3f}",
            )
            for one in left
        ],
    )
    known = [one.price for one in left if one.price is not None]
    if known:
        say(f"Together ${sum(price.dollars_per_hour for price in known):.2f} per hour ({origins(known)})")


def _is_agreed(session: AwsSession, *, is_agreed: bool) -> bool:
    if is_agreed or session.endpoint.kind is not EndpointKind.AWS:
        return True
    if not sys.stdin.isatty():
        raise SettingsError("A terminal is needed to confirm; use --yes. Nothing was ended")
    return ask_user("End these? [y/N] ").strip().lower() in {"y", "yes"}


def _abandoned(tag: str | None) -> Iterator[tuple[_Place, str]]:
    """Stored SageMaker experiments without a process, with the endpoint of their jobs; unreadable ones are named."""
    for folder in experiments(tag):
        try:
            config = backend_from_json(folder.metadata()["backend"])
        except (TunewrightError, LookupError, TypeError, ValueError) as error:
            sys.stderr.write(f"Left out {folder.name}, whose backend is unknown: {error}\n")
            continue
        if isinstance(config, SageMakerConfig) and not is_locked(folder.journal_path):
            yield (config.endpoint, config.region, config.speed), folder.name


def _confirm(session: AwsSession, instance_type: str, *, is_agreed: bool) -> None:
    if session.endpoint.kind is not EndpointKind.AWS or is_agreed:
        return
    price = prices_at(session.endpoint).get(instance_type)
    cost = "" if price is None else f", about ${price.dollars_per_hour * _MINUTES / 60:.2f} ({price})"
    text = f"This runs up to {_MINUTES} minutes of one {instance_type} on AWS in {session.endpoint.region}{cost}."
    if not sys.stdin.isatty():
        raise SettingsError(f"{text} A terminal is needed to confirm; use --yes")
    if ask_user(f"{text} Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise SettingsError("Not confirmed: nothing was created")


def _check(session: AwsSession, place: JobPlace) -> list[Finding]:
    findings: list[Finding] = []
    for finding in AssumptionCheck(session, place, say).run():
        findings.append(finding)
        mark = {True: "as assumed", False: "DIFFERENT", None: "not seen"}[finding.holds]
        say(f"{mark:>10}  {finding.assumption}: {finding.seen}")
    return findings


def _write(findings: Sequence[Finding], session: AwsSession, instance_type: str, path: Path) -> None:
    facts = {
        "tunewright": package_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "endpoint": str(session.endpoint.kind),
        "region": session.endpoint.region,
        "instance_type": instance_type,
        "calls": dict(session.calls),
    }
    path.write_text(json.dumps(report(findings, facts), indent=2) + "\n")
    say(f"The report is in {path}; it names no account, role or bucket")
