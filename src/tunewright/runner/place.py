"""Where this package is: in a zipapp, or in a source tree."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = Path(__file__).absolute().parent.parent
"""The zipapp, or the folder that holds this package."""
IS_ZIPAPP = ROOT.is_file()


def entry() -> list[str]:
    """What Python is given to start this package."""
    return [str(ROOT)] if IS_ZIPAPP else ["-m", str(__package__)]


def foreign_paths() -> list[str]:
    """Python's import path without the zipapp."""
    return [path for path in sys.path if not IS_ZIPAPP or Path(path).absolute() != ROOT]


def trial_side_paths() -> list[str]:
    """Where ``tunewright`` and ``syne_tune`` are for a script; each only if its Python has not got it."""
    package = ROOT / "trial" / "tunewright" if IS_ZIPAPP else ROOT
    folders = {"tunewright": package.parent, "syne_tune": package / "compat"}
    elsewhere = foreign_paths()
    return [str(folder) for name, folder in folders.items() if not PathFinder.find_spec(name, elsewhere)]
