"""Code of a tuning job: this package as a wheel, the experiment folder, its requirements, the runner.

The wheel is made from the installed files of this package, so that a tuning job runs the same code, and neither a build
tool nor a registry is needed. Equal files give equal bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from tunewright.backends.s3.code import (
    RUNNER,
    CodeBundle,
    bundle_contents,
    dependency_files,
    package_files,
    size_problem,
    source_folder,
)
from tunewright.blackbox.repository import SHIPPED, table_folder
from tunewright.exceptions import SettingsError
from tunewright.plugins import checkout_entry_points
from tunewright.runner.build import runner_bytes
from tunewright.runner.remote_job import REMOTE_FILE, REQUIREMENTS, SOURCE, TABLES, WHEEL
from tunewright.runner.run_order import place_and_function

_PACKAGE: Final = "tunewright"
_ROOT: Final = Path(__file__).parent.parent
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_LEFT_AT_HOME: Final = frozenset({"emulator"})
"""Extras that a tuning job does not need."""
_ALWAYS: Final = "aws"
_OWN: Final = re.compile(rf"{_PACKAGE}\s*(\[([\w\s,-]*)\])?\s*$", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA: Final = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")


def bundle_remote(
    entry_point: Path,
    dependencies: Sequence[Path] = (),
    *,
    tables: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    extras: Collection[str] = (),
    max_mb: int | None = None,
) -> CodeBundle:
    """Bundle the code of a tuning job.

    Parameters
    ----------
    entry_point
        The ``hpo_main.py`` of an experiment folder, of which all files are bundled.
    dependencies
        Other folders and files that the definitions import, placed beside the folder's files.
    tables
        Names of recorded tables; shipped ones are part of the wheel.
    files
        Contents of other files, by their names beside the entry point.
    extras
        Extras of this package, in addition to those in ``requirements.txt``.
    max_mb
        Mebibytes of the folder's and the dependencies' files together; None: no limit.

    Raises
    ------
    SettingsError
        A file is missing, a link leads out of its folder, or the files are too large.
    """
    if not entry_point.is_file():
        raise SettingsError(
            f"There is no entry point {entry_point}: give the path of the folder's hpo_main.py"
        )
    folder = entry_point.resolve().parent
    sources = source_folder(folder).files
    for dependency in dependencies:
        sources.update(dependency_files(dependency).files)
    if max_mb is not None and (problem := size_problem(sources, max_mb)):
        raise SettingsError(problem)
    contents: dict[str, Path | bytes] = {f"{SOURCE}/{name}": path for name, path in sources.items()}
    contents.update({f"{SOURCE}/{name}": content for name, content in (files or {}).items()})
    for table in tables:
        place = table_folder(table)
        if not place.is_relative_to(SHIPPED):
            contents.update({f"{TABLES}/{table}/{name}": path for name, path in package_files(place)})
    wheel = wheel_name()
    contents[f"{WHEEL}/{wheel}"] = wheel_bytes()
    contents[REQUIREMENTS] = requirements_text(folder / "requirements.txt", extras).encode()
    contents[RUNNER] = runner_bytes()
    facts = {"wheel": wheel, "entry": f"{SOURCE}/{entry_point.name}"}
    contents[REMOTE_FILE] = json.dumps(facts, sort_keys=True).encode()
    return bundle_contents(contents)


def check_travels(script: str, entry_point: Path, dependencies: Sequence[Path] = ()) -> None:
    """Check that a benchmark's script is bundled.

    Raises
    ------
    SettingsError
        It is not.
    """
    place, function = place_and_function(script)
    path = Path(place)
    if function and path.suffix != ".py":
        return  # a module of the folder or of an installed package
    places = [entry_point.parent, _ROOT, *dependencies]
    if not any(path.resolve().is_relative_to(one.resolve()) for one in places):
        raise SettingsError(
            f"{path} is not sent to the tuning jobs: move it into {entry_point.parent}, and name it there by "
            "Path(__file__).parent in benchmark_definitions.py"
        )


def wheel_name() -> str:
    """Return the file name of the wheel."""
    return f"{_PACKAGE}-{metadata.version(_PACKAGE)}-py3-none-any.whl"


def wheel_bytes() -> bytes:
    """Return the wheel of this package, made from its installed files."""
    info = f"{_PACKAGE}-{metadata.version(_PACKAGE)}.dist-info"
    files = {f"{_PACKAGE}/{name}": path.read_bytes() for name, path in package_files(_ROOT)}
    distribution = metadata.distribution(_PACKAGE)
    files[f"{info}/METADATA"] = (distribution.read_text("METADATA") or "").encode()
    files[f"{info}/entry_points.txt"] = _entry_points(distribution).encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: tunewright\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    records = [_record(name, files[name]) for name in sorted(files)]
    files[f"{info}/RECORD"] = "".join([*records, f"{info}/RECORD,,\n"]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), files[name])
    return buffer.getvalue()


def _entry_points(distribution: metadata.Distribution) -> str:
    """Entry points of this package; the metadata of an editable install may be older than its source checkout."""
    groups = checkout_entry_points()
    if not groups:
        return distribution.read_text("entry_points.txt") or ""
    sections = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items())])
        for group, points in sorted(groups.items())
    ]
    return "\n\n".join(sections) + "\n"


def requirements_text(path: Path, extras: Collection[str] = ()) -> str:
    """Return the requirements of a folder, pinned to the versions that are installed here; direct requirements only.

    A line with this package is replaced by the requirements of the package, of the extras in that line, and of
    ``extras``. Lines with more than a package name (a version, a URL, an option) are not changed.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    wanted = [line.split(" #")[0].strip() for line in lines]
    wanted_extras = {_ALWAYS, *extras}
    pinned: dict[str, None] = {}
    for line in (line for line in wanted if line and not line.startswith("#")):
        own = _OWN.match(line)
        if own:
            wanted_extras |= {extra.strip() for extra in (own[2] or "").split(",") if extra.strip()}
        else:
            pinned[_pin(line)] = None
    ours = {_pin(name): None for name in _own_needs(wanted_extras - _LEFT_AT_HOME)}
    return "".join(f"{line}\n" for line in {**ours, **pinned})


def _own_needs(extras: set[str]) -> Iterator[str]:
    """Names of the direct requirements of this package."""
    for need in metadata.requires(_PACKAGE) or []:
        extra = _EXTRA.search(need)
        name = _NAME.match(need)
        if name and (extra is None or extra[1] in extras):
            yield name[0]


def _pin(line: str) -> str:
    if not _NAME.fullmatch(line):
        return line
    try:
        return f"{line}=={metadata.version(line)}"
    except metadata.PackageNotFoundError:
        return line


def _record(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
    return f"{name},sha256={digest},{len(data)}\n"
