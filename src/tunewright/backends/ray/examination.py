"""The parts that a Ray cluster must have, looked at one by one, with a job of a second: ``tunewright doctor --backend ray``."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from tunewright.aws import ServiceError
from tunewright.backends.engine.node_check import LATE_SECONDS, PROGRAM, file_system, node_facts
from tunewright.backends.plugin import Finding
from tunewright.backends.ray.client import RayClient, RayError, RayJob, RayNode, essence
from tunewright.backends.ray.config import RayConfig
from tunewright.backends.ray.job_service import job_request, remedy_of, shortage
from tunewright.backends.ray.places import Entry, FolderPlace, seen_command
from tunewright.backends.ray.s3_place import open_s3, s3_objects
from tunewright.exceptions import BackendError
from tunewright.formatting import plural
from tunewright.runner.folder_job import HEARTBEAT

LONGEST_WAIT: Final = 90.0
"""Seconds for the job to begin and end; a runtime environment may need them."""
_POLL: Final = 0.5
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
_SHOWN: Final = ("CPU", "GPU")


def examine(config: RayConfig, client: RayClient, folder: Path) -> Iterator[Finding]:
    """Look at dashboard, token, nodes, the shared folder and a job; each fact as soon as it is known.

    Parameters
    ----------
    config
        Resources of the job.
    client
        Of the cluster.
    folder
        Where files of trials would be, seen by all nodes.
    """
    if (yield from _cluster(config, client)):
        yield from _folder(config, client, folder)


def examine_s3(config: RayConfig, client: RayClient, name: str) -> Iterator[Finding]:
    """Look at dashboard, token, nodes, and the bucket as this machine sees it.

    Parameters
    ----------
    config
        Its ``shared_folder`` is an address in S3.
    client
        Of the cluster.
    name
        Of an object that is written and deleted.
    """
    if not (yield from _cluster(config, client)):
        return
    session = open_s3()
    objects = s3_objects(config, name, session)
    try:
        objects.put("doctor", b"seen")
        is_seen = objects.get("doctor") == b"seen"
        objects.delete(["doctor"])
        found = f"this machine writes, reads and deletes objects below {config.shared_folder}"
        yield Finding(what="S3", found=found if is_seen else "an object was not the one that was written")
    except ServiceError as error:
        remedy = (
            error.remedy or "a bucket that exists, and rights to read, write, list and delete its objects"
        )
        yield Finding(what="S3", found=f"{config.shared_folder}: {error}", remedy=remedy)
    finally:
        session.close()


def _cluster(config: RayConfig, client: RayClient) -> Generator[Finding, None, bool]:
    """Dashboard, token and nodes; return whether there is a cluster."""
    try:
        yield Finding(what="dashboard", found=f"Ray {client.check()} at {client.address}")
        nodes = client.nodes()
    except (BackendError, RayError) as error:
        yield Finding(what="dashboard", found=f"{client.address} cannot be used", remedy=str(error))
        return False
    sent = (
        "sent with each request"
        if client.has_token
        else "none: any program that reaches the dashboard can run jobs"
    )
    yield Finding(what="token", found=sent)
    yield _nodes(config, nodes)
    return True


def _folder(config: RayConfig, client: RayClient, folder: Path) -> Iterator[Finding]:
    """The shared folder, and a job of a second."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / HEARTBEAT).touch()
        yield Finding(what="shared folder", found=f"{folder} on {file_system(folder)}")
    except OSError as error:
        yield Finding(what="shared folder", found=str(error), remedy="--shared_folder DIR that you may write")
        return
    yield from _Job(config, client, folder).run()


def _nodes(config: RayConfig, nodes: list[RayNode]) -> Finding:
    """The nodes' resources, and whether one of them can run a trial."""
    numbers = [
        (name, float(total))
        for node in nodes
        for name, total in node.resources_total.items()
        if name in _SHOWN and isinstance(total, int | float)
    ]
    totals = [f"{sum(number for one, number in numbers if one == name):g} {name}s" for name in _SHOWN]
    found = f"{plural(len(nodes), 'node')} with {', '.join(totals)}"
    lacking = shortage(config.needs(), nodes)
    remedy = "fewer --cpus_per_trial, --num_gpus_per_trial or --resources, if the cluster does not grow"
    return Finding(
        what="nodes", found=f"{found}; {lacking}" if lacking else found, remedy=remedy if lacking else ""
    )


@final
@dataclass(frozen=True, slots=True)
class _Job:
    """A job of a second with the resources and the runtime environment of a trial."""

    config: RayConfig
    client: RayClient
    folder: Path

    def run(self) -> Iterator[Finding]:
        """Submit it, wait for its end, and say what it saw."""
        name = f"tw-doctor-{secrets.token_hex(4)}"
        command = [self.config.interpreter(sys.executable), "-c", PROGRAM, str(self.folder)]
        entry = Entry(command=seen_command(self.folder, command))
        request = job_request(self.config, self.config.environment(), name, entry)
        began = time.monotonic()
        try:
            self.client.submit(request)
            job = self._wait(name)
            yield from self._seen(job, time.monotonic() - began)
            self.client.stop(name)
            if job.status in _ENDED:
                self.client.delete(name)
        except RayError as error:
            yield Finding(
                what="job",
                found=str(error),
                remedy="change the resources or --runtime_env as Ray's words ask for",
            )

    def _wait(self, name: str) -> RayJob:
        """The job at its end, or after the longest wait."""
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            job = self.client.job(name) or RayJob(status="FAILED", message="Ray does not know it any more")
            if job.status in _ENDED or time.monotonic() > deadline:
                return job
            time.sleep(_POLL)

    def _seen(self, job: RayJob, seconds: float) -> Iterator[Finding]:
        if job.status not in _ENDED:
            found = f"it was still {job.status} after {LONGEST_WAIT:.0f} s, and was stopped ({essence(job.message or '')})"
            yield Finding(
                what="job", found=found, remedy="wait until nodes are free or added, or ask for less"
            )
            return
        if job.status != "SUCCEEDED":
            yield Finding(
                what="job",
                found=f"it ended as {job.status}: {job.message}",
                remedy=remedy_of(job, FolderPlace.unseen_remedy),
            )
            return
        deadline = time.monotonic() + LATE_SECONDS
        while (facts := node_facts(self.folder)) is None and time.monotonic() < deadline:
            time.sleep(_POLL)
        if facts is None:
            yield Finding(
                what="shared folder",
                found=f"the job wrote a file below {self.folder}, and this machine does not see it",
                remedy="--shared_folder DIR (or TUNEWRIGHT_HOME) that is on all nodes under one path",
            )
            return
        gpus = f", with the GPUs {facts.gpus}" if facts.gpus else ""
        yield Finding(what="job", found=f"a job of one second took {seconds:.1f} s on {facts.host}{gpus}")
        yield Finding(what="shared folder", found=f"{facts.host} writes it, and this machine sees it")
        remedy = "" if facts.is_new_enough else "--python PATH of Python 3.9 or newer on the nodes"
        yield Finding(what="Python", found=f"{facts.version}, {facts.python}", remedy=remedy)
