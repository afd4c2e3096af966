"""Slices of a remote launch, one tuning job each: storing, launching and following them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tunewright.aws import (
    AwsSession,
    Endpoint,
    EndpointKind,
    ServiceError,
    check_image,
    ensure_bucket,
    find_role,
    has_gpu,
    image_uri,
    open_session,
    prices_at,
)
from tunewright.backends.s3.code import ROOT_PREFIX, CodeBundle, upload_code
from tunewright.backends.sagemaker.config import SageMakerPlace
from tunewright.backends.sagemaker.plugin import endpoint_of
from tunewright.cli.exits import say
from tunewright.cli.output import table_of
from tunewright.exceptions import BackendError, SettingsError
from tunewright.experiments import Experiment
from tunewright.formatting import duration, number, plural
from tunewright.remote.launch import (
    ENDED,
    LaunchRecord,
    RemoteLaunch,
    Slice,
    SliceState,
    SliceStatus,
    load_record,
    save_record,
)
from tunewright.remote.layout import tag_prefix
from tunewright.remote.mirror import SliceView, fetch_views
from tunewright.remote.requests import TuningJobSettings, tuning_job_request
from tunewright.storage import safe_name

HEADINGS: Final = ("slice", "state", "tuning jobs", "trials", "results", "best", "cost")
_LINE_SECONDS: Final = 15.0
"""Service seconds between two attempts to launch waiting slices."""
_SHORTEST: Final = 1.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """Options of a folder's ``launch_remote.py``."""

    dependencies: Sequence[str] = ()
    """Folders and files that the definitions import, besides the experiment folder itself."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of the tuning jobs."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """AWS tags of the tuning jobs."""
    request_template: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """A CreateTrainingJob request merged under that of each tuning job: VPC, KMS keys, volume size."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """Work of one tuning job."""

    experiments: Sequence[Experiment]
    flags: Sequence[str]
    name: str
    seed: int | None = None
    is_simulated: bool = False
    """Whether time limits are in simulated time."""

    @staticmethod
    def of(experiment: Experiment, flags: Sequence[str]) -> SlicePlan:
        """The slice of a single experiment."""
        name = safe_name(f"{experiment.label}-{experiment.benchmark.name}-{experiment.seed}")
        return SlicePlan(experiments=[experiment], flags=flags, name=name, seed=experiment.seed)

    @property
    def seconds(self) -> float | None:
        """Upper bound of the seconds of its experiments, one after the other; None if unknown."""
        if self.is_simulated:
            return None
        times = [experiment.limits.max_wallclock_time for experiment in self.experiments]
        return None if None in times else sum(t for t in times if t is not None)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SliceLaunch:
    """How the slices of a tag are launched."""

    tag: str
    place: SageMakerPlace
    """Endpoint, role and bucket of the tuning jobs; decided, never ``auto``."""
    code: CodeBundle
    """Uploaded files."""
    instance_type: str
    spot: bool = False
    max_parallel_jobs: int | None = None
    resume: bool = False
    """Continue slices that were launched before."""
    wait: bool = False
    """Follow the slices until they end."""
    options: RemoteOptions = field(default_factory=RemoteOptions)
    tuner_role: str | None = None
    """Role of the tuning jobs, by name or ARN; None: that of the place, which the trials' jobs have."""

    def run(self, plans: Sequence[SlicePlan]) -> int:
        """Store the slices, launch them as far as there is room, and follow them with ``--wait``.

        Returns
        -------
        int
            The exit code: 1 if ``--wait`` saw a slice fail.

        Raises
        ------
        SettingsError
            The tag was launched before and ``--resume`` was not given.
        BackendError
            The service cannot be used.
        """
        session = open_session(endpoint_of(self.place))
        try:
            settings = self._prepare(session)
            record = load_record(self.tag)
            fleet = RemoteLaunch(session, settings.bucket, self.tag, record.requests if record else {})
            self._add(fleet, plans, settings)
            save_record(
                self.tag,
                LaunchRecord.of(session.endpoint, settings.bucket, self.place.bucket_terms, fleet.requests),
            )
            say(f"Follow them with: tunewright remote status {safe_name(self.tag)}")
            return self._drive(fleet, session, {plan.name for plan in plans})
        except ServiceError as error:
            raise BackendError(
                f"The service does not answer ({error}): launch again with --resume"
            ) from error
        finally:
            session.close()

    def _prepare(self, session: AwsSession) -> TuningJobSettings:
        """Find bucket, role and image; upload the code unless it is there."""
        bucket = ensure_bucket(session, self.place.bucket, self.place.bucket_terms)
        user = tag_prefix(self.tag).removeprefix(f"{ROOT_PREFIX}/")
        upload_code(session.objects(bucket, ROOT_PREFIX), self.code, user)
        region, trial_role = session.endpoint.region, find_role(session, self.place.role)
        return TuningJobSettings(
            endpoint=session.endpoint,
            role_arn=find_role(session, self.tuner_role) if self.tuner_role else trial_role,
            trial_role_arn=trial_role,
            image=self.place.image_uri or _image(region, self.instance_type),
            bucket=bucket,
            bucket_terms=session.terms_of(bucket),
            code=self.code,
            code_prefix=f"{ROOT_PREFIX}/{self.code.prefix}",
            instance_type=self.instance_type,
            spot=self.spot,
            template=self.options.request_template,
            environment=self.options.environment,
            tags=self.options.tags,
        )

    def _add(self, fleet: RemoteLaunch, plans: Sequence[SlicePlan], settings: TuningJobSettings) -> None:
        there = {status.slice.name: status for status in fleet.look()}
        known = [plan.name for plan in plans if plan.name in there]
        if known and not self.resume:
            raise SettingsError(
                f"Launched before under the tag {self.tag}: {', '.join(known)}. "
                "Continue with --resume, or give another --experiment_tag"
            )
        fleet.add([_slice(plan, settings, self.tag) for plan in plans])
        if self.resume:
            fleet.resume([there[name] for name in known])
        n_old = len(known)
        say(plural(len(plans), "slice") + (f", {n_old} of them launched before" if n_old else ""))

    def _drive(self, fleet: RemoteLaunch, session: AwsSession, names: set[str]) -> int:
        """Launch until no slice waits; with ``--wait`` until all have ended."""
        interval = session.endpoint.seconds(_LINE_SECONDS, at_least=_SHORTEST)
        max_parallel = self.max_parallel_jobs or jobs_with_room(session.endpoint)
        if self.wait:
            return follow(fleet, names, interval=interval, max_parallel=max_parallel)
        shown: dict[str, str] = {}
        while True:
            statuses = [status for status in fleet.look() if status.slice.name in names]
            fleet.launch_waiting(statuses, max_parallel)
            statuses = [status for status in fleet.look() if status.slice.name in names]
            _say_changes(statuses, shown, fleet.full or "--max_parallel_jobs")
            if all(status.state in {*ENDED, SliceState.RUNNING, SliceState.STOPPING} for status in statuses):
                return 0
            time.sleep(interval)


