"""A script's ``requirements.txt``: installs the missing packages only.

The missing packages go into a folder of the machine's cache, named by their hash, that concurrent runs share.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

REFERENCES = ("-r", "--requirement", "-c", "--constraint")
"""Options whose value is a file beside the requirements file."""
OURS = "tunewright"
"""Package whose trial side the runner brings along: the requirements of an experiment's folder name it for the tuner."""
SHARED_VARIABLE = "TUNEWRIGHT_PACKAGES"
"""Environment variable: a folder of packages that all runs of this machine share, whatever their own cache."""


def install_missing(requirements: Path, cache: Path, log: IO[bytes]) -> str:
    """Install the missing packages of a requirements file.

    Parameters
    ----------
    requirements
        The file.
    cache
        Where folders of packages are kept. Where the environment names a folder that more runs share, packages that
        are named by the index's names alone go there: no file of the run is part of them.
    log
        Gets pip's output.

    Returns
    -------
    str
        The folder to put on PYTHONPATH; empty if nothing is missing.

    Raises
    ------
    RuntimeError
        The packages cannot be installed; the message holds pip's last lines.
    """
    lines = _logical_lines(requirements.read_text(encoding="utf-8"))
    missing = [line for line in lines if not line.startswith("-") and not _is_installed(line)]
    references = [line for line in lines if line.split()[0].split("=")[0] in REFERENCES]
    if not missing and not references:
        return ""
    options = [_absolute(line, requirements.parent) for line in lines if line.startswith("-")]
    text = "\n".join([*options, *missing, ""])
    said = "".join(_referred(lines, requirements.parent, set()))
    if all(_is_of_the_index(line) for line in [*options, *missing]):
        cache = Path(os.environ.get(SHARED_VARIABLE) or cache)
    key = hashlib.sha256(f"{sys.version}\n{sys.prefix}\n{text}{said}".encode()).hexdigest()[:24]
    target = cache / key
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{key}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _install(text, options, target, requirements.parent, log)
    return str(target)


def _logical_lines(text: str) -> list[str]:
    """The lines that say something, comments taken away and continued lines joined."""
    lines = [line.split(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _referred(lines: list[str], folder: Path, seen: set[Path]) -> Iterator[str]:
    """Contents of the files that these lines refer to, directly or not, each once."""
    for line in lines:
        parts = line.replace("=", " ", 1).split()
        path = (folder / parts[-1]).resolve()
        if parts[0] in REFERENCES and path not in seen and path.is_file():
            seen.add(path)
            text = path.read_text(encoding="utf-8", errors="replace")
            yield text
            yield from _referred(_logical_lines(text), path.parent, seen)


def _is_of_the_index(line: str) -> bool:
    """Whether a line is a package of the index: no option, no path, no address."""
    return not line.startswith("-") and "/" not in line and "\\" not in line


def _absolute(option: str, folder: Path) -> str:
    """An option line whose file, if it names one, is found from anywhere."""
    parts = option.replace("=", " ", 1).split()
    if parts[0] in REFERENCES and len(parts) == 2:
        return f"{parts[0]} {folder / parts[1]}"
    return option


def _is_installed(line: str) -> bool:
    """Whether a requirement holds already; False if it cannot be parsed, so that pip decides."""
    module = _packaging()
    if module is None:
        return False
    try:
        requirement = module.Requirement(line.split(" --", 1)[0])
    except ValueError:
        return False
    if requirement.name.lower() == OURS and not requirement.url:
        return True
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return not requirement.url and requirement.specifier.contains(version, prereleases=True)


def _packaging() -> Any:
    """The module that parses requirements: the package of its own, or the one inside pip."""
    for name in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    return None


def _install(text: str, options: list[str], target: Path, folder: Path, log: IO[bytes]) -> None:
    """Install into a folder beside ``target`` and rename it: a folder of that name is whole."""
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    wanted = partial / "requirements.txt"
    wanted.write_text(text, encoding="utf-8")
    plan = partial / "plan.json"
    # resolved against what is installed, so that no second copy of, say, numpy comes along
    _pip(["--dry-run", "--report", str(plan), "-r", str(wanted)], folder, log)
    pins = [_pin(item) for item in json.loads(plan.read_text(encoding="utf-8"))["install"]]
    if pins:
        wanted.write_text("\n".join([*options, *pins, ""]), encoding="utf-8")
        _pip(["--no-deps", "--target", str(partial), "-r", str(wanted)], folder, log)
    partial.replace(target)


def _pin(item: dict[str, Any]) -> str:
    """One package of pip's plan, as a requirement of exactly it."""
    name = item["metadata"]["name"]
    if item.get("is_direct"):
        return f"{name} @ {item['download_info']['url']}"
    return f"{name}=={item['metadata']['version']}"


def _pip(arguments: list[str], folder: Path, log: IO[bytes]) -> None:
    command = [*_pip_command(), "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    with contextlib.suppress(OSError):
        log.write(done.stdout)
        log.flush()
    if done.returncode:
        last = "\n".join(done.stdout.decode("utf-8", errors="replace").splitlines()[-20:])
        raise RuntimeError(
            f"its requirements.txt cannot be installed (pip ended with {done.returncode}):\n{last}"
        )


def _pip_command() -> list[str]:
    """The pip of this Python, or the one that Python itself brings along."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    with contextlib.suppress(ImportError):
        ensurepip = importlib.import_module("ensurepip")
        bundled = sorted((Path(str(ensurepip.__file__)).parent / "_bundled").glob("pip-*.whl"))
        if bundled:
            return [sys.executable, str(bundled[-1] / "pip")]
    raise RuntimeError(
        f"its requirements.txt names packages that are not installed and {sys.executable} has no pip: "
        "install them, or pip"
    )
