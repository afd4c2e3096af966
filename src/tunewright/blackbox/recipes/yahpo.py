"""YAHPO Gym: the original files of its scenarios."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from tunewright.blackbox.recipes.recipe import UNTRAINED_LEVEL, Recipe
from tunewright.blackbox.tables.blackbox import Description
from tunewright.blackbox.tables.stored import FileSums, sha256
from tunewright.blackbox.tables.yahpo import (
    FILES,
    FIRST_WITHOUT_UNTRAINED,
    ONLY_INSTANCE,
    SCENARIOS,
    scenario_of,
)
from tunewright.exceptions import TableError


def _install(source: Path, folder: Path) -> dict[str, FileSums]:
    """Copy one scenario's folder, or all that the source holds."""
    is_one = (source / FILES[0]).is_file()
    places = [source] if is_one else [path.parent for path in sorted(source.glob(f"*/{FILES[0]}"))]
    known = [place for place in places if place.name in SCENARIOS]
    if not known:
        raise TableError(
            f"{source} is not the folder of a known scenario (with {', '.join(FILES)}), nor holds one: "
            f"{', '.join(SCENARIOS)}"
        )
    datasets: dict[str, FileSums] = {}
    for place in known:
        target = folder / place.name
        target.mkdir(parents=True, exist_ok=True)
        sums: FileSums = {}
        for name in FILES:
            if not (place / name).is_file():
                raise TableError(f"{place} lacks {name}")
            shutil.copyfile(place / name, target / name)
            sums[f"{place.name}/{name}"] = sha256(target / name)
        datasets |= {f"{place.name}-{instance}": sums for instance in _instances(target)}
    return datasets


def _instances(place: Path) -> list[str]:
    attr = SCENARIOS[place.name].instance
    if attr is None:
        return [ONLY_INSTANCE]
    space = json.loads((place / "config_space.json").read_text(encoding="utf-8"))
    return [
        str(choice)
        for hyperparameter in space["hyperparameters"]
        if hyperparameter["name"] == attr
        for choice in hyperparameter["choices"]
    ]


def _superseded(description: Description) -> str:
    has_untrained = SCENARIOS[scenario_of(description.dataset)].n_untrained > 0
    return UNTRAINED_LEVEL if has_untrained and description.version < FIRST_WITHOUT_UNTRAINED else ""


def _uninformative(description: Description) -> str:
    return SCENARIOS[scenario_of(description.dataset)].uninformative


RECIPE: Final = Recipe(
    name="yahpo",
    title="YAHPO Gym: networks fitted to recorded runs, an answer for every configuration",
    licence="Apache-2.0 (yahpo_data); Pfisterer et al. 2022, arXiv 2109.03670",
    wanted="a copy of https://github.com/slds-lmu/yahpo_data, or the folder of one of its scenarios",
    install=_install,
    version=FIRST_WITHOUT_UNTRAINED,
    superseded=_superseded,
    uninformative=_uninformative,
    kind="yahpo",
)