def _image(region: str, instance_type: str) -> str:
    """AWS's training image for a tuning job.

    Raises
    ------
    SettingsError
        There is none for the region, or none for the instance type.
    """
    check_image(instance_type)
    return image_uri(region, for_gpu=has_gpu(instance_type))


def _slice(plan: SlicePlan, settings: TuningJobSettings, tag: str) -> Slice:
    price = prices_at(settings.endpoint).get(settings.instance_type)
    return Slice(
        tag=safe_name(tag),
        name=plan.name,
        label=plan.experiments[0].label,
        seed=plan.seed,
        flags=tuple(plan.flags),
        request=tuning_job_request(
            settings, tag=safe_name(tag), slice_name=plan.name, flags=plan.flags, seconds=plan.seconds
        ),
        dollars_per_hour=None if price is None else price.dollars_per_hour,
        prices=str(price or ""),
    )


def jobs_with_room(endpoint: Endpoint) -> int | None:
    """Default number of tuning jobs at the same time; None: as many as the account has room for."""
    return os.cpu_count() or 1 if endpoint.kind is EndpointKind.EMBEDDED else None


def _say_changes(statuses: Sequence[SliceStatus], shown: dict[str, str], limit: str) -> None:
    """Print a line for each slice whose state changed, and one for all waiting slices."""
    for status in statuses:
        name, state = status.slice.name, str(status.state)
        if status.state is not SliceState.WAITING and shown.get(name) != state:
            shown[name] = state
            say(f"{name}: {state}")
    n_waiting = sum(status.state is SliceState.WAITING for status in statuses)
    line = f"{n_waiting} in line ({limit}); Ctrl-C leaves them there, --resume goes on" if n_waiting else ""
    if line and shown.get("") != line:
        shown[""] = line
        say(line)


