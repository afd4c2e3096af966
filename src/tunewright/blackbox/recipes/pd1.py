"""PD1: an optimiser's four hyperparameters on large networks; a curve point is one evaluation."""

from __future__ import annotations

import gzip
import json
import math
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunewright.blackbox.recipes.recipe import Recipe, Recorded, stores
from tunewright.blackbox.tables.blackbox import Description
from tunewright.blackbox.tables.tabular import repair_elapsed
from tunewright.exceptions import TableError
from tunewright.space import Float, SearchSpace

_FILE: Final = re.compile(r"pd1_(matched|unmatched)_phase1_results\.jsonl(\.gz)?")
_COLUMNS: Final = {
    "lr_initial_value": "hps.lr_hparams.initial_value",
    "lr_power": "hps.lr_hparams.power",
    "lr_decay_steps_factor": "hps.lr_hparams.decay_steps_factor",
    "one_minus_momentum": "hps.opt_hparams.momentum",
}
"""Hyperparameter -> field; the field of the momentum holds its distance to 1."""
_RANGES: Final = {
    "lr_initial_value": Float(1e-5, 10.0, log=True),
    "lr_power": Float(0.1, 2.0),
    "lr_decay_steps_factor": Float(0.01, 0.99),
    "one_minus_momentum": Float(1e-3, 1.0, log=True),
}
_METRICS: Final = {"valid_error_rate": "valid/error_rate", "valid_ce_loss": "valid/ce_loss"}

Run = dict[str, Any]


def _convert(source: Path) -> Iterator[Recorded]:
    tasks: dict[str, list[Run]] = {}
    for text in _texts(source):
        for line in text.splitlines():
            try:
                run = json.loads(line)
                tasks.setdefault(_task(run), []).append(run)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise TableError(f"{source}: a line is no run of PD1: {error!r}") from None
    if not tasks:
        raise TableError(f"{source} holds no pd1_matched_phase1_results.jsonl.gz")
    for task, runs in sorted(tasks.items()):
        yield _record(task, runs)


def _task(run: Run) -> str:
    activation = run.get("hps.activation_fn")
    parts = [
        run["dataset"],
        run["model"],
        *([activation] if activation else []),
        "batch_size",
        run["hps.batch_size"],
    ]
    return "_".join(map(str, parts))


def _texts(source: Path) -> Iterator[str]:
    """The result files of a folder, of the archive, or one file."""
    try:
        if source.is_dir() or not tarfile.is_tarfile(source):
            files = sorted(source.rglob("pd1_*.jsonl*")) if source.is_dir() else [source]
            for file in files:
                if _FILE.fullmatch(file.name):
                    yield _decode(file.read_bytes())
            return
        with tarfile.open(source) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member) if _FILE.fullmatch(Path(member.name).name) else None
                if content is not None:
                    yield _decode(content.read())
    except (OSError, EOFError, ValueError, KeyError, tarfile.TarError) as error:
        raise TableError(f"{source} is not pd1.tar.gz or a file of it: {error!r}") from None


def _decode(data: bytes) -> str:
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()


def _record(task: str, runs: Sequence[Run]) -> Recorded:
    fitting = {key: run for run in runs if (key := _key(run)) is not None and _has_curve(run)}
    if not fitting:
        raise TableError(f"PD1, task {task}: no run has a curve and all hyperparameters")
    kept = list(fitting.values())
    n_points = max(len(run["eval_time"]) for run in kept)
    elapsed, n_repaired = repair_elapsed(np.cumsum(_curves(kept, "eval_time", n_points), axis=1))
    curves = {name: _curves(kept, field, n_points) for name, field in _METRICS.items()}
    curves = {name: curve for name, curve in curves.items() if np.isfinite(curve).any()}
    description = Description(
        name="pd1",
        dataset=task,
        space=SearchSpace(_RANGES),
        metrics=(*curves, "elapsed_time"),
        elapsed="elapsed_time",
        levels=tuple(range(1, n_points + 1)),
        resource="evaluation",
        note=f"a curve may end early where training diverged; {len(runs) - len(kept)} runs without a curve or outside of "
        f"the space, or repeated, were left out; times of {n_repaired} were made ascending",
    )
    columns = {name: [key[place] for key in fitting] for place, name in enumerate(_COLUMNS)}
    return Recorded(description, columns, np.stack([*curves.values(), elapsed], axis=-1)[:, None])


def _key(run: Run) -> tuple[float, ...] | None:
    numbers = [run.get(field) for field in _COLUMNS.values()]
    domains = _RANGES.values()
    if all(domain.contains(number) for domain, number in zip(domains, numbers, strict=True)):
        return tuple(map(float, numbers))  # type: ignore[arg-type]
    return None


def _has_curve(run: Run) -> bool:
    return bool(run.get("eval_time")) and any(run.get(field) for field in _METRICS.values())


def _curves(runs: Sequence[Run], field: str, n_points: int) -> NDArray[np.float64]:
    curves = np.full((len(runs), n_points), np.nan)
    for row, run in enumerate(runs):
        numbers = [math.nan if number is None else number for number in run.get(field) or ()]
        curves[row, : len(numbers)] = numbers[:n_points]
    return curves


RECIPE: Final = Recipe(
    name="pd1",
    title="PD1: optimiser hyperparameters of large networks",
    licence="CC BY 4.0 (HyperBO); Wang et al. 2021, arXiv 2109.08215",
    wanted="pd1.tar.gz (http://storage.googleapis.com/gresearch/pint/pd1.tar.gz) or the folder in it",
    install=stores(_convert),
)
