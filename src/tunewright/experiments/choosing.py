"""What ``auto`` chose for an experiment: said once, kept in its metadata, the same after a resume."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tunewright.experiments.experiment import Experiment
from tunewright.metadata import read_metadata
from tunewright.methods.automatic import Choice
from tunewright.storage import ExperimentFolder


def as_chosen(folder: ExperimentFolder, experiment: Experiment) -> Experiment:
    """An experiment that continues, with the method that it began with.

    Raises
    ------
    SettingsError
        The metadata are damaged.
    """
    stored = read_metadata(folder).chosen
    return experiment if stored is None else experiment.with_method(Choice.from_json(stored).spec)


def announce_choices(plan: Iterable[Experiment], say: Callable[[str], Any]) -> None:
    """Say what ``auto`` chooses, each thing once."""
    lines = (f"{cell.benchmark.name}: {choice.text()}" for cell in plan if (choice := cell.choice()))
    for line in dict.fromkeys(lines):
        say(line)