def slice_rows(views: Sequence[SliceView]) -> list[Sequence[str]]:
    """One row per slice, in the order of :data:`HEADINGS`."""
    return [_row(view) for view in views]


def price_note(views: Sequence[SliceView]) -> str:
    """Origin of the prices behind the costs of slices; empty if it is unknown."""
    found = [view.status.slice.prices for view in views]
    found += [str(outcome.summary.get("prices", "")) for view in views for outcome in view.outcomes]
    texts = dict.fromkeys(filter(None, found))
    return f"Prices: {'; '.join(texts)}" if texts else ""


def follow(fleet: RemoteLaunch, names: set[str], *, interval: float, max_parallel: int | None) -> int:
    """Show all slices until they end; launch those again whose tuning job died.

    Parameters
    ----------
    fleet
        The launch.
    names
        Of the slices to follow.
    interval
        Real seconds between two looks.
    max_parallel
        Tuning jobs at the same time.

    Returns
    -------
    int
        0, or 1 if a slice failed.

    Raises
    ------
    BackendError, ServiceError
        The service cannot be used.
    """
    is_terminal = sys.stdout.isatty()
    shown: dict[str, str] = {}
    with Live(console=Console(), auto_refresh=False, transient=not is_terminal) as live:
        while True:
            statuses = [status for status in fleet.look() if status.slice.name in names]
            views = fetch_views(fleet, statuses)
            if is_terminal:
                table = table_of(HEADINGS, slice_rows(views))
                live.update(Group(table, Text(price_note(views))), refresh=True)
            else:
                _say_views(views, shown)
            if all(status.state in ENDED for status in statuses):
                break
            try:
                fleet.launch_waiting(statuses, max_parallel)
            except BackendError as error:
                say(f"Error: {error}")
                return 1
            time.sleep(interval)
    return int(any(status.state is SliceState.FAILED for status in statuses))


def _say_views(views: Sequence[SliceView], shown: dict[str, str]) -> None:
    """Print a line for each slice whose state changed."""
    for view in views:
        name, state = view.status.slice.name, str(view.status.state)
        if shown.get(name) != state:
            shown[name] = state
            say(
                f"{name}: {', '.join(part for part in (state, view.status.why, _best(view)) if part != '-' and part)}"
            )


def _row(view: SliceView) -> Sequence[str]:
    status = view.status
    n_trials = sum(outcome.history.n_trials for outcome in view.outcomes)
    n_results = sum(outcome.history.n_results for outcome in view.outcomes)
    state = f"{status.state} ({status.why})" if status.why else str(status.state)
    jobs = f"{len(status.jobs)}, {duration(status.seconds)}" if status.jobs else "-"
    return (status.slice.name, state, jobs, str(n_trials), str(n_results), _best(view), _cost(view))


def _best(view: SliceView) -> str:
    found = [(outcome, outcome.best) for outcome in view.outcomes]
    texts = [f"{outcome.metric.name} {number(best.value)}" for outcome, best in found if best is not None]
    return texts[0] if len(texts) == 1 else f"{len(texts)} experiments" if texts else "-"


def _cost(view: SliceView) -> str:
    """Dollars of the trials and of the tuning jobs together."""
    trials = sum(float(outcome.summary.get("cost", 0.0)) for outcome in view.outcomes)
    return f"${trials + (view.status.cost or 0.0):.2f}"
