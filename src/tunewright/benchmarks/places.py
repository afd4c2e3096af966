"""Places of scripts and modules on this machine, for trials that run where its files are."""

from __future__ import annotations

import sys
from pathlib import Path

from tunewright.exceptions import SettingsError
from tunewright.runner.run_order import place_and_function


def absolute_script(script: str) -> str:
    """The script's absolute path; functions of modules are left as they are."""
    place, function = place_and_function(script)
    if function and not place.endswith(".py"):
        return script
    path = Path(place).absolute()
    if not path.is_file():
        raise SettingsError(
            f"There is no script {path}: give the path of a file, or module:name of a function"
        )
    return f"{path}:{function}" if function else str(path)


def own_import_paths(cwd: Path) -> list[str]:
    """Import path of this process without the folders of Python itself: it leads to the user's modules."""
    homes = (Path(sys.prefix), Path(sys.base_prefix))
    paths = [cwd, *(Path(path).absolute() for path in sys.path if path)]
    return [str(path) for path in paths if not any(path.is_relative_to(home) for home in homes)]
