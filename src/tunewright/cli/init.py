"""``tunewright init``: an experiment folder that works at once."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Literal

from tunewright.backends.plugin import find_backend
from tunewright.cli.exits import say
from tunewright.cli.folder_templates import SAMPLE_SCRIPT, first_command, folder_files
from tunewright.cli.parsing import command_app
from tunewright.cli.script_facts import ScriptFacts, read_script
from tunewright.exceptions import SettingsError

_SAMPLE = "train.py"

app = command_app("init", "Write an experiment folder for a training script, or for recorded tables.")


@app.default
def init(
    folder: Path,
    /,
    *,
    backend: str = "local",
    script: str | None = None,
    metric: str | None = None,
    goal: Literal["min", "max"] | None = None,
) -> int:
    """Write the folder.

    Parameters
    ----------
    folder
        The folder; created if it is missing. Nothing in it is overwritten.
    backend
        Backend of the trials: local, sagemaker, slurm, ray, simulated, or that of an installed package.
    script
        Training script (default: a small one is written).
    metric
        Tuned metric (default: found in the script).
    goal
        Of the metric (default: guessed from its name).
    """
    files, facts = _files(folder, backend, script, metric=metric, goal=goal)
    _write(folder, files, None if script is None else Path(script))
    if script is not None:
        _bring(Path(script), folder)
    say(f"Wrote {', '.join(sorted(files))} in {folder}")
    if facts is not None:
        _say_facts(facts)
    say(f"Next: cd {shlex.quote(str(folder))} && {first_command(folder.resolve().name, facts)}")
    return 0


def _say_facts(facts: ScriptFacts) -> None:
    length = f" up to {facts.max_resource}" if facts.max_resource else ""
    resource = f", resource {facts.resource_attr}{length}" if facts.resource_attr else ""
    say(f"Tuned: {facts.metric} ({facts.goal}){resource}; see the ranges in benchmark_definitions.py")
    if not facts.is_goal_certain:
        say(
            f"The goal of {facts.metric} is not known by its name: give --goal max if higher values are better"
        )
    if facts.resource_attr and facts.max_resource is None:
        say(
            "No end of a full run was found in the script: ASHA needs max_resource in benchmark_definitions.py"
        )
    if facts.unread:
        say(
            f"Arguments of {', '.join(facts.unread)} were not read, as the script does not define them: add "
            "them to the space in benchmark_definitions.py"
        )
    if facts.missing:
        say(
            f"The script requires {', '.join(facts.missing)}: add constants to the space in benchmark_definitions.py"
        )


def _files(
    folder: Path, backend: str, script: str | None, *, metric: str | None, goal: str | None
) -> tuple[dict[str, str], ScriptFacts | None]:
    name = folder.resolve().name
    if find_backend(backend).config.is_simulated:
        if script is not None:
            raise SettingsError(f"--script does not go with --backend {backend}, which reads recorded tables")
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
    """Write the files; refuse to overwrite existing ones or a different script of the same name."""
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
    """Copy the script into the folder unless it is there: a tuning job gets the whole folder."""
    target = folder / script.name
    if script.resolve() != target.resolve():
        shutil.copy(script, target)
        say(f"{script} was copied to {target}: edit it there; modules that it imports go beside it")
