"""What the remote launchers have in common: flags, upload, the line of slices, and following them."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from tunewright.aws import (
    AwsSession,
    Endpoint,
    EndpointKind,
    ServiceError,
    ensure_bucket,
    find_role,
    has_gpu,
    image_uri,
    open_session,
    price_per_hour,
)
from tunewright.backends.sagemaker.config import SageMakerPlace
from tunewright.backends.sagemaker.deployment import CodeBundle, upload_code
from tunewright.backends.sagemaker.plugin import endpoint_of
from tunewright.exceptions import BackendError, SettingsError
from tunewright.experiments import Experiment
from tunewright.launchers.console import say
from tunewright.launchers.parser import Parser, positive_int
from tunewright.launchers.remote_table import follow
from tunewright.remote.launch import ENDED, Fleet, LaunchRecord, Slice, SliceState, SliceStatus, save_record
from tunewright.remote.layout import CODE_ROOT
from tunewright.remote.requests import TuningJobSettings, tuning_job_request
from tunewright.storage import safe_name

SMALL_INSTANCE: Final = "ml.m5.large"
"""Where trials run elsewhere, a tuning job only decides and waits."""
_LINE_SECONDS: Final = 15.0
"""Service seconds between two looks at a full line."""
_SHORTEST: Final = 1.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """What a folder's ``launch_remote.py`` may say beside methods and benchmarks. See :func:`launch_slices`."""

    dependencies: Sequence[str] = ()
    """Folders and files that the definitions import, beside the experiment folder itself."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of the tuning jobs."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """AWS tags of the tuning jobs."""
    request_template: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """A CreateTrainingJob request merged under that of each tuning job: VPC, KMS keys, volume size."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """What one tuning job is to do."""

    experiments: Sequence[Experiment]
    flags: Sequence[str]
    name: str
    seed: int | None = None
    is_simulated: bool = False
    """Whether limits of time are of simulated time."""

    @staticmethod
    def of(experiment: Experiment, flags: Sequence[str]) -> SlicePlan:
        """The slice of a single experiment."""
        name = safe_name(f"{experiment.label}-{experiment.benchmark.name}-{experiment.seed}")
        return SlicePlan(experiments=[experiment], flags=flags, name=name, seed=experiment.seed)

    @property
    def seconds(self) -> float | None:
        """How long its experiments take at most, one after the other; None where that is not known."""
        if self.is_simulated:
            return None
        times = [experiment.limits.max_wallclock_time for experiment in self.experiments]
        return None if None in times else sum(t for t in times if t is not None)


def add_remote_flags(parser: Parser, *, default_instance: str, instance_flag: str = "instance_type") -> None:
    """What remote launchers take beside the flags of ``hpo_main.py``.

    Parameters
    ----------
    parser
        Gets the flags.
    default_instance
        What tuning jobs run on, for the help.
    instance_flag
        The flag of that, where ``instance_type`` means the trials' instances. The one of spot instances follows it:
        ``tuner_spot`` beside ``tuner_instance_type``.
    """
    parser.flag(
        "max_parallel_jobs",
        "tuning jobs at the same time; the others wait in line (default: what the account has room for; "
        "on the embedded endpoint one per CPU)",
        type=positive_int,
    )
    parser.flag(instance_flag, f"instance type of each tuning job (default: {default_instance})")
    spot_flag = instance_flag.replace("instance_type", "spot")
    parser.switch(
        spot_flag, "run the tuning jobs on spot instances; interrupted ones go on from their journals"
    )
    parser.switch("wait", "follow all slices until they end, and launch those again whose tuning job died")


def launch_slices(
    plans: Sequence[SlicePlan],
    arguments: Namespace,
    *,
    place: SageMakerPlace,
    code: CodeBundle,
    instance_type: str,
    options: RemoteOptions,
) -> int:
    """Store the slices, launch them as far as there is room, and follow them where that is wanted.

    Parameters
    ----------
    plans
        One per tuning job.
    arguments
        Of the command line.
    place
        Endpoint, role and bucket of the tuning jobs; decided, never ``auto``.
    code
        What travels.
    instance_type
        Of the tuning jobs.
    options
        What the folder says.

    Returns
    -------
    int
        The exit code: 1 where ``--wait`` saw a slice fail.

    Raises
    ------
    SettingsError
        The tag was launched before and ``--resume`` was not given.
    BackendError
        The service cannot be used.
    """
    tag = arguments.experiment_tag
    session = open_session(endpoint_of(place))
    try:
        settings = _prepare(session, arguments, place, code, instance_type=instance_type, options=options)
        save_record(tag, LaunchRecord.of(session.endpoint, settings.bucket))
        fleet = Fleet(session, settings.bucket, tag)
        _add(fleet, plans, settings, tag, resume=arguments.resume)
        say(f"Follow them with: tunewright remote status {safe_name(tag)}")
        names = {plan.name for plan in plans}
        return _drive(fleet, session, names, arguments)
    except ServiceError as error:
        raise BackendError(f"The service does not answer ({error}): launch again with --resume") from error
    finally:
        session.close()


def _prepare(
    session: AwsSession,
    arguments: Namespace,
    place: SageMakerPlace,
    code: CodeBundle,
    *,
    instance_type: str,
    options: RemoteOptions,
) -> TuningJobSettings:
    """Bucket, role and image; the code is uploaded unless it is there."""
    bucket = ensure_bucket(session, place.bucket)
    objects = session.objects(bucket, CODE_ROOT)
    upload_code(objects, code)
    region = session.endpoint.region
    return TuningJobSettings(
        endpoint=session.endpoint,
        role_arn=find_role(session, place.role),
        image=place.image_uri or image_uri(region, for_gpu=has_gpu(instance_type)),
        bucket=bucket,
        code_prefix=f"{CODE_ROOT}/{code.prefix}",
        instance_type=instance_type,
        spot=vars(arguments).get("tuner_spot", arguments.spot),
        template=options.request_template,
        environment=options.environment,
        tags=options.tags,
    )


def _add(
    fleet: Fleet, plans: Sequence[SlicePlan], settings: TuningJobSettings, tag: str, *, resume: bool
) -> None:
    there = {status.slice.name: status for status in fleet.look()}
    known = [plan.name for plan in plans if plan.name in there]
    if known and not resume:
        raise SettingsError(
            f"Launched before under the tag {tag}: {', '.join(known)}. Continue with --resume, or give another --experiment_tag"
        )
    if resume:
        fleet.resume([there[name] for name in known])
    slices = [_slice(plan, settings, tag) for plan in plans]
    fleet.add(slices)
    n_old = len(known)
    say(f"{len(plans)} slices, {n_old} of them launched before" if n_old else f"{len(plans)} slices")


def _slice(plan: SlicePlan, settings: TuningJobSettings, tag: str) -> Slice:
    price = price_per_hour(settings.instance_type)
    return Slice(
        tag=safe_name(tag),
        name=plan.name,
        label=plan.experiments[0].label,
        seed=plan.seed,
        flags=tuple(plan.flags),
        request=tuning_job_request(
            settings, tag=safe_name(tag), slice_name=plan.name, flags=plan.flags, seconds=plan.seconds
        ),
        dollars_per_hour=price,
    )


def _drive(fleet: Fleet, session: AwsSession, names: set[str], arguments: Namespace) -> int:
    """Launch until nothing waits; with ``--wait`` until everything has ended."""
    interval = session.endpoint.seconds(_LINE_SECONDS, at_least=_SHORTEST)
    max_parallel = arguments.max_parallel_jobs or jobs_with_room(session.endpoint)
    if arguments.wait:
        return follow(fleet, names, interval=interval, max_parallel=max_parallel)
    told: dict[str, str] = {}
    while True:
        statuses = [status for status in fleet.look() if status.slice.name in names]
        fleet.launch_waiting(statuses, max_parallel)
        statuses = [status for status in fleet.look() if status.slice.name in names]
        _tell(statuses, told, fleet.full or "--max_parallel_jobs")
        if all(status.state in {*ENDED, SliceState.RUNNING, SliceState.STOPPING} for status in statuses):
            return 0
        time.sleep(interval)


def jobs_with_room(endpoint: Endpoint) -> int | None:
    """How many tuning jobs run at the same time where the user does not say; None: as many as the account has room for."""
    return os.cpu_count() or 1 if endpoint.kind is EndpointKind.EMBEDDED else None


def _tell(statuses: Sequence[SliceStatus], told: dict[str, str], limit: str) -> None:
    """A line for each slice that stands elsewhere than before; one for all that wait in line."""
    for status in statuses:
        name, state = status.slice.name, str(status.state)
        if status.state is not SliceState.WAITING and told.get(name) != state:
            told[name] = state
            say(f"{name}: {state}")
    n_waiting = sum(status.state is SliceState.WAITING for status in statuses)
    line = f"{n_waiting} in line ({limit}); Ctrl-C leaves them there, --resume goes on" if n_waiting else ""
    if line and told.get("") != line:
        told[""] = line
        say(line)


def entry_path(entry_point: str) -> Path:
    """The folder's ``hpo_main.py``, from ``__file__`` of its ``launch_remote.py`` or its own path."""
    path = Path(entry_point).resolve()
    return path.with_name("hpo_main.py") if path.name == "launch_remote.py" else path
