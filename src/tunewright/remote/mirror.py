"""Experiments of other machines on this one: downloads of their files from S3."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from tunewright.aws import AwsSession, boto
from tunewright.aws.mirror import JOURNAL, REQUESTS, check_below, fetch_experiment
from tunewright.backends.s3.code import ROOT_PREFIX, StoredCode
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.deployment import journal_prefix
from tunewright.exceptions import SettingsError, TunewrightError
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.outcome import Outcome, load_outcome
from tunewright.experiments.remote_marker import RemoteMarker, write_marker
from tunewright.remote.launch import RemoteLaunch, SliceStatus
from tunewright.remote.layout import EXPERIMENTS
from tunewright.remote.requests import endpoint_facts
from tunewright.requests import Request, file_of, id_of
from tunewright.storage import ExperimentFolder, home, replacing, safe_name, upgrade_metadata

_SMALL: Final = ("metadata.json", "account.json")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SliceView:
    """A slice and its experiments, as S3 has them."""

    status: SliceStatus
    outcomes: tuple[Outcome, ...]
    n_fetched: int
    """Number of objects that were downloaded for it."""


def fetch_views(
    launch: RemoteLaunch, statuses: Sequence[SliceStatus], *, all_files: bool = False
) -> list[SliceView]:
    """Download the experiments of slices, and read them.

    Parameters
    ----------
    launch
        The launch, after a call of its ``look``.
    statuses
        Of the slices.
    all_files
        Download tables of results and files of trials as well, which a status does not need.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    SettingsError
        Names in S3 lead out of the folders of experiments.
    """
    return [_view(launch, status, all_files=all_files) for status in statuses]


def _view(launch: RemoteLaunch, status: SliceStatus, *, all_files: bool) -> SliceView:
    outcomes: list[Outcome] = []
    one = status.slice
    note = RemoteMarker(tag=one.tag, name=one.name, state=str(status.state), looked_at=time.time())
    n_fetched = 0
    for name in status.experiments:
        check_below(f"{one.tag}/{name}", one.name)
        folder = ExperimentFolder(home() / "experiments" / one.tag / name)
        stored = [
            entry
            for entry in launch.stored(one.name, name)
            if (all_files and not entry.key.startswith(REQUESTS))  # they are for the tuner there
            or entry.key in _SMALL
            or entry.key.startswith(JOURNAL)
        ]
        objects = launch.objects(one.name).under(f"{EXPERIMENTS}{name}")
        n_fetched += fetch_experiment(objects, stored, folder.path)
        write_marker(folder.path, note)
        try:
            outcomes.append(load_outcome(folder))
        except TunewrightError:
            continue  # it has just begun, and its journal does not exist yet
    return SliceView(status=status, outcomes=tuple(outcomes), n_fetched=n_fetched)


def send_request(launch: RemoteLaunch, folder: ExperimentFolder, slice_name: str, request: Request) -> str:
    """Put a request to the tuner of an experiment in a tuning job into S3, where the tuner looks every few seconds.

    Parameters
    ----------
    launch
        The launch.
    folder
        The experiment, as it was fetched.
    slice_name
        Its slice.
    request
        The request.

    Returns
    -------
    str
        The id of the request, which the event in the journal has as ``arguments["request"]``.

    Raises
    ------
    SettingsError
        The request cannot work.
    ServiceError
        The service refuses or does not answer.
    """
    name, data = file_of(folder, request)
    launch.objects(slice_name).put(_request_key(folder, name), data)
    return id_of(name)


def withdraw_request(launch: RemoteLaunch, folder: ExperimentFolder, slice_name: str, number: str) -> bool:
    """Remove a request from S3 that waits; return whether it was there.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    """
    objects, key = launch.objects(slice_name), _request_key(folder, f"{number}.json")
    was_there = bool(number) and objects.exists(key)
    if was_there:
        objects.delete([key])
    return was_there


def _request_key(folder: ExperimentFolder, name: str) -> str:
    return f"{EXPERIMENTS}{folder.name}/{REQUESTS}{name}"


def fetch_mirrored(session: AwsSession, bucket: str, name: str) -> ExperimentFolder:
    """Download an experiment whose journal another machine has copied to S3 (``--journal s3``), with its code.

    Its metadata then have the script's place on this machine, and the session's endpoint, profile and role.

    Parameters
    ----------
    session
        An open session.
    bucket
        Of the experiment.
    name
        Of the experiment.

    Raises
    ------
    SettingsError
        There is no such experiment, its code was changed or deleted, or its method is a function of the user.
    ServiceError
        The service refuses or does not answer.
    """
    objects = session.objects(bucket, journal_prefix(name))
    try:
        content = objects.get("metadata.json")
    except boto.ServiceError as error:
        if error.code != "NoSuchBucket":
            raise
        raise SettingsError(
            f"There is no bucket {bucket}: give --region and --bucket as the experiment had them"
        ) from error
    if content is None:
        raise SettingsError(
            f"There is no experiment in {objects.uri()}: give its full name, and --region and --bucket as it had them; it must "
            "have been begun with --journal s3"
        )
    metadata = upgrade_metadata(json.loads(content))
    tag = safe_name(str(metadata["tag"]), "experiment tag")
    check_below(f"{tag}/{name}", objects.uri())
    folder = ExperimentFolder(home() / "experiments" / tag / name)
    folder.path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder.path) as unfinished:
        fetch_experiment(objects, list(objects.list()), unfinished)
        here = ExperimentFolder(unfinished)
        script = StoredCode.noted(here).fetch(session.objects(bucket, ROOT_PREFIX))
        stored = Experiment.from_json(metadata)
        if not isinstance(stored.backend, SageMakerConfig):
            raise SettingsError(f"{name} is no experiment of the sagemaker backend")
        facts = endpoint_facts(session.endpoint)
        backend = replace(
            stored.backend,
            endpoint=facts["choice"],
            region=facts["region"],
            speed=facts["speed"],
            profile=session.endpoint.profile,
            assume_role=session.endpoint.assume_role,
        )
        benchmark = stored.real_benchmark.replace(script=script, dependencies=())
        moved = replace(stored, backend=backend, benchmark=benchmark)
        here.write_metadata({**metadata, **moved.to_json()})
    return folder
