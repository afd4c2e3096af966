"""Checkpoints in a folder that the service copies to S3 by itself, for jobs that have no network.

The service copies what lies there while the job runs, in no order that it promises, and all of it when the job is over.
So each checkpoint has a folder of its own, with a list of its files, which a reader compares with what it finds::

    {resource}/{file}
    {resource}/_complete
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import final

from .s3_checkpoints import copy_files, files_of, links_of, make_links, places_of
from .s3_keys import COMPLETE

SYNCED_FOLDER = "kept"
"""Below ``/opt/ml``: the LocalPath of the job's CheckpointConfig."""
SYNCED = "synced/"
"""Below the experiment's prefix in S3: ``synced/{trial}/{attempt}-{retry}/`` is what a job's folder is copied to."""


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
            What it holds.

        Returns
        -------
        bool
            Whether there is a checkpoint now; False where the folder is empty.
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
        marker = target / f".{COMPLETE}"
        marker.write_text(json.dumps({"files": sizes, "links": links}), encoding="utf-8")
        marker.replace(target / COMPLETE)
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
