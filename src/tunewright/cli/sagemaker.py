"""``tunewright sagemaker``: permissions, quotas, checks of an account, and jobs and files that experiments left."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Final, Literal, final

from cyclopts import Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from tunewright.aws import (
    AwsSession,
    EndpointKind,
    S3Objects,
    ServiceError,
    choose_bucket,
    find_role,
    open_session,
    origins,
)
from tunewright.aws.account import Quota, partition
from tunewright.aws.policy import ANY, Scope, policy
from tunewright.backends.plugin import backend_from_json
from tunewright.backends.s3.code import ROOT_PREFIX
from tunewright.backends.sagemaker.config import SageMakerConfig, TuningJobPlace
from tunewright.backends.sagemaker.plugin import endpoint_of
from tunewright.backends.sagemaker.preflight import Line, Plan, needs, quotas_of
from tunewright.backends.sagemaker.requests import LONGEST_PREFIX
from tunewright.backends.sagemaker.template import channel_of
from tunewright.benchmarks.real import real_benchmark_definitions
from tunewright.cli.exits import say
from tunewright.cli.flags import HERE, AccessFlags
from tunewright.cli.output import is_confirmed, print_table
from tunewright.cli.parsing import command_app
from tunewright.cli.records import pairs
from tunewright.cli.verify import verify
from tunewright.exceptions import BackendError, SettingsError, TunewrightError, UnknownNameError
from tunewright.formatting import plural
from tunewright.journal import is_locked
from tunewright.remote.cleanup import (
    Leftover,
    PurgePlan,
    end_leftovers,
    find_all_leftovers,
    find_leftovers,
    lifecycle_rule,
    plan_purge,
    purge,
    running_jobs,
)
from tunewright.remote.launch import load_record
from tunewright.storage import experiments as stored_experiments
from tunewright.storage import safe_name

EXIT_MISSING: Final = 3
"""Exit code of ``quotas`` if a quota is too low."""
_ENDPOINTS: Final = ("aws", "embedded")
_UNKNOWN: Final = "?"
_N_WORKERS: Final = 4
"""Trials at the same time for which quotas are compared, if neither flag nor benchmark gives their number."""


_SHORTEST_LIFE: Final = 14


@Parameter(name="*")
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _PurgePlace:
    """The service of an experiment that another machine began; by default the experiment's own."""

    endpoint: str | None = None
    """aws, embedded or a URL, if another machine began the experiment."""
    region: str | None = None
    """AWS region, likewise."""
    bucket: str | None = None
    """Bucket, likewise."""
    bucket_owner: str | None = None
    """Account that must own the bucket, likewise."""
    speed: PositiveFloat | None = None
    """Service seconds per second of an embedded endpoint, likewise."""
    profile: str | None = None
    """Profile of the AWS configuration, likewise."""
    assume_role: str | None = None
    """Role whose rights all requests have, by its ARN, likewise."""


_ITS_PLACE: Final = _PurgePlace()

app = command_app(
    "sagemaker", "Permissions, quotas, checks of an account, and jobs and files that experiments left."
)
_For = Annotated[Literal["user", "tuning-job", "trial", "job"], Parameter(name="--for")]


