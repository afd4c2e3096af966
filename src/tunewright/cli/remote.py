"""``tunewright remote``: experiments in tuning jobs, followed from here."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal, final

from cyclopts import Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from tunewright.aws import AwsSession, ServiceError, choose_bucket, open_session, resolve_endpoint
from tunewright.cli.exits import say
from tunewright.cli.output import print_table
from tunewright.cli.parsing import command_app
from tunewright.cli.slices import HEADINGS, follow, price_note, slice_rows
from tunewright.exceptions import BackendError, SettingsError, UnknownNameError
from tunewright.formatting import plural
from tunewright.remote.cleanup import clear_experiments
from tunewright.remote.launch import ENDED, RemoteLaunch, SliceStatus, load_record, tuner_folders
from tunewright.remote.logs import SliceLog
from tunewright.remote.mirror import SliceView, fetch_views
from tunewright.runner.contract import BucketTerms

_SERVICE_SECONDS: Final = 5.0
_SHORTEST: Final = 1.0

app = command_app("remote", "Follow, stop or fetch experiments that were launched remotely.")


@Parameter(name="*")
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The service that a tag was launched on; by default the one that this machine launched it on."""

    endpoint: str | None = None
    """aws, embedded or a URL, if another machine launched the tag."""
    region: str | None = None
    """AWS region, likewise."""
    bucket: str | None = None
    """Bucket, likewise."""
    bucket_owner: str | None = None
    """Account that must own the bucket, likewise."""
    kms_key: str | None = None
    """Key of the files in S3, likewise."""
    speed: PositiveFloat | None = None
    """Service seconds per second of an embedded endpoint, likewise."""
    profile: str | None = None
    """Profile of the AWS configuration (default: that of the launch)."""
    assume_role: str | None = None
    """Role whose rights all requests have, by its ARN (default: that of the launch)."""


_Where = Annotated[Place, Parameter(group="Place")]
_HERE: Final = Place()


@app.command(name="status", help="Show all slices: state, best so far, trials, cost.")
def show_status(
    tag: str,
    /,
    *,
    format: Literal["table", "json"] = "table",  # noqa: A002 - the flag's name
    resume: bool = False,
    wait: bool = False,
    max_parallel_jobs: PositiveInt | None = None,
    place: _Where = _HERE,
) -> int:
    """Show all slices.

    Parameters
    ----------
    tag
        Experiment tag that was launched.
    format
        Of the output.
    resume
        Launch slices that wait in line, and those whose tuning job died.
    wait
        Follow all slices until they end; with --resume, keep them going.
    max_parallel_jobs
        Tuning jobs at the same time.
    """
    with _open(tag, place) as (session, fleet):
        statuses = _look(fleet, tag)
        if wait and resume:
            names = {status.slice.name for status in statuses}
            return follow(fleet, names, interval=_interval(session), max_parallel=max_parallel_jobs)
        if resume and fleet.launch_waiting(statuses, max_parallel_jobs):
            statuses = fleet.look()
        while wait and any(status.state not in ENDED for status in statuses):
            time.sleep(_interval(session))
            statuses = fleet.look()
        views = fetch_views(fleet, statuses)
    if format == "json":
        say(json.dumps([_json(view) for view in views], indent=2))
    else:
        print_table(HEADINGS, slice_rows(views))
        if note := price_note(views):
            say(note)
    return 0


@app.command(name="logs", help="Print the output of a slice's tuning jobs.")
def print_logs(tag: str, slice: str, /, *, follow: bool = False, place: _Where = _HERE) -> int:  # noqa: A002
    """Print the output of a slice's tuning jobs.

    Parameters
    ----------
    tag
        Experiment tag that was launched.
    slice
        Name, as 'tunewright remote status' shows it.
    follow
        Continue until the slice ends.
    """
    with _open(tag, place) as (session, fleet):
        status = _find(fleet, tag, slice)
        log = SliceLog(fleet.objects(status.slice.name))
        while follow and status.state not in ENDED:
            _print(log)
            time.sleep(_interval(session))
            status = _find(fleet, tag, slice)
        _print(log)
    return 0


