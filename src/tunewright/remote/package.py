"""What travels to a tuning job: this package as a wheel, the experiment folder, its requirements, the runner.

The wheel is made from the files of the package that runs here, so that no build tool and no registry is needed, and
so that a tuning job runs exactly this code. The same files give the same bytes.
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

from tunewright.backends.sagemaker.deployment import (
    RUNNER,
    CodeBundle,
    bundle_contents,
    dependency_files,
    source_files,
)
from tunewright.blackbox.repository import SHIPPED, table_folder
from tunewright.exceptions import SettingsError
from tunewright.runner.build import runner_bytes
from tunewright.runner.remote_job import REMOTE_FILE, REQUIREMENTS, SOURCE, TABLES, WHEEL

_PACKAGE: Final = "tunewright"
_ROOT: Final = Path(__file__).parent.parent
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_LEFT_AT_HOME: Final = frozenset({"emulator"})
"""Extras that a tuning job has no use for."""
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
) -> CodeBundle:
    """Everything that a tuning job needs.

    Parameters
    ----------
    entry_point
        The ``hpo_main.py`` of an experiment folder; its whole folder travels.
    dependencies
        Further folders and files that the definitions import; they lie beside the folder's files.
    tables
        Names of recorded tables; those that come with the package need not travel.
    files
        Contents of further files, by their names beside the entry point.
    extras
        Extras of this package that are needed beside those of ``requirements.txt``.

    Raises
    ------
    SettingsError
        A file is missing.
    """
    if not entry_point.is_file():
        raise SettingsError(
            f"There is no entry point {entry_point}: give the path of the folder's hpo_main.py"
        )
    folder = entry_point.resolve().parent
    contents: dict[str, Path | bytes] = {f"{SOURCE}/{name}": path for name, path in source_files(folder)}
    for dependency in dependencies:
        contents.update({f"{SOURCE}/{name}": path for name, path in dependency_files(dependency)})
    contents.update({f"{SOURCE}/{name}": content for name, content in (files or {}).items()})
    for table in tables:
        place = table_folder(table)
        if not place.is_relative_to(SHIPPED):
            contents.update({f"{TABLES}/{table}/{name}": path for name, path in source_files(place)})
    wheel = wheel_name()
    contents[f"{WHEEL}/{wheel}"] = wheel_bytes()
    contents[REQUIREMENTS] = requirements_text(folder / "requirements.txt", extras).encode()
    contents[RUNNER] = runner_bytes()
    facts = {"wheel": wheel, "entry": f"{SOURCE}/{entry_point.name}"}
    contents[REMOTE_FILE] = json.dumps(facts, sort_keys=True).encode()
    return bundle_contents(contents)


def check_travels(script: str, entry_point: Path, dependencies: Sequence[Path] = ()) -> None:
    """Make sure that a benchmark's script is among what travels.

    Raises
    ------
    SettingsError
        It lies elsewhere.
    """
    place, colon, name = script.rpartition(":")
    path = Path(place if colon and name.isidentifier() else script)
    if colon and path.suffix != ".py":
        return  # a module, which is imported from the folder or from what is installed
    places = [entry_point.parent, _ROOT, *dependencies]
    if not any(path.resolve().is_relative_to(one.resolve()) for one in places):
        raise SettingsError(
            f"{path} does not travel to the tuning jobs: move it into {entry_point.parent}, and name it there by "
            "Path(__file__).parent in benchmark_definitions.py"
        )


def wheel_name() -> str:
    """The name of our wheel."""
    return f"{_PACKAGE}-{metadata.version(_PACKAGE)}-py3-none-any.whl"


def wheel_bytes() -> bytes:
    """Our wheel, from the files of the package that is running."""
    info = f"{_PACKAGE}-{metadata.version(_PACKAGE)}.dist-info"
    files = {f"{_PACKAGE}/{name}": path.read_bytes() for name, path in source_files(_ROOT)}
    distribution = metadata.distribution(_PACKAGE)
    files[f"{info}/METADATA"] = (distribution.read_text("METADATA") or "").encode()
    files[f"{info}/entry_points.txt"] = (distribution.read_text("entry_points.txt") or "").encode()
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


def requirements_text(path: Path, extras: Collection[str] = ()) -> str:
    """The requirements of a folder as pins of what is installed here; direct needs only.

    Our own line becomes what this package, the extras named there, and ``extras`` need. A line that names more than a package (a
    version, a URL, an option) stays as it is.
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
    """Names of the packages that this one needs directly."""
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
