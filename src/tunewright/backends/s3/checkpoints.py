"""Checkpoints of jobs in S3: those that runners store, and those that the service copies."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from typing_extensions import override

from tunewright.aws import S3Objects
from tunewright.aws.objects import in_parallel
from tunewright.backends.engine.channel import Checkpoints
from tunewright.backends.engine.job_service import JobName
from tunewright.runner import s3_keys
from tunewright.runner.checkpoints import SYNCED, make_links, places_of
from tunewright.runner.restarts import RESTARTS
from tunewright.runner.s3_keys import COMPLETE
from tunewright.trial import Checkpoint


@final
class RunnerCheckpoints(Checkpoints):
    """Checkpoints that runners store themselves; they report complete ones only.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    """

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects

    @override
    def newest(self, trial_id: int) -> Checkpoint | None:
        """By one listing."""
        found = complete_checkpoints(self._objects, trial_id)
        return Checkpoint(trial_id=trial_id, resource=found[-1]) if found else None

    @override
    def is_complete(self, checkpoint: Checkpoint) -> bool:
        """Always true: runners write the marker last."""
        return True

    @override
    def newest_restart(self, name: JobName) -> int:
        """By one listing of the claims that restarted jobs make."""
        start = f"{RESTARTS}{name.trial_id}-{name.attempt}-"
        claimed = (int(stored.key[len(start) :]) for stored in self._objects.list(start))
        return max([name.retry, *claimed])

    @override
    def delete(self, checkpoint: Checkpoint) -> None:
        _delete(self._objects, s3_keys.checkpoint_prefix(checkpoint.trial_id, checkpoint.resource))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """The service's copy of one checkpoint of one job."""

    key: str
    """Common prefix of its keys, ending in a slash."""
    resource: int
    age: tuple[int, int]
    """Attempt and retry."""
    sizes: Mapping[str, int]


@final
class CopiedCheckpoints(Checkpoints):
    """Checkpoints that the service copies: each job has a folder of its own, copied in unknown order.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    """

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects

    @override
    def newest(self, trial_id: int) -> Checkpoint | None:
        """By one listing, and one look at a list of files for each that is not whole."""
        copies = sorted(self._copies(trial_id), key=lambda copy: (copy.resource, copy.age), reverse=True)
        found = next((copy for copy in copies if self._is_whole(copy)), None)
        return None if found is None else Checkpoint(trial_id=trial_id, resource=found.resource)

    @override
    def is_complete(self, checkpoint: Checkpoint) -> bool:
        """Whether all its files were copied."""
        return self.prefix_of(checkpoint) is not None

    @override
    def newest_restart(self, name: JobName) -> int:
        return name.retry

    def prefix_of(self, checkpoint: Checkpoint) -> str | None:
        """Common prefix of the keys of a checkpoint, ending in a slash; None without a complete copy."""
        copies = sorted(self._copies(checkpoint.trial_id), key=lambda copy: copy.age, reverse=True)
        fitting = (copy for copy in copies if copy.resource == checkpoint.resource)
        return next((copy.key for copy in fitting if self._is_whole(copy)), None)

    @override
    def delete(self, checkpoint: Checkpoint) -> None:
        """All copies of it."""
        for copy in self._copies(checkpoint.trial_id):
            if copy.resource == checkpoint.resource:
                _delete(self._objects, copy.key)

    def _copies(self, trial_id: int) -> Iterator[_Copy]:
        start = f"{SYNCED}{trial_id}/"
        found: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for stored in self._objects.list(start):
            job, _, rest = stored.key[len(start) :].partition("/")
            resource, _, name = rest.partition("/")
            if resource.isdecimal() and name:
                found[job, resource][name] = stored.size
        for (job, resource), sizes in found.items():
            attempt, _, retry = job.partition("-")
            yield _Copy(
                key=f"{start}{job}/{resource}/",
                resource=int(resource),
                age=(int(attempt), int(retry)),
                sizes=sizes,
            )

    def _is_whole(self, copy: _Copy) -> bool:
        if COMPLETE not in copy.sizes:
            return False
        try:
            wanted: dict[str, int] = json.loads(self._objects.get(copy.key + COMPLETE) or b"")["files"]
        except ValueError:  # it is being copied
            return False
        return all(copy.sizes.get(name) == size for name, size in wanted.items())


def complete_checkpoints(objects: S3Objects, trial_id: int) -> list[int]:
    """Resources of the complete checkpoints of a trial that runners stored, in rising order."""
    prefix = f"{s3_keys.CHECKPOINTS}{trial_id}/"
    found = (stored.key[len(prefix) :].split("/") for stored in objects.list(prefix))
    return sorted(int(parts[0]) for parts in found if parts[1:] == [COMPLETE])


def download(objects: S3Objects, prefix: str, folder: Path) -> bool:
    """Copy the files of a complete checkpoint into a folder; return False if it is not there, or not complete.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    prefix
        Common prefix of the checkpoint's keys, ending in a slash.
    folder
        Is created.

    Raises
    ------
    ServiceError
        S3 refuses or does not answer.
    ValueError
        A file would leave the folder.
    """
    marker = objects.get(prefix + COMPLETE)
    if marker is None:
        return False
    content = json.loads(marker)
    places = places_of(content["files"], folder)
    for path in {folder, *(path.parent for path in places.values())}:
        path.mkdir(parents=True, exist_ok=True)
    in_parallel(lambda name: objects.get_file(prefix + name, places[name]), sorted(places))
    make_links(content.get("links", {}), folder)
    return True


def _delete(objects: S3Objects, prefix: str) -> None:
    """Remove a checkpoint, its marker first, so that it is never half there."""
    objects.delete([prefix + COMPLETE])
    objects.delete_under(prefix)
