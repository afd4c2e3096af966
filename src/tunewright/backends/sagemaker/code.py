"""The code channel: runner, trial-side package and the user's source folder, stored once under its own hash."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tunewright.aws import S3Objects
from tunewright.aws.objects import in_parallel
from tunewright.exceptions import SettingsError
from tunewright.runner.build import runner_bytes
from tunewright.runner.job_order import JOB_FILE, SOURCE
from tunewright.storage import home

RUNNER: Final = "runner.pyz"

BIG_BYTES: Final = 100 * 1024 * 1024
"""A source folder above this size is worth a word."""

MANY_FILES: Final = 1000
"""So is one with more files, which every job downloads one by one."""

_JUNK_FOLDERS: Final = frozenset({"__pycache__", "node_modules", "venv"})
_JUNK_SUFFIXES: Final = frozenset({".pyc", ".pyo"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBundle:
    """All files of the code channel."""

    files: Mapping[str, Path | bytes]
    """By path in the channel: a file of this machine, or the content itself."""
    digest: str
    """Of all names and contents."""
    size: int
    """Bytes."""

    @property
    def prefix(self) -> str:
        """Where it lies below the experiment's prefix, ending in a slash."""
        return f"code/{self.digest}/"


def bundle_code(script: str, job: Mapping[str, Any], dependencies: Sequence[Path] = ()) -> CodeBundle:
    """Collect what a job needs.

    Parameters
    ----------
    script
        A script's path, or ``path/file.py:name`` or ``module:name`` of a function. A script's whole folder goes with
        it, as :func:`source_files` lists it; of a module, its package.
    job
        What :data:`~tunewright.runner.job_order.JOB_FILE` says beside the script.
    dependencies
        Further folders and files, which lie beside the script.

    Raises
    ------
    SettingsError
        There is no such script or module, or the script lies in the user's home folder itself.
    """
    entry, files = _sources(script)
    order = {**job["order"], "script": entry}
    contents: dict[str, Path | bytes] = {f"{SOURCE}/{name}": path for name, path in files.items()}
    for dependency in dependencies:
        contents.update({f"{SOURCE}/{name}": path for name, path in dependency_files(dependency)})
    contents[RUNNER] = runner_bytes()
    contents[JOB_FILE] = json.dumps({**job, "order": order}, sort_keys=True).encode("utf-8")
    return bundle_contents(contents)


def bundle_contents(contents: Mapping[str, Path | bytes]) -> CodeBundle:
    """The bundle of these files, by path in the channel."""
    digest = hashlib.sha256()
    size = 0
    for name in sorted(contents):
        content = contents[name]
        data = content if isinstance(content, bytes) else content.read_bytes()
        digest.update(json.dumps([name, len(data)]).encode("ascii") + data)
        size += len(data)
    return CodeBundle(files=contents, digest=digest.hexdigest()[:16], size=size)


def upload_code(objects: S3Objects, bundle: CodeBundle) -> None:
    """Store a bundle below the experiment's prefix unless it is there already.

    Raises
    ------
    ServiceError
        S3 refuses or does not answer.
    """
    marker = bundle.prefix.rstrip("/") + ".complete"
    if objects.exists(marker):
        return

    def put(name: str) -> None:
        content = bundle.files[name]
        if isinstance(content, bytes):
            objects.put(bundle.prefix + name, content)
        else:
            objects.put_file(bundle.prefix + name, content)

    in_parallel(put, sorted(bundle.files))
    objects.put(marker, b"")


def _sources(script: str) -> tuple[str, dict[str, Path]]:
    """The script's name within the source folder, and the folder's files."""
    place, separator, name = script.rpartition(":")
    is_function = bool(separator) and name.isidentifier()
    path = Path(place if is_function else script)
    if is_function and path.suffix != ".py":
        return script, _module_files(place)
    if not path.is_file():
        raise SettingsError(f"There is no training script {path}: check the path")
    folder = path.resolve().parent
    if folder in {Path.home(), Path(folder.root)}:
        raise SettingsError(
            f"Jobs would get all of {folder}, where the script lies: move it into a folder of its own"
        )
    entry = f"{path.name}:{name}" if is_function else path.name
    return entry, dict(source_files(folder))


def _module_files(module: str) -> dict[str, Path]:
    """The files of a module's outermost package, or the module's own."""
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise SettingsError(f"There is no module {top!r} whose files could be sent: check the name")
    origin = Path(spec.origin)
    if spec.submodule_search_locations is None:
        return {origin.name: origin}
    return {f"{top}/{name}": path for name, path in source_files(origin.parent)}


def dependency_files(dependency: Path) -> Iterator[tuple[str, Path]]:
    """The files of a dependency, by their paths beside a script.

    Raises
    ------
    SettingsError
        It is not there.
    """
    if dependency.is_file():
        yield dependency.name, dependency
    elif dependency.is_dir():
        name = dependency.resolve().name
        yield from ((f"{name}/{inner}", path) for inner, path in source_files(dependency))
    else:
        raise SettingsError(f"There is no dependency {dependency}: give folders or files")


def source_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder by their paths in it.

    Left out are hidden files and folders (version control, caches, credentials), virtual environments, and what
    Tunewright itself stores.
    """
    stored = home().resolve()
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_source(name) and Path(where, name) != stored)
        for name in sorted(names):
            path = Path(where, name)
            if _is_source(name) and path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _is_source(name: str) -> bool:
    is_hidden = name.startswith(".")
    return not is_hidden and name not in _JUNK_FOLDERS and Path(name).suffix not in _JUNK_SUFFIXES
