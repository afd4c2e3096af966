"""``tunewright note`` and ``delete``: what a user does to stored experiments."""

from __future__ import annotations

import shutil
import sys

from tunewright.cli.exits import say
from tunewright.cli.output import ask_user
from tunewright.cli.parsing import command_app
from tunewright.exceptions import SettingsError
from tunewright.experiments.outcome import stored_status
from tunewright.formatting import plural
from tunewright.storage import ExperimentFolder, experiments, find_experiment, safe_name, write_atomically

note_app = command_app(
    "note", "Write a note on an experiment, which show prints.", usage="tunewright note EXPERIMENT [TEXT]"
)
delete_app = command_app(
    "delete",
    "Delete experiments with all their files on this machine.",
    usage="tunewright delete [OPTIONS] [EXPERIMENT ...]",
)


@note_app.default
def note(experiment: str, text: str | None = None, /) -> int:
    """Write a note on an experiment, or print it.

    Parameters
    ----------
    experiment
        Name, unique beginning of a name, path of the folder, or @last.
    text
        The note; it replaces the one before. An empty one removes it.
    """
    folder = find_experiment(experiment)
    if text is None:
        say(folder.note or f"{folder.name} has no note")
    elif text.strip():
        write_atomically(folder.note_path, text.strip() + "\n")
    else:
        folder.note_path.unlink(missing_ok=True)
    return 0


@delete_app.default
def delete(*names: str, experiment_tag: str | None = None, yes: bool = False) -> int:
    """Delete experiments; running ones are left.

    Parameters
    ----------
    names
        Experiments: a name, a unique beginning of one, the path of a folder, or @last.
    experiment_tag
        All experiments of this tag.
    yes
        Do not ask.
    """
    folders = [find_experiment(name) for name in names]
    if experiment_tag is not None:
        folders += experiments(safe_name(experiment_tag, "experiment tag"))
    folders = list(dict.fromkeys(folders))
    if not folders:
        raise SettingsError("Nothing to delete: name experiments, or give --experiment_tag")
    for folder in folders:
        if stored_status(folder).is_running:
            raise SettingsError(f"{folder.name} is running: stop it first. Nothing was deleted")
    for folder in folders:
        say(folder.name)
    if not yes:
        _confirm(folders)
    for folder in folders:
        shutil.rmtree(folder.path)
    say(f"Deleted {plural(len(folders), 'experiment')}")
    return 0


def _confirm(folders: list[ExperimentFolder]) -> None:
    if not sys.stdin.isatty():
        raise SettingsError("There is no terminal to ask at, so nothing was deleted: give --yes")
    question = f"Delete {plural(len(folders), 'experiment')} with all files? [y/N] "
    if ask_user(question).strip().lower() not in {"y", "yes"}:
        raise SettingsError("Not confirmed: nothing was deleted")