@app.command(name="stop", help="Stop slices: tuning jobs, their trials' training jobs, and warm pools.")
def stop(tag: str, /, *, slice: str | None = None, place: _Where = _HERE) -> int:  # noqa: A002
    """Stop slices.

    Parameters
    ----------
    tag
        Experiment tag that was launched.
    slice
        Only this slice (default: all).
    """
    with _open(tag, place) as (session, fleet):
        chosen = [_find(fleet, tag, slice)] if slice else _look(fleet, tag)
        fleet.stop(chosen)
        names = {status.slice.name for status in chosen}
        while True:
            statuses = [status for status in fleet.look() if status.slice.name in names]
            if all(status.state in ENDED for status in statuses):
                break
            time.sleep(_interval(session))
        for status in statuses:
            say(f"{status.slice.name}: {status.state}")
        experiments = [experiment for status in statuses for experiment in status.experiments]
        n_jobs, n_pools = clear_experiments(session, experiments, tag)
        if n_jobs or n_pools:
            say(f"{plural(n_jobs, 'training job')} stopped, {plural(n_pools, 'warm pool')} released")
    return 0


@app.command(name="fetch", help="Download the results; tunewright list and show know them then.")
def fetch(tag: str, /, *, place: _Where = _HERE) -> int:
    """Download the results; only files that changed are transferred.

    Parameters
    ----------
    tag
        Experiment tag that was launched.
    """
    with _open(tag, place) as (_, fleet):
        views = fetch_views(fleet, _look(fleet, tag), all_files=True)
    outcomes = [outcome for view in views for outcome in view.outcomes]
    n_fetched = sum(view.n_fetched for view in views)
    say(f"{plural(len(outcomes), 'experiment')}, {plural(n_fetched, 'file')} new or changed")
    for outcome in outcomes:
        say(str(outcome.path))
    return 0


@contextmanager
def _open(tag: str, place: Place) -> Generator[tuple[AwsSession, RemoteLaunch]]:
    record = load_record(tag)
    if record is None and place.endpoint is None and tuner_folders(tag).is_dir():
        raise SettingsError(
            f"The tuners of {tag} are jobs of the trials' engine, which lists and ends them; their output is in {tuner_folders(tag)}. "
            f"See tunewright list --experiment_tag {tag} and tunewright dashboard {tag}"
        )
    try:
        if place.endpoint is None and record is not None:
            record = replace(
                record,
                profile=place.profile or record.profile,
                assume_role=place.assume_role or record.assume_role,
            )
            session = open_session(record.endpoint())
            bucket = choose_bucket(session, record.bucket, record.bucket_terms)
        else:
            endpoint = resolve_endpoint(
                place.endpoint or "aws",
                region=place.region,
                speed=place.speed,
                profile=place.profile,
                assume_role=place.assume_role,
            )
            session = open_session(endpoint)
            terms = BucketTerms(owner=place.bucket_owner or "", kms_key=place.kms_key or "")
            bucket = choose_bucket(session, place.bucket, terms)
        try:
            yield session, RemoteLaunch(session, bucket, tag, record.requests if record else {})
        finally:
            session.close()
    except ServiceError as error:
        raise BackendError(f"The service does not answer as it should ({error}): try again") from error


def _interval(session: AwsSession) -> float:
    return session.endpoint.seconds(_SERVICE_SECONDS, at_least=_SHORTEST)


def _print(log: SliceLog) -> None:
    sys.stdout.write(log.new_text())
    sys.stdout.flush()


def _look(fleet: RemoteLaunch, tag: str) -> list[SliceStatus]:
    statuses = fleet.look()
    if not statuses:
        raise SettingsError(f"Nothing was launched under the tag {tag}: see launch_remote.py --help")
    return statuses


def _find(fleet: RemoteLaunch, tag: str, name: str) -> SliceStatus:
    found = {status.slice.name: status for status in _look(fleet, tag)}
    if name not in found:
        raise UnknownNameError("slice", name, found)
    return found[name]


def _json(view: SliceView) -> dict[str, Any]:
    status = view.status
    return {
        "slice": status.slice.name,
        "state": str(status.state),
        "why": status.why,
        "tuning_jobs": list(status.jobs),
        "tuning_seconds": status.seconds,
        "tuning_cost": status.cost,
        "experiments": [outcome.to_json() for outcome in view.outcomes],
    }
