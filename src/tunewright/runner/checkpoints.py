"""Checkpoints of jobs: in S3, or in a folder that the service copies; periodically and at a run's end.

The service copies what lies there while the job runs, in no order that it promises, and all of it when the job is over.
So each checkpoint has a folder of its own, with a list of its files, which a reader compares with what it finds::

    {resource}/{file}
    {resource}/_complete
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, final

from . import s3_keys
from .s3_keys import COMPLETE


def write_atomically(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Replace a file; a reader sees the old content or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    if mode is not None:
        partial.chmod(mode)
    partial.replace(path)


@final
class S3Checkpoints:
    """Saves and loads checkpoint folders under an experiment's prefix.

    Parameters
    ----------
    client
        A boto3 client of S3.
    bucket
        Its name.
    prefix
        The experiment's prefix, ending in a slash.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def load(self, trial_id: int, resource: int, folder: Path) -> None:
        """Copy a checkpoint into a folder.

        Raises
        ------
        FileNotFoundError
            There is no complete checkpoint of that trial and resource.
        ValueError
            A file would leave the folder.
        """
        place = self._place(trial_id, resource)
        marker = self._marker(place)
        if marker is None:
            raise FileNotFoundError(f"There is no whole checkpoint s3://{self._bucket}/{place}")
        for name, target in places_of(marker["files"], folder).items():
            target.parent.mkdir(parents=True, exist_ok=True)
            self._client.download_file(self._bucket, place + name, str(target))
        make_links(marker.get("links", {}), folder)

    def save(self, trial_id: int, resource: int, folder: Path) -> bool:
        """Store a folder; a checkpoint that is whole already stays as it is.

        Returns
        -------
        bool
            Whether there is a complete checkpoint now; False if the folder is empty.
        """
        place = self._place(trial_id, resource)
        if self._marker(place) is not None:
            return True
        sizes = files_of(folder)
        if not sizes:
            return False
        for name in sizes:
            self._client.upload_file(str(folder / name), self._bucket, place + name)
        marker = json.dumps({"files": sizes, "links": links_of(folder)}).encode("utf-8")
        self._client.put_object(Bucket=self._bucket, Key=place + s3_keys.COMPLETE, Body=marker)
        return True

    def delete(self, trial_id: int, resource: int) -> None:
        """Remove a checkpoint, its marker first."""
        place = self._place(trial_id, resource)
        marker = self._marker(place) or {"files": {}}
        for name in [s3_keys.COMPLETE, *marker["files"]]:
            self._client.delete_object(Bucket=self._bucket, Key=place + name)

    def _place(self, trial_id: int, resource: int) -> str:
        return self._prefix + s3_keys.checkpoint_prefix(trial_id, resource)

    def _marker(self, place: str) -> dict[str, Any] | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=place + s3_keys.COMPLETE)
        except self._client.exceptions.NoSuchKey:
            return None
        marker: dict[str, Any] = json.loads(answer["Body"].read())
        return marker


def files_of(folder: Path) -> dict[str, int]:
    """The files below a folder and their sizes, by path relative to it; a link to a file counts as that file."""
    paths = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths if path.is_file()}


def links_of(folder: Path) -> dict[str, str]:
    """The links of a folder to folders in it, by path relative to it: their targets, relative to their folders."""
    home = Path(os.path.realpath(folder))
    links: dict[str, str] = {}
    for where, folders, _ in os.walk(home):
        for link in (Path(where, name) for name in folders):
            leads_to = Path(os.path.realpath(link))
            if link.is_symlink() and leads_to.is_relative_to(home):
                links[link.relative_to(home).as_posix()] = os.path.relpath(leads_to, where)
    return links


def make_links(links: Mapping[str, str], folder: Path) -> None:
    """Create the links of :func:`links_of` in another folder.

    Raises
    ------
    ValueError
        A link would leave the folder, or lead out of it.
    """
    for name, leads_to in links.items():
        places_of([name, os.path.normpath(Path(name).parent / leads_to)], folder)
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(link):
            link.symlink_to(leads_to)


