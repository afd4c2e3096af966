"""What a training script needs: reports and checkpoints.

Standard library only, Python >= 3.9, and no import of ours: this file travels into every job. A script may as well
print the line by itself; see :class:`Reporter`. The module can be called: ``from tunewright import report`` and then
``report(epoch=3, accuracy=0.91)``.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import time
import types
import warnings
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

if TYPE_CHECKING:
    from argparse import ArgumentParser

MARKER = "[tune-metric]: "
"""What stands before the JSON object of a report."""
RESERVED_PREFIX = "st_"
"""Metrics whose name begins so are the Reporter's own."""
MAX_REPORT_BYTES = 50_000
"""The largest report."""
CHECKPOINT_DIR = "TUNEWRIGHT_CHECKPOINT_DIR"
"""Environment variable: the folder that survives pause, resume and interruption."""
UNTIL = "TUNEWRIGHT_UNTIL"
"""Environment variable: the resource at which the run ends."""
RESOURCE_ATTR = "TUNEWRIGHT_RESOURCE_ATTR"
"""Environment variable: the metric that holds the resource."""
RESUME_FROM = "TUNEWRIGHT_RESUME_FROM"
"""Environment variable: the resource that the checkpoint holds, 0 where there is none."""
DOLLARS_PER_HOUR = "TUNEWRIGHT_DOLLARS_PER_HOUR"
"""Environment variable: the price of this machine."""


@final
class Reporter:
    """Tell the tuner how training goes: ``report(epoch=3, accuracy=0.91)`` prints one line.

    The line is ``[tune-metric]: {"epoch": 3, "accuracy": 0.91, ...}``. ``st_worker_iter`` (reports before this
    one) is always added.

    Parameters
    ----------
    add_time
        Add ``st_worker_time`` (seconds since this object was made) and ``st_worker_timestamp`` (seconds since 1970).
    add_cost
        Add ``st_worker_cost`` (dollars since this object was made) where the machine's price is known.
    """

    n_reports = 0
    """Reports of all Reporters of this process."""

    def __init__(self, add_time: bool = True, add_cost: bool = True) -> None:
        self._add_time = add_time
        price = os.environ.get(DOLLARS_PER_HOUR, "")
        self._dollars_per_second = float(price) / 3600 if add_cost and price else None
        until = os.environ.get(UNTIL, "")
        self._until = int(until) if until else None
        self._resource_attr = os.environ.get(RESOURCE_ATTR, "")
        self._resume_from = int(os.environ.get(RESUME_FROM) or 0)
        self._parent = os.getppid()
        self._start = time.perf_counter()
        self._count = 0

    def __call__(self, **metrics: object) -> None:
        """Report; save the checkpoint first, because the run may end here and then this does not return.

        Raises
        ------
        TypeError
            A value is None or cannot be written as JSON.
        ValueError
            There is no metric, a name is reserved, or the report is larger than ``MAX_REPORT_BYTES``.
        """
        values = {name: _plain(name, value) for name, value in metrics.items()}
        if not values:
            raise ValueError("A report needs at least one metric, as in report(epoch=1, accuracy=0.9)")
        text = _dump({**values, **self._own_values()})
        sys.stdout.write(f"{MARKER}{text}\n")
        sys.stdout.flush()
        self._count += 1
        Reporter.n_reports += 1
        if self._until is not None and self._resource(values) >= self._until:
            self._wait_for_the_end()

    def _own_values(self) -> dict[str, Any]:
        own: dict[str, Any] = {}
        elapsed = time.perf_counter() - self._start
        if self._add_time:
            own["st_worker_timestamp"] = time.time()
            own["st_worker_time"] = elapsed
        if self._dollars_per_second is not None:
            own["st_worker_cost"] = elapsed * self._dollars_per_second
        own["st_worker_iter"] = self._count
        return own

    def _resource(self, values: Mapping[str, Any]) -> int:
        """The runner's rule: the resource attribute where it is a whole number >= 1, else a count of reports."""
        value = values.get(self._resource_attr)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            resource = round(value)
            if resource >= 1 and math.isclose(value, resource, rel_tol=1e-6):
                return resource
        return self._resume_from + self._count

    def _wait_for_the_end(self) -> None:
        """Wait for the runner to end this process; leave where there is no runner any more."""
        while os.getppid() == self._parent:
            time.sleep(0.05)
        raise SystemExit(0)


def _plain(name: str, value: object) -> Any:
    """The value with numpy and torch scalars made Python's; refuses reserved names and None."""
    if name.startswith(RESERVED_PREFIX):
        raise ValueError(f"The metric {name!r} begins with {RESERVED_PREFIX!r}, which is reserved: rename it")
    if value is None:
        raise TypeError(f"The metric {name!r} is None: leave it out, or report float('nan')")
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 1) != 0:
        try:
            return item()
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"The metric {name!r} is an array, not one number: report its mean or one element"
            ) from None
    return value


def _scalar(value: object) -> Any:
    item = getattr(value, "item", None)
    if not callable(item):
        raise TypeError(f"{type(value).__name__} is no JSON value")
    return item()


def _dump(values: Mapping[str, Any]) -> str:
    """One line of JSON; NaN and infinity are written as Python's json module reads them."""
    try:
        text = json.dumps(values, default=_scalar)
    except (TypeError, ValueError, RuntimeError) as error:
        kinds = ", ".join(f"{name}: {type(value).__name__}" for name, value in values.items())
        raise TypeError(f"A report holds numbers, texts and lists of them; {error} in ({kinds})") from None
    if len(text) > MAX_REPORT_BYTES:
        largest = max(values, key=lambda name: len(str(values[name])))
        raise ValueError(
            f"The report has {len(text)} bytes, more than {MAX_REPORT_BYTES}: the largest metric is "
            f"{largest!r}, write it to a file instead"
        )
    return text


