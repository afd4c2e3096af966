"""Experiment folders: layout, names, and search.

Layout: ``$TUNEWRIGHT_HOME`` (default ``~/tunewright``) ``/experiments/{tag}/{experiment}/`` with ``metadata.json``,
``journal.jsonl``, ``results.csv.zip`` and ``trials/{id}/``.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import unicodedata
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast, final

from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.types import Json

MAX_NAME = 63
"""Longest safe name: what SageMaker allows for a job."""

LAST: Final = "@last"
"""Stands for the newest experiment."""

_SHOWN = 8  # names listed in a message


def home() -> Path:
    """Root folder of all stored data: ``$TUNEWRIGHT_HOME``, else ``~/tunewright``."""
    return Path(os.environ.get("TUNEWRIGHT_HOME") or "~/tunewright").expanduser().absolute()


def cache_folder() -> Path:
    """The user's folder on this machine for files that can be fetched again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tunewright"


def package_cache() -> Path:
    """The folder of this machine where missing packages of scripts are installed."""
    return cache_folder() / "packages"


def safe_name(text: str, what: str = "name") -> str:
    """Make a name that is valid for S3, SageMaker and every file system: ASCII letters and digits with single hyphens.

    Letters lose their accents. If other letters than ASCII are left out, a checksum of the text keeps different names
    different.

    Parameters
    ----------
    text
        Any text with a letter or digit.
    what
        Noun for the error message.

    Returns
    -------
    str
        At most 63 characters; ``text`` itself if it is safe already.

    Raises
    ------
    SettingsError
        The text holds no letter or digit, or looks like a path.
    """
    if re.search(r"[/\\\0]|^\.+$", text.strip()):
        raise SettingsError(f"The {what} {text!r} looks like a path: use letters, digits and hyphens")
    letters = [c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)]
    if not any(c.isalnum() for c in letters):
        raise SettingsError(f"The {what} {text!r} needs at least one letter or digit")
    words = re.findall(r"[A-Za-z0-9]+", "".join(letters))
    checksum = f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"
    if any(c.isalnum() and not c.isascii() for c in letters):
        words.append(checksum)
    name = "-".join(words)
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 9].rstrip('-')}-{checksum}"


PRIVATE: Final = 0o600
"""Mode of files that only their owner may read."""


def leads_elsewhere(name: str) -> bool:
    """Return whether a relative path, with slashes, escapes its base directory."""
    return not {"", ".", ".."}.isdisjoint(name.split("/"))


def write_atomically(path: Path, text: str, *, is_private: bool = False) -> None:
    """Replace the text of a file atomically; a private file is readable by its owner only."""
    with replacing(path) as unfinished:
        unfinished.touch(mode=PRIVATE if is_private else 0o666)
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary path beside ``path`` for its new content, a file or a folder.

    It is renamed to ``path`` at the end of the context, and removed after an error such as a full disk. The replacement
    of a file is atomic; an old folder is removed before the new one is renamed.
    """
    unfinished = path.with_name(f".{secrets.token_hex(4)}.unfinished")
    try:
        yield unfinished
        if unfinished.is_dir() and path.exists():
            shutil.rmtree(path)
        unfinished.replace(path)
    except BaseException:
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _has_environment(entries: object) -> bool:
    """Whether JSON has an object ``environment``, as of a benchmark or a request template, that is not empty."""
    if isinstance(entries, Mapping):
        items = cast("Mapping[str, object]", entries).items()
        return any(
            (key.lower() == "environment" and bool(value)) or _has_environment(value) for key, value in items
        )
    if isinstance(entries, (list, tuple)):
        return any(_has_environment(entry) for entry in cast("Sequence[object]", entries))
    return False


@final
@dataclass(frozen=True, slots=True)
class ExperimentFolder:
    """The files of one experiment."""

    path: Path

    @property
    def name(self) -> str:
        """The experiment's unique name."""
        return self.path.name

    @property
    def tag(self) -> str:
        """The name that the experiment shares with others of its kind."""
        return self.path.parent.name

    @property
    def metadata_path(self) -> Path:
        """The experiment's definition, written first."""
        return self.path / "metadata.json"

    @property
    def journal_path(self) -> Path:
        """All events."""
        return self.path / "journal.jsonl"

    @property
    def results_path(self) -> Path:
        """All results as a table, exported from the journal."""
        return self.path / "results.csv.zip"

    @property
    def account_path(self) -> Path:
        """The backend's summary of all sessions."""
        return self.path / "account.json"

    @property
    def note_path(self) -> Path:
        """The user's note on the experiment."""
        return self.path / "note.txt"

    @property
    def note(self) -> str:
        """The user's note on the experiment; empty if there is none."""
        with suppress(OSError):
            return self.note_path.read_text(encoding="utf-8").strip()
        return ""

    @property
    def requests_path(self) -> Path:
        """Requests that wait for the tuner, a file each."""
        return self.path / "requests"

    @property
    def trials_path(self) -> Path:
        """One folder per trial: its output and checkpoints."""
        return self.path / "trials"

    def write_metadata(self, metadata: Mapping[str, Json]) -> None:
        """Write ``metadata.json``, whole or not at all; readable by its owner only if it holds environment variables."""
        text = json.dumps(metadata, indent=2, allow_nan=False) + "\n"
        write_atomically(self.metadata_path, text, is_private=_has_environment(metadata))

    def metadata(self) -> dict[str, Any]:
        """Read ``metadata.json``, in the present form; see :func:`upgrade_metadata`.

        Raises
        ------
        SettingsError
            The file is missing or is no JSON object.
        """
        try:
            data = json.loads(self.metadata_path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError(f"Cannot read {self.metadata_path}: {error}. Is it an experiment?") from None
        if not isinstance(data, dict):
            raise SettingsError(f"{self.metadata_path} holds no JSON object. Is it an experiment?")
        return upgrade_metadata(cast("dict[str, Any]", data))


METADATA_SCHEMA: Final = 2
"""Version of the metadata's form."""
_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "local": {"gpus_per_trial": "num_gpus_per_trial"},
    "simulated": {"checkpoints": "support_checkpointing"},
    "sagemaker": {},
}
"""Of each backend of version 0.1, old and new names of settings."""


