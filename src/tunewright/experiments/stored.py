"""Which stored experiments are cells of a plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tunewright.exceptions import SettingsError
from tunewright.experiments.experiment import Experiment, identity_of
from tunewright.storage import ExperimentFolder, experiments, safe_name


def stored_by_identity(plan: Sequence[Experiment]) -> Mapping[str, list[ExperimentFolder]]:
    """The stored experiments of the plan's tags by identity, oldest first; those whose metadata are damaged are none."""
    stored: dict[str, list[ExperimentFolder]] = defaultdict(list)
    for tag in sorted({safe_name(cell.tag, "experiment tag") for cell in plan}):
        for folder in experiments(tag):
            try:
                identity = identity_of(folder.metadata())
            except SettingsError:
                continue
            stored[identity].append(folder)
    return stored