@app.command(name="policy", help="Print the permissions that are needed, as an IAM policy.")
def print_policy(
    *,
    principal: _For = "user",
    narrow: bool = True,
    role: str | None = None,
    bucket: str | None = None,
    experiments: str = "",
    kms_key: str | None = None,
    inputs: tuple[str, ...] = (),
    subnets: str | None = None,
    secret: tuple[str, ...] = (),
    endpoint: str = "aws",
    access: AccessFlags = HERE,
) -> int:
    """Print the IAM policy as JSON.

    Parameters
    ----------
    principal
        user: who starts experiments; tuning-job (or job): the role of tuning jobs; trial: the role of trials' jobs.
    narrow
        Name this account and region and one role, for which AWS is asked; 0: any (default: 1).
    role
        Role that may be passed to jobs, by name or ARN; of a user of remote launches the role of tuning jobs
        (default: as experiments find it).
    bucket
        Bucket of the experiments (default: sagemaker-REGION-ACCOUNT).
    experiments
        Experiment tag: a trial may use the files of its experiments only (default: those of all experiments).
    kms_key
        Key of the objects and disks, by ARN or id.
    inputs
        Input folder of trials, NAME=s3://... as of experiments; may be repeated.
    subnets
        Subnets of the jobs, with commas: their roles then make network interfaces.
    secret
        Secret of trials as in tunewright tune, NAME=SECRET; may be repeated.
    endpoint
        aws, embedded or a URL.
    access
        Region and credentials.
    """
    if principal == "job":
        principal = "tuning-job"
    scope = Scope(
        bucket=bucket or "",
        experiments=_prefix(experiments),
        inputs=tuple(_input_uris(inputs)),
        has_vpc=subnets is not None,
        secrets=tuple(pairs("secret", secret).values()),
        assumed_role=access.assume_role or "",
    )
    if narrow:
        session = access.open(endpoint)
        try:
            scope = replace(
                scope,
                region=session.endpoint.region,
                account=session.account,
                partition=partition(session.endpoint.region),
                passed_role=ANY if principal == "trial" else find_role(session, role),
            )
        finally:
            session.close()
    if kms_key is not None:
        scope = replace(scope, kms_key=_key_arn(kms_key, scope))
    say(json.dumps(policy(principal, scope), indent=2))
    return 0


def _input_uris(inputs: Sequence[str]) -> Iterator[str]:
    """S3 addresses of inputs, without options; file systems need no permission but those of their VPC."""
    for name, address in pairs("inputs", inputs).items():
        source: Mapping[str, Any] = channel_of(name, address)["DataSource"]
        if "S3DataSource" in source:
            yield source["S3DataSource"]["S3Uri"]


def _prefix(tag: str) -> str:
    """The beginning of the S3 prefixes of a tag's experiments; empty without a tag."""
    if not tag:
        return ""
    name = safe_name(tag, "experiment tag")
    if len(name) > LONGEST_PREFIX:
        raise SettingsError(
            f"The names of experiments of {name} are shortened in S3: a tag may have {LONGEST_PREFIX} characters here"
        )
    return name


