"""The tuner itself as a job of the cluster."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from typing import Final

from tunewright.backends.plugin import TunerJob
from tunewright.backends.ray.client import RayClient, RayError, RayJob, auth_token, dashboard_address
from tunewright.backends.ray.config import RayConfig
from tunewright.backends.ray.job_service import STOP_WAIT
from tunewright.exceptions import BackendError, SettingsError
from tunewright.types import Json

_HOME: Final = "TUNEWRIGHT_HOME"
_RUNNING: Final = frozenset({"PENDING", "RUNNING"})
_SPARE_SECONDS: Final = 60
"""Of a tuner that ends, beside the time that its trials have for their checkpoints."""


def launch(config: RayConfig, tuner: TunerJob) -> str:
    """Submit the job of a tuner; how the user follows and ends it.

    Raises
    ------
    SettingsError
        Ray refuses the job, or runs it already.
    BackendError
        The cluster cannot be used.
    """
    client = RayClient(dashboard_address(config.address), auth_token())
    client.check()
    try:
        earlier = _launches(client, tuner.name)
        for number, job in earlier.items():
            if job.status in _RUNNING:
                name = _launch_name(tuner.name, number)
                raise SettingsError(f"The tuner {name} is {job.status}: ray job stop {name} ends it")
        # A new name: the monitor of an ended job in Ray goes on for a moment, and acts on whatever has its name.
        tuner = replace(tuner, name=_launch_name(tuner.name, max(earlier, default=0) + 1))
        tuner.folder.mkdir(parents=True, exist_ok=True)
        client.submit(tuner_request(config, tuner))
    except RayError as error:
        if error.is_lost:
            raise BackendError(f"Ray does not answer ({error}): launch again with --resume") from error
        raise SettingsError(f"Ray refuses the tuner's job ({error})") from error
    except OSError as error:
        raise SettingsError(f"{tuner.folder} cannot be written ({error})") from error
    return f"{tuner.name}: a job on {client.address}, output by ray job logs {tuner.name}; ray job stop {tuner.name} ends it with its trials"


def _launch_name(tuner: str, number: int) -> str:
    """Name of the job of a tuner's launch, counted from 1: the tuner's own, then with ``_2`` and so on."""
    return tuner if number == 1 else f"{tuner}_{number}"


def _launches(client: RayClient, tuner: str) -> dict[int, RayJob]:
    """The jobs of a tuner that Ray knows, by the number of their launch."""
    found: dict[int, RayJob] = {}
    for job in client.jobs():
        if launch := re.fullmatch(rf"{re.escape(tuner)}(?:_(\d+))?", job.submission_id or ""):
            found[int(launch[1] or 1)] = job
    return found


def tuner_request(config: RayConfig, tuner: TunerJob) -> dict[str, Json]:
    """The body of a request for a tuner's job, which takes no resources and so runs on the head node.

    Parameters
    ----------
    config
        Its address must be valid on the head node as well.
    tuner
        The command.
    """
    folder = shlex.quote(str(tuner.folder))
    unseen = shlex.quote(
        f"[tunewright] The head node does not see {tuner.folder}: set TUNEWRIGHT_HOME to a shared folder"
    )
    variables: dict[str, Json] = {
        "RAY_API_SERVER_ADDRESS": dashboard_address(
            config.address
        ),  # RAY_ADDRESS of a job is another service's
        "PYTHONUNBUFFERED": "1",
        STOP_WAIT: str(round(config.close_seconds) + _SPARE_SECONDS),
    }
    if home := os.environ.get(_HOME):
        variables[_HOME] = home
    return {
        "submission_id": tuner.name,
        "entrypoint": f"[ -d {folder} ] || {{ echo {unseen}; exit 1; }}; "
        f"cd {shlex.quote(str(tuner.cwd))} && exec {shlex.join(tuner.command)}",
        "runtime_env": {"env_vars": variables},
    }
