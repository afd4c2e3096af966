"""The table of backends in the documentation agrees with what plugins declare and can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tunewright.backends.plugin import BackendPlugin, backend_names, find_backend
from tunewright.backends.sagemaker.workers import refuse_what_workers_cannot
from tunewright.exceptions import SettingsError
from tunewright.testing.jobs import job_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "backends.md"


def table() -> dict[str, dict[str, str]]:
    """Cells by row and column."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    head = rows[0]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows[2:]}


TABLE = table()


def columns() -> list[tuple[str, str]]:
    """Backends and their modes; ``auto`` is none of its own."""
    found: list[tuple[str, str]] = []
    for name in ("local", "simulated", "sagemaker", "slurm", "ray"):
        modes = get_args(get_type_hints(find_backend(name).config).get("execution", None)) or ("",)
        found += [(name, mode) for mode in modes if mode != "auto"]
    return found


def has(plugin: BackendPlugin[Any], field: str) -> bool:
    return field in {one.name for one in fields(plugin.config)}


def overrides(plugin: BackendPlugin[Any], member: str) -> bool:
    return getattr(type(plugin), member) is not getattr(BackendPlugin, member)


def has_nodes(plugin: BackendPlugin[Any], mode: str) -> bool:
    if plugin.name != "sagemaker":
        return has(plugin, "nodes_per_trial")
    if mode == "jobs":
        return True
    with pytest.raises(SettingsError, match="one instance"):
        refuse_what_workers_cannot(job_settings(instance_count=2))
    return False


FACTS: dict[str, Callable[[BackendPlugin[Any], str], bool]] = {
    "checkpoints that can be copied": lambda plugin, _: overrides(plugin, "copy_checkpoint"),
    "output of trials (`tunewright logs`)": lambda plugin, _: overrides(plugin, "logs"),
    "lost and preempted machines: retries from checkpoints": lambda plugin, _: has(plugin, "max_retries"),
    "several nodes per trial": has_nodes,
    "GPUs of a trial": lambda plugin, _: (
        has(plugin, "num_gpus_per_trial") or has(plugin, "trials_per_instance")
    ),
    "costs in dollars": lambda plugin, _: has(plugin, "price_per_hour"),
    "the tuner as a job (`--remote 1`)": lambda plugin, _: (
        bool(plugin.config.tuner_instance_type) or plugin.config.runs_tuners
    ),
    "`--dry_run 1`": lambda plugin, _: overrides(plugin, "dry_run"),
    "`tunewright doctor --backend`": lambda plugin, _: overrides(plugin, "examine"),
}


def test_every_backend_and_mode_has_a_column() -> None:
    expected = [f"{name}, {mode}" if mode else name for name, mode in columns()]
    assert sorted(TABLE["a run is"]) == sorted(expected)
    assert {name for name, _ in columns()} <= set(backend_names())


@pytest.mark.parametrize("row", list(FACTS))
@pytest.mark.parametrize(("name", "mode"), columns())
def test_a_cell_says_what_the_plugin_declares(row: str, name: str, mode: str) -> None:
    cell = TABLE[row][f"{name}, {mode}" if mode else name]
    assert FACTS[row](find_backend(name), mode) == (cell.split(":")[0] != "no"), cell
