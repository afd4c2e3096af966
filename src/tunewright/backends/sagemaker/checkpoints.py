"""Where the checkpoints of jobs lie in S3, and which of them are whole."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

from tunewright.aws import S3Objects
from tunewright.backends.sagemaker.requests import JobName
from tunewright.runner import s3_keys
from tunewright.runner.checkpoints import SYNCED
from tunewright.runner.restarts import LIVES
from tunewright.runner.s3_keys import COMPLETE
from tunewright.trial import Checkpoint


class Checkpoints(ABC):
    """The checkpoints of an experiment.

    Every method raises :class:`~tunewright.aws.ServiceError` where S3 refuses or does not answer.
    """

    @abstractmethod
    def newest(self, trial_id: int) -> Checkpoint | None:
        """The whole checkpoint of the highest resource of a trial."""

    @abstractmethod
    def confirms(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint that a runner has told of can be used."""

    @abstractmethod
    def delete(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint, its list of files first, so that it is never half there."""


@final
class RunnerCheckpoints(Checkpoints):
    """Those that runners store themselves: they tell of none that is not whole.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    """

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects

    def newest(self, trial_id: int) -> Checkpoint | None:
        """By one listing."""
        found = whole_checkpoints(self._objects, trial_id)
        return Checkpoint(trial_id=trial_id, resource=found[-1]) if found else None

    def confirms(self, checkpoint: Checkpoint) -> bool:
        """Always."""
        del checkpoint
        return True

    def delete(self, checkpoint: Checkpoint) -> None:
        """Its marker, then its files."""
        delete_checkpoint(self._objects, checkpoint.trial_id, checkpoint.resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """What the service has copied of one checkpoint of one job."""

    key: str
    """What its keys begin with, ending in a slash."""
    resource: int
    age: tuple[int, int]
    """Attempt and retry."""
    sizes: Mapping[str, int]


@final
class CopiedCheckpoints(Checkpoints):
    """Those that the service copies: each job has a folder of its own, whose order of copying is not known.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    """

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects

    def newest(self, trial_id: int) -> Checkpoint | None:
        """By one listing, and one look at a list of files for each that is not whole."""
        copies = sorted(self._copies(trial_id), key=lambda copy: (copy.resource, copy.age), reverse=True)
        found = next((copy for copy in copies if self._is_whole(copy)), None)
        return None if found is None else Checkpoint(trial_id=trial_id, resource=found.resource)

    def confirms(self, checkpoint: Checkpoint) -> bool:
        """Whether it was copied whole."""
        return self.place(checkpoint) is not None

    def place(self, checkpoint: Checkpoint) -> str | None:
        """What the keys of a checkpoint begin with, ending in a slash; None where there is none that is whole."""
        copies = sorted(self._copies(checkpoint.trial_id), key=lambda copy: copy.age, reverse=True)
        fitting = (copy for copy in copies if copy.resource == checkpoint.resource)
        return next((copy.key for copy in fitting if self._is_whole(copy)), None)

    def delete(self, checkpoint: Checkpoint) -> None:
        """All copies of it."""
        for copy in self._copies(checkpoint.trial_id):
            if copy.resource == checkpoint.resource:
                self._objects.delete([copy.key + COMPLETE])
                self._objects.delete_under(copy.key)

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


def whole_checkpoints(objects: S3Objects, trial_id: int) -> list[int]:
    """Resources of the whole checkpoints of a trial, in rising order."""
    place = f"{s3_keys.CHECKPOINTS}{trial_id}/"
    found = (stored.key[len(place) :].split("/") for stored in objects.list(place))
    return sorted(int(parts[0]) for parts in found if parts[1:] == [s3_keys.COMPLETE])


def newest_life(objects: S3Objects, name: JobName) -> int:
    """The highest retry of the run that was begun, also by the service under a job's name; not below the name's."""
    start = f"{LIVES}{name.trial_id}-{name.attempt}-"
    return max([name.retry, *(int(stored.key[len(start) :]) for stored in objects.list(start))])


def delete_checkpoint(objects: S3Objects, trial_id: int, resource: int) -> None:
    """Remove a checkpoint, its marker first, so that it is never half there."""
    place = s3_keys.checkpoint_prefix(trial_id, resource)
    objects.delete([place + s3_keys.COMPLETE])
    objects.delete_under(place)
