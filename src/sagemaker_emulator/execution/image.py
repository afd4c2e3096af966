"""Python environment of an image: the packages that the image has, and no others.

The environment is a virtual environment of this Python without packages of its own. Links lead to those installed packages of
this machine that are in the image's list, so that a script that imports a package which it did not declare fails as in the
image. Versions are those of this machine, and packages of the list that are not installed here, such as torch, are missing.
Standard library only: no package is downloaded.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import shutil
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

IMAGE_PACKAGES: Final = Path(__file__).with_name("image_packages.txt")
"""List of the packages of AWS's default image of PyTorch."""
_SEPARATORS: Final = re.compile(r"[-_.]+")
_COMMENT: Final = re.compile(r"\s*(#.*)?$")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def read_packages(path: Path) -> tuple[str, ...]:
    """Names of packages in a file: one per line, as ``pip freeze`` prints them, with ``#`` before comments.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        A line does not begin with a name.
    """
    lines = [_COMMENT.sub("", line) for line in path.read_text(encoding="utf-8").splitlines()]
    names: list[str] = []
    for line in filter(None, lines):
        found = _NAME.match(line)
        if found is None:
            raise ValueError(f"{path}: {line!r} is not the name of a package")
        names.append(found[0])
    return tuple(names)


def image_python(packages: Sequence[str], cache: Path) -> Path:
    """Python interpreter of the environment of an image; it is built if it does not exist.

    Parameters
    ----------
    packages
        Names of the image's packages.
    cache
        Folder of environments, each named by its content.
    """
    wanted = {_normal(name) for name in packages}
    entries = sorted(set(_entries(wanted)))
    text = "\n".join([sys.executable, sys.version, *map(str, entries)])
    target = cache / hashlib.sha256(text.encode()).hexdigest()[:16]
    if not target.is_dir():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        venv.create(partial, symlinks=True, with_pip=False)
        (site,) = partial.glob("lib/python*/site-packages")
        for entry in entries:
            (site / entry.name).symlink_to(entry)
        partial.replace(target)
    return target / "bin" / "python"


def _entries(wanted: set[str]) -> Iterator[Path]:
    """Files and folders at the top of the installation folders that belong to the packages."""
    for distribution in importlib.metadata.distributions():
        if _normal(distribution.metadata["Name"] or "") not in wanted:
            continue
        for file in distribution.files or ():
            top = PurePosixPath(file).parts[0]
            path = Path(str(distribution.locate_file(top)))
            if top not in {"..", "__pycache__"} and path.exists():
                yield path


def _normal(name: str) -> str:
    """Name of a package as PEP 503 compares it."""
    return _SEPARATORS.sub("-", name).lower()