def _key_arn(key: str, scope: Scope) -> str:
    """ARN of a key, by which alone a policy can name it."""
    if "alias/" in key:
        raise SettingsError(
            f"A policy cannot name a key by an alias: give the ARN or the id of {key} (aws kms describe-key --key-id {key})"
        )
    return key if key.startswith("arn:") else scope.arn("kms", f"key/{key}")


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
    access: AccessFlags = HERE,
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
    access
        Region and credentials.
    format
        Of the output.
    """
    instance_type, n_workers = _trials(benchmark, instance_type, n_workers)
    plan = Plan(
        instance_type=instance_type,
        n_instances=n_workers * instance_count,
        instances_per_job=instance_count,
        has_warm_pool=warm_pool,
        is_spot=spot,
        trial_seconds=trial_seconds,
    )
    session = access.open(endpoint)
    try:
        quotas = quotas_of(session, plan)
    finally:
        session.close()
    lines = needs(plan, quotas)
    if format == "json":
        shown = [asdict(line) | {"is_missing": line.is_missing, "remedy": line.remedy} for line in lines]
        say(json.dumps(shown, indent=2))
    else:
        _show_quota_lines(lines, quotas, session.endpoint.region)
    return EXIT_MISSING if any(line.is_missing for line in lines) else 0


app.command(
    verify, name="verify", help="Run short jobs, and compare the account with the assumptions of the backend."
)


@app.command(
    name="cleanup", help="Show jobs and warm pools that a crash left, with their price, and end them."
)
def clean_up(
    *,
    tag: str | None = None,
    all: bool = False,  # noqa: A002 - the flag's name
    endpoint: str | None = None,
    access: AccessFlags = HERE,
    dry_run: bool = False,
    yes: bool = False,
) -> int:
    """Show the jobs and warm pools of abandoned experiments, with their price, and end them.

    Parameters
    ----------
    tag
        Only experiments of this tag.
    all
        All experiments of the account and region, also those begun on other machines, by the tags of their jobs.
    endpoint
        Only experiments whose jobs ran there: aws, embedded or a URL (default: everywhere).
    access
        Region and credentials, with --all.
    dry_run
        Only show them.
    yes
        Do not ask before they are ended.
    """
    if endpoint and endpoint not in _ENDPOINTS and "://" not in endpoint:
        raise UnknownNameError("endpoint", endpoint, _ENDPOINTS)
    if all:
        if tag is not None:
            raise SettingsError("--all is for the experiments of every tag: leave out one of --all and --tag")
        return _clean_up_account(access.open(endpoint or "auto"), dry_run=dry_run, yes=yes)
    places: dict[TuningJobPlace, list[str]] = {}
    for config, name in _abandoned(tag):
        if endpoint in {None, config.endpoint}:
            place = TuningJobPlace(
                endpoint=config.endpoint,
                speed=config.speed,
                region=config.region,
                profile=config.profile,
                assume_role=config.assume_role,
            )
            places.setdefault(place, []).append(name)
    n_jobs = n_pools = 0
    for place, names in places.items():
        session = open_session(endpoint_of(place))
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


def _clean_up_account(session: AwsSession, *, dry_run: bool, yes: bool) -> int:
    running = [folder.name for folder in stored_experiments() if is_locked(folder.journal_path)]
    n_jobs = n_pools = 0
    try:
        left = find_all_leftovers(session, spared=running)
        if left:
            _show_leftovers(left)
            say("Some of these experiments may run on other machines")
        if left and not dry_run and _is_agreed(session, is_agreed=yes):
            n_jobs, n_pools = end_leftovers(session, left)
    except ServiceError as error:
        raise BackendError(f"The service does not answer as it should ({error}): try again") from error
    finally:
        session.close()
    say(f"{plural(n_jobs, 'job')} stopped, {plural(n_pools, 'warm pool')} released")
    return 0


@app.command(
    name="purge",
    help="Show the files in S3 of an experiment, or of all experiments of a tag, and delete them.",
)
def purge_files(
    name: str,
    /,
    *,
    place: Annotated[_PurgePlace, Parameter(group="Place")] = _ITS_PLACE,
    dry_run: bool = False,
    yes: bool = False,
) -> int:
    """Show the files in S3 of an experiment, or of all experiments of a tag, and delete them.

    Results stay on this machine. Code that other experiments use stays, too.

    Parameters
    ----------
    name
        An experiment, or a tag.
    dry_run
        Only show them.
    yes
        Do not ask before they are deleted.
    """
    n_objects = size = 0
    for settled, names in _places_of(name, place).items():
        session = open_session(endpoint_of(settled))
        try:
            bucket = choose_bucket(session, settled.bucket, settled.bucket_terms)
            root = session.objects(bucket, ROOT_PREFIX)
            plan = plan_purge(root, names, [name])
            _show_files(plan, root)
            if not plan.own or dry_run:
                continue
            if running := running_jobs(session, [*names, *plan.experiments], [name]):
                raise BackendError(
                    f"{plural(len(running), 'job')} run, such as {running[0]}: stop the experiment first"
                )
            if not _may_delete(is_agreed=yes):
                continue
            purge(root, plan)
            n_objects, size = n_objects + plan.n_objects, size + plan.size
        except ServiceError as error:
            raise BackendError(f"S3 refuses or does not answer ({error}): try again") from error
        finally:
            session.close()
    say(f"{plural(n_objects, 'object')} deleted, {size / 1e6:.1f} MB")
    if not dry_run:
        say("Files can also expire by themselves: tunewright sagemaker lifecycle")
    return 0


@app.command(
    name="lifecycle", help="Print a life-cycle rule of a bucket, by which the files of experiments expire."
)
def print_lifecycle(*, days: PositiveInt = 90) -> int:
    """Print the rule as JSON, for aws s3api put-bucket-lifecycle-configuration, which replaces the rules that a bucket has.

    Parameters
    ----------
    days
        Age at which files expire, those of running experiments too; at least two weeks.
    """
    if days < _SHORTEST_LIFE:
        raise SettingsError(
            f"--days must be at least {_SHORTEST_LIFE}: the code of a running experiment may be a week old"
        )
    say(json.dumps(lifecycle_rule(days), indent=2))
    return 0


def _places_of(name: str, given: _PurgePlace) -> dict[TuningJobPlace, list[str]]:
    """Where the files of an experiment or tag are, with the names of the experiments there."""
    places: dict[TuningJobPlace, list[str]] = {}
    for folder in stored_experiments():
        if name not in {folder.name, folder.path.parent.name} and safe_name(name) != folder.path.parent.name:
            continue
        config = backend_from_json(folder.metadata()["backend"])
        if isinstance(config, SageMakerConfig):
            if is_locked(folder.journal_path):
                raise SettingsError(f"{folder.name} runs: stop it first")
            facts = {one.name: getattr(config, one.name) for one in fields(TuningJobPlace)}
            places.setdefault(TuningJobPlace(**facts), []).append(folder.name)
    record = load_record(name)
    if record is not None:
        owner, key = record.bucket_owner or None, record.kms_key or None
        launch = TuningJobPlace(
            endpoint=record.choice,
            region=record.region,
            speed=record.speed,
            bucket=record.bucket,
            bucket_owner=owner,
            kms_key=key,
            profile=record.profile,
            assume_role=record.assume_role,
        )
        places.setdefault(launch, [])
    if given.endpoint is not None or not places:
        elsewhere = TuningJobPlace(
            endpoint=given.endpoint or "auto",
            region=given.region,
            speed=given.speed,
            bucket=given.bucket,
            bucket_owner=given.bucket_owner,
            profile=given.profile,
            assume_role=given.assume_role,
        )
        places = {
            elsewhere: list(dict.fromkeys([name, *(one for names in places.values() for one in names)]))
        }
    return places


def _show_files(plan: PurgePlan, root: S3Objects) -> None:
    rows = [
        (root.uri(f"{files.prefix}/"), str(files.n_objects), f"{files.size / 1e6:.1f} MB")
        for files in (*plan.own, *plan.code)
    ]
    if rows:
        print_table(("files", "objects", "size"), rows)
    for digest, n_others in plan.kept.items():
        say(f"The code {digest[:12]} is kept: {plural(n_others, 'other experiment')} of the bucket use it")
    if not rows:
        say(f"No files in {root.uri()}")


def _may_delete(*, is_agreed: bool) -> bool:
    unattended = "A terminal is needed to confirm; use --yes. Nothing was deleted"
    return is_agreed or is_confirmed("Delete these?", unattended=unattended)


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
                line.value,
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
    unattended = "A terminal is needed to confirm; use --yes. Nothing was ended"
    is_free = session.endpoint.kind is not EndpointKind.AWS
    return is_agreed or is_free or is_confirmed("End these?", unattended=unattended)


def _abandoned(tag: str | None) -> Iterator[tuple[SageMakerConfig, str]]:
    """Stored SageMaker experiments without a process, with their backends' configs; unreadable ones are named."""
    for folder in stored_experiments(tag):
        try:
            config = backend_from_json(folder.metadata()["backend"])
        except (TunewrightError, LookupError, TypeError, ValueError) as error:
            sys.stderr.write(f"Left out {folder.name}, whose backend is unknown: {error}\n")
            continue
        if isinstance(config, SageMakerConfig) and not is_locked(folder.journal_path):
            yield config, folder.name
