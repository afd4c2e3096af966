"""Checkpoints in S3: the files first, then a marker that says that they are all there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, final

from . import s3_keys


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
            There is no whole checkpoint of that trial and resource.
        ValueError
            A file would leave the folder.
        """
        place = self._place(trial_id, resource)
        sizes = self._marker(place)
        if sizes is None:
            raise FileNotFoundError(f"There is no whole checkpoint s3://{self._bucket}/{place}")
        for name, target in places_of(sizes, folder).items():
            target.parent.mkdir(parents=True, exist_ok=True)
            self._client.download_file(self._bucket, place + name, str(target))

    def save(self, trial_id: int, resource: int, folder: Path) -> bool:
        """Store a folder; a checkpoint that is whole already stays as it is.

        Returns
        -------
        bool
            Whether there is a whole checkpoint now; False where the folder is empty.
        """
        place = self._place(trial_id, resource)
        if self._marker(place) is not None:
            return True
        sizes = files_of(folder)
        if not sizes:
            return False
        for name in sizes:
            self._client.upload_file(str(folder / name), self._bucket, place + name)
        marker = json.dumps({"files": sizes}).encode("utf-8")
        self._client.put_object(Bucket=self._bucket, Key=place + s3_keys.COMPLETE, Body=marker)
        return True

    def delete(self, trial_id: int, resource: int) -> None:
        """Remove a checkpoint, its marker first."""
        place = self._place(trial_id, resource)
        sizes = self._marker(place)
        for name in [s3_keys.COMPLETE, *(sizes or {})]:
            self._client.delete_object(Bucket=self._bucket, Key=place + name)

    def _place(self, trial_id: int, resource: int) -> str:
        return self._prefix + s3_keys.checkpoint_prefix(trial_id, resource)

    def _marker(self, place: str) -> dict[str, int] | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=place + s3_keys.COMPLETE)
        except self._client.exceptions.NoSuchKey:
            return None
        files: dict[str, int] = json.loads(answer["Body"].read())["files"]
        return files


def files_of(folder: Path) -> dict[str, int]:
    """The files below a folder and their sizes, by path relative to it; links count as what they lead to."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in _files(folder, frozenset())}


def _files(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """All files below a folder; a link that leads back to a folder above it is passed over."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if entry.is_dir():
            yield from _files(entry, above | {real})
        elif entry.is_file():
            yield entry


def copy_files(source: Path, names: Iterable[str], target: Path) -> None:
    """Copy files by their paths relative to a folder; links become what they lead to."""
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
    """A copy of a folder that nobody wrote to meanwhile.

    Returns
    -------
    Path or None
        A temporary folder, which the caller removes; None where the folder is empty or was written to.
    """
    before = _state(folder)
    if not before:
        return None
    copy = Path(tempfile.mkdtemp(prefix="checkpoint-"))
    try:
        copy_files(folder, before, copy)
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