def copy_files(source: Path, names: Iterable[str], target: Path) -> None:
    """Copy files by their paths relative to a folder; links become their targets."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)


def places_of(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Where the files of a checkpoint go below a folder.

    Raises
    ------
    ValueError
        One would leave the folder.
    """
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"The file {name!r} of a checkpoint would leave its folder")
    return {name: folder / name for name in names}


def snapshot(folder: Path) -> Path | None:
    """A consistent copy of a folder.

    Returns
    -------
    Path or None
        A temporary folder, which the caller removes; None if the folder is empty or was written to meanwhile.
    """
    before = _state(folder)
    if not before:
        return None
    copy = Path(tempfile.mkdtemp(prefix="checkpoint-"))
    try:
        copy_files(folder, before, copy)
        make_links(links_of(folder), copy)
        if _state(folder) == before:
            return copy
    except OSError:
        pass
    shutil.rmtree(copy, ignore_errors=True)
    return None


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    try:
        stats = {name: (folder / name).stat() for name in files_of(folder)}
    except OSError:
        return {}
    return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()}


_RELATIVE_PAUSE = 10.0
"""Minimum pause between two periodic checkpoints, as a multiple of the duration of the last one."""


@final
class PeriodicCheckpoints:
    """Copies the folder of checkpoints if the last copy is old enough.

    Parameters
    ----------
    folder
        Where the script writes them.
    seconds
        Between two copies.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self.next_at = time.monotonic() + seconds
        """When the next copy is due."""

    def note(self, resource: int, keep: Callable[[Path, int], object]) -> None:
        """The script has reached a resource, and may have written a checkpoint.

        Parameters
        ----------
        resource
            Reached by the run.
        keep
            Stores a consistent copy and its resource.
        """
        began = time.monotonic()
        if began < self.next_at or resource < 1:
            return
        copy = snapshot(self._folder)
        if copy is None:
            return
        try:
            keep(copy, resource)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        now = time.monotonic()
        self.next_at = now + max(self._seconds, _RELATIVE_PAUSE * (now - began))


SYNCED_FOLDER = "kept"
"""Below ``/opt/ml``: the LocalPath of the job's CheckpointConfig."""
SYNCED = "synced/"
"""Below the experiment's prefix in S3: ``synced/{trial}/{attempt}-{retry}/`` is the copy of a job's folder."""


def synced_prefix(trial_id: int, attempt: int, retry: int) -> str:
    """Where the folder of a job is copied to, below the experiment's prefix."""
    return f"{SYNCED}{trial_id}/{attempt}-{retry}/"


@final
class SyncedCheckpoints:
    """Keeps checkpoints in the copied folder.

    Parameters
    ----------
    folder
        The copied folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: Path, resource: int) -> bool:
        """Make a folder's content the checkpoint of a resource; one that is kept already stays as it is.

        Parameters
        ----------
        content
            Is moved, and gone afterwards.
        resource
            Of the content.

        Returns
        -------
        bool
            Whether there is a checkpoint now; False if the folder is empty.
        """
        target = self._folder / str(resource)
        if (target / COMPLETE).is_file():
            return True
        sizes = files_of(content)
        if not sizes:
            return False
        links = links_of(content)
        shutil.rmtree(target, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        if any(path.is_symlink() for path in content.rglob("*")):  # the service is to copy files, not links
            copy_files(content, sizes, target)
            shutil.rmtree(content, ignore_errors=True)
        else:
            shutil.move(str(content), str(target))
        write_atomically(target / COMPLETE, json.dumps({"files": sizes, "links": links}))
        return True

    def forget(self, resource: int) -> None:
        """Remove a checkpoint, its list first."""
        target = self._folder / str(resource)
        (target / COMPLETE).unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)


def load_from(channel: Path, folder: Path) -> None:
    """Copy a checkpoint that an input channel brought into the script's folder.

    Raises
    ------
    FileNotFoundError
        A file of its list is missing, or the list itself.
    ValueError
        A file would leave the folder.
    """
    marker = json.loads((channel / COMPLETE).read_text(encoding="utf-8"))
    sizes: dict[str, int] = marker["files"]
    for name, target in places_of(sizes, folder).items():
        source = channel / name
        if source.stat().st_size != sizes[name]:
            raise FileNotFoundError(f"{source} of the checkpoint has not {sizes[name]} bytes")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    make_links(marker.get("links", {}), folder)
