"""``tunewright init``: an experiment folder that works at once."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from tunewright.exceptions import SettingsError
from tunewright.launchers.console import say
from tunewright.launchers.folders.reading import ScriptFacts, read_script
from tunewright.launchers.folders.writing import SAMPLE_SCRIPT, folder_files
from tunewright.launchers.parser import Parser

_SAMPLE = "train.py"


def run(arguments: Sequence[str]) -> int:
    """Write the folder."""
    parser = Parser(
        "tunewright init", "Write an experiment folder for a training script, or for recorded tables."
    )
    parser.positional("folder", "where; made where it is missing, nothing in it is overwritten")
    parser.flag(
        "backend",
        "where trials run (default: local)",
        choices=("local", "sagemaker", "simulated"),
        default="local",
    )
    parser.flag("script", "the training script (default: a small one is written)")
    parser.flag("metric", "the reported value that is tuned (default: found in the script)")
    parser.flag("goal", "min or max (default: guessed from the metric's name)", choices=("min", "max"))
    given = parser.read(arguments)
    folder = Path(given.folder)
    files, facts = _files(folder, given.backend, given.script, metric=given.metric, goal=given.goal)
    _write(folder, files, None if given.script is None else Path(given.script))
    if given.script is not None:
        _bring(Path(given.script), folder)
    say(f"Wrote {', '.join(sorted(files))} in {folder}")
    if facts is not None:
        resource = f", resource {facts.resource_attr}" if facts.resource_attr else ""
        say(f"Tuned: {facts.metric} ({facts.goal}){resource}; see the ranges in benchmark_definitions.py")
    say(f"Next: cd {shlex.quote(str(folder))} && python hpo_main.py --help")
    return 0


def _files(
    folder: Path, backend: str, script: str | None, *, metric: str | None, goal: str | None
) -> tuple[dict[str, str], ScriptFacts | None]:
    name = folder.resolve().name
    if backend == "simulated":
        if script is not None:
            raise SettingsError("--script does not go with --backend simulated, which reads recorded tables")
        return folder_files(backend, name, None, None), None
    if script is None:
        facts = read_script(SAMPLE_SCRIPT, metric=metric, goal=goal)
        return {_SAMPLE: SAMPLE_SCRIPT, **folder_files(backend, name, _SAMPLE, facts)}, facts
    path = Path(script)
    if not path.is_file():
        raise SettingsError(f"There is no training script {path}: give the path of a file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read as a script: {error}") from None
    facts = read_script(text, metric=metric, goal=goal)
    return folder_files(backend, name, path.name, facts), facts


def _write(folder: Path, files: dict[str, str], script: Path | None) -> None:
    """Write the files where none of them is there, nor another script of the name of the one that is brought."""
    brought = [] if script is None or script.resolve().parent == folder.resolve() else [script.name]
    there = [name for name in (*files, *brought) if (folder / name).exists()]
    if there:
        raise SettingsError(f"{folder} holds {', '.join(there)} already: give another folder, or remove them")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"Cannot write into {folder}: {error.strerror}. Give another folder") from None


def _bring(script: Path, folder: Path) -> None:
    """Copy the script into the folder unless it is there, so that all that travels is in one place."""
    target = folder / script.name
    if script.resolve() != target.resolve():
        shutil.copy(script, target)
        say(f"{script} was copied to {target}: edit it there; modules that it imports go beside it")