@lru_cache(maxsize=1)
def _default_reporter() -> Reporter:
    return Reporter()


def report(**metrics: object) -> None:
    """Report with a Reporter made at the first call; see :meth:`Reporter.__call__`."""
    _default_reporter()(**metrics)


class _CallableModule(types.ModuleType):
    """Lets ``tunewright.report`` be module and function, whichever import came first."""

    def __call__(self, **metrics: object) -> None:
        report(**metrics)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name, as modules are: functions of a notebook refer to it."""
        return importlib.import_module, (self.__name__,)


sys.modules[__name__].__class__ = _CallableModule


class Saved(NamedTuple):
    """A checkpoint as it was read."""

    step: int
    """As it was given to :func:`save_checkpoint`: epochs done, mostly."""
    state: Any
    """What the reader made of the file."""


def checkpoint_dir() -> Path | None:
    """The folder for this trial's checkpoints, made if it is missing; None outside of tuning."""
    name = os.environ.get(CHECKPOINT_DIR, "")
    if not name:
        return None
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_checkpoint(
    step: int,
    state: Mapping[str, Any] | Callable[[Path], object],
    *,
    folder: str | Path | None = None,
    keep: int = 2,
) -> Path | None:
    """Write one checkpoint file: whole or not at all.

    The file is written under a temporary name, flushed to the disk and renamed; its name carries its checksum.

    Parameters
    ----------
    step
        Epochs done: the newest checkpoint is the one of the highest step.
    state
        A mapping of JSON values, or a function that writes the file at the path that it gets.
    folder
        Where; :func:`checkpoint_dir` by default.
    keep
        How many newest files to keep.

    Returns
    -------
    Path or None
        The file; None where there is no folder (the script runs outside of tuning).
    """
    where = Path(folder) if folder is not None else checkpoint_dir()
    if where is None:
        return None
    where.mkdir(parents=True, exist_ok=True)
    partial = where / f".partial-{os.getpid()}"
    if callable(state):
        state(partial)
    else:
        partial.write_text(json.dumps(state), encoding="utf-8")
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    target = where / f"checkpoint-{step:09d}-{_checksum(partial):08x}"
    partial.replace(target)
    others = [path for path in _newest_first(where) if path != target]
    same_step = [path for path in others if path.name.startswith(target.name[:-8])]
    for old in {*same_step, *others[max(0, keep - 1) :]}:
        old.unlink()
    return target


def load_newest(
    read: Callable[[Path], Any] | None = None, *, folder: str | Path | None = None
) -> Saved | None:
    """Read the newest whole checkpoint.

    A file whose checksum is wrong is reported by a warning that names it, and the one before is taken. Where a run
    is resumed, a checkpoint of a step that was saved and never reported is passed over, so that it is reported now.

    Parameters
    ----------
    read
        Makes the state from the file at a path; by default the file is JSON.
    folder
        Where; :func:`checkpoint_dir` by default.

    Returns
    -------
    Saved or None
        None where there is no whole checkpoint: begin from scratch.
    """
    where = Path(folder) if folder is not None else checkpoint_dir()
    newest_first = _newest_first(where) if where is not None else []
    resume_from = int(os.environ.get(RESUME_FROM) or 0)
    reported = [path for path in newest_first if resume_from and _step(path) <= resume_from]
    for path in reported + [path for path in newest_first if path not in reported]:
        if path.name.endswith(f"{_checksum(path):08x}"):
            return Saved(_step(path), (read or _read_json)(path))
        warnings.warn(f"The checkpoint {path} is corrupt: the one before it is used", stacklevel=2)
    return None


def save_arrays(step: int, arrays: Mapping[str, Any], *, folder: str | Path | None = None) -> Path | None:
    """Save numpy arrays, such as the weights of a scikit-learn model; see :func:`save_checkpoint`."""
    numpy: Any = importlib.import_module("numpy")

    def write(path: Path) -> None:
        with path.open("wb") as file:
            numpy.savez(file, **arrays)

    return save_checkpoint(step, write, folder=folder)


def load_arrays(*, folder: str | Path | None = None) -> Saved | None:
    """The newest arrays of :func:`save_arrays`, as a dict; objects are refused, so nothing is executed."""
    numpy: Any = importlib.import_module("numpy")

    def read(path: Path) -> dict[str, Any]:
        with numpy.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    return load_newest(read, folder=folder)


def save_torch(step: int, state: Mapping[str, Any], *, folder: str | Path | None = None) -> Path | None:
    """Save state dicts of PyTorch; see :func:`save_checkpoint`."""
    torch: Any = importlib.import_module("torch")

    def write(path: Path) -> None:
        with path.open("wb") as file:  # torch refuses a path whose name begins with a dot
            torch.save(dict(state), file)

    return save_checkpoint(step, write, folder=folder)


def load_torch(*, map_location: Any = "cpu", folder: str | Path | None = None) -> Saved | None:
    """The newest state of :func:`save_torch`; only weights are read, so nothing is executed."""
    torch: Any = importlib.import_module("torch")
    return load_newest(
        lambda path: torch.load(path, map_location=map_location, weights_only=True), folder=folder
    )


def add_checkpointing_to_argparse(parser: ArgumentParser) -> None:
    """Add ``--checkpoint_dir`` (and ``--st_checkpoint_dir``), whose default is this trial's folder."""
    parser.add_argument(
        "--checkpoint_dir",
        "--st_checkpoint_dir",
        default=os.environ.get(CHECKPOINT_DIR) or None,
        help="folder for checkpoints, which survives pauses and interruptions",
    )


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*-????????"), reverse=True)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