_FORMER_DEFAULTS: Final[Mapping[str, dict[str, Any]]] = {"sagemaker": {"framework_version": "2.6"}}
"""Values of version 0.1 for settings that its metadata do not hold, by backend."""


def upgrade_metadata(data: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the metadata of an experiment into the present form; those that have it are returned as they are.

    In version 0.1 (schema 1) ``backend`` held its settings beside its ``kind``, and what trials get beside their
    hyperparameters (environment, inputs, dependencies, config_json) under ``script``; that is part of the benchmark now. ``tensorboard`` was a
    field of its own, and is one of the callbacks now.
    """
    backend, benchmark = data.get("backend"), data.get("benchmark")
    if data.get("schema") != 1 or not isinstance(backend, dict) or not isinstance(benchmark, dict):
        return dict(data)
    config = dict(cast("dict[str, Any]", backend))
    upgraded = dict(cast("dict[str, Any]", benchmark))
    name = str(config.pop("kind", ""))
    script: dict[str, Any] | None = config.pop("script", None)
    if script is not None:
        upgraded["environment"] = {**upgraded.get("environment", {}), **script["environment"]}
        upgraded["dependencies"] = [*upgraded.get("dependencies", ()), *script["dependencies"]]
        upgraded |= {"inputs": script["inputs"], "config_json": script["config_json"]}
    names = _RENAMED.get(name, {})
    config = _FORMER_DEFAULTS.get(name, {}) | {names.get(key, key): value for key, value in config.items()}
    others = {key: value for key, value in data.items() if key != "tensorboard"}
    if data.get("tensorboard"):
        others["callbacks"] = [{"name": "tensorboard", "config": {}}]
    return {
        **others,
        "schema": METADATA_SCHEMA,
        "backend": {"name": name, "config": config},
        "benchmark": upgraded,
    }


def create_experiment(tag: str, *parts: str) -> ExperimentFolder:
    """Make the folder of a new experiment, ``{tag}-{parts}-{time}-{random}``, whose name nobody else has.

    Raises
    ------
    SettingsError
        The tag cannot be made safe, or the folder cannot be made.
    """
    tag = safe_name(tag, "experiment tag")
    words = [tag, *(safe_name(part) for part in parts)]
    parent = home() / "experiments" / tag
    while True:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        path = parent / "-".join([*words, stamp, secrets.token_hex(2)])
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise SettingsError(
                f"Cannot make {path}: {error.strerror}. Set TUNEWRIGHT_HOME to a folder of yours"
            ) from None
        return ExperimentFolder(path)


def experiments(tag: str | None = None) -> Iterator[ExperimentFolder]:
    """All stored experiments, or those of one tag, by the time of their making."""
    root = home() / "experiments"
    pattern = f"{safe_name(tag, 'experiment tag') if tag is not None else '*'}/*/metadata.json"
    yield from sorted((ExperimentFolder(p.parent) for p in root.glob(pattern)), key=order_of_making)


def find_experiment(text: str) -> ExperimentFolder:
    """The stored experiment of a name, a unique beginning of a name, a path, or ``@last`` (the newest).

    A beginning may be a tag as it was typed: ``my_tag`` is stored as ``my-tag``.

    Raises
    ------
    SettingsError
        Nothing fits, or several do; the message lists them.
    """
    path = Path(text).expanduser()
    if (path / "metadata.json").is_file():
        return ExperimentFolder(path.resolve())
    if path.is_absolute() or os.sep in text:
        raise SettingsError(f"{path} is not the folder of an experiment: it has no metadata.json")
    found = {folder.name: folder for folder in experiments()}
    if text == LAST:
        if not found:
            raise SettingsError("There are no experiments yet")
        return list(found.values())[-1]
    if text in found:
        return found[text]
    fitting = _beginning_with(text, found) or _beginning_with(_safe_or_same(text), found)
    if not fitting:
        raise UnknownNameError("experiment", text, list(found)[-_SHOWN:])
    if len(fitting) > 1:
        more = ", ..." if len(fitting) > _SHOWN else ""
        names = ", ".join(sorted(fitting)[:_SHOWN])
        raise SettingsError(f"{text!r} is the beginning of {len(fitting)} experiments: {names}{more}")
    return found[fitting[0]]


def _beginning_with(text: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if text and name.startswith(text)]


def _safe_or_same(text: str) -> str:
    try:
        return safe_name(text)
    except SettingsError:
        return text


def order_of_making(folder: ExperimentFolder) -> tuple[float, str]:
    """What experiments are sorted by, oldest first: the journal and the metadata change later, the name never does."""
    stamp = re.search(r"-(\d{8}-\d{6})-[0-9a-f]+$", folder.name)
    return (float(stamp[1].replace("-", "")) if stamp else 0.0, folder.name)
