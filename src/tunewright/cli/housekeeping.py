"""``tunewright note``, ``rename``, ``export``, ``import``, ``repair``, ``delete`` and ``doctor``: keeping stored experiments in order."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Literal, final

from cyclopts import App, Parameter

from tunewright.aws.endpoint import credentials_found
from tunewright.backends.plugin import BackendPlugin, backend_names, find_backend
from tunewright.callbacks.plugin import callback_from_text
from tunewright.callbacks.results import result_rows, results_csv
from tunewright.callbacks.tracking import export_experiment, tracker_names
from tunewright.cli.exits import FAILED, say
from tunewright.cli.flags import FileFlags, backend_table, explain_backend_flag
from tunewright.cli.output import is_confirmed
from tunewright.cli.parsing import chosen_value, command_app, record_app
from tunewright.cli.records import Given, RecordCommand
from tunewright.events import EndEvent, ResultEvent, StartEvent, decode_line
from tunewright.exceptions import (
    BackendError,
    JournalError,
    MissingExtraError,
    SettingsError,
    TunewrightError,
    UnknownNameError,
)
from tunewright.experiments import load_outcome
from tunewright.experiments.imported import read_optuna, read_syne_tune, store_imported
from tunewright.experiments.outcome import stored_status
from tunewright.formatting import plural
from tunewright.journal import read_events, read_header
from tunewright.metadata import read_metadata
from tunewright.state import State, with_fit
from tunewright.storage import (
    ExperimentFolder,
    experiments,
    find_experiment,
    home,
    replacing,
    safe_name,
    write_atomically,
)
from tunewright.trial import ExperimentStatus
from tunewright.types import package_version

note_app = command_app(
    "note", "Write a note on an experiment, which show prints.", usage="tunewright note EXPERIMENT [TEXT]"
)
rename_app = command_app(
    "rename",
    "Give experiments another tag.",
    usage="tunewright rename [OPTIONS] [EXPERIMENT] NEW_TAG",
)
export_app = command_app(
    "export",
    "Write an experiment as a table, or into MLflow, Weights & Biases or Optuna.",
    usage="tunewright export [OPTIONS] EXPERIMENT",
)
import_app = command_app(
    "import",
    "Store a study of Optuna, or the results of a tuner of Syne Tune, as an experiment.",
    usage="tunewright import --from {optuna,syne-tune} [OPTIONS] SOURCE",
)
repair_app = command_app(
    "repair",
    "Make an experiment with a damaged journal usable again.",
    usage="tunewright repair EXPERIMENT",
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
    folders = _chosen(names, experiment_tag)
    if not folders:
        raise SettingsError("Nothing to delete: name experiments, or give --experiment_tag")
    for folder in folders:
        _refuse_running(folder, "deleted")
    for folder in folders:
        say(folder.name)
    if not yes:
        _confirm(folders)
    for folder in folders:
        shutil.rmtree(folder.path)
    say(f"Deleted {plural(len(folders), 'experiment')}")
    return 0


def _confirm(folders: list[ExperimentFolder]) -> None:
    question = f"Delete {plural(len(folders), 'experiment')} with all files?"
    unattended = "There is no terminal to ask at, so nothing was deleted: give --yes"
    if not is_confirmed(question, unattended=unattended):
        raise SettingsError("Not confirmed: nothing was deleted")


def _chosen(names: Sequence[str], tag: str | None) -> list[ExperimentFolder]:
    """Experiments by name, and all of a tag."""
    folders = [find_experiment(name) for name in names]
    if tag is not None:
        folders += experiments(safe_name(tag, "experiment tag"))
    return list(dict.fromkeys(folders))


def _refuse_running(folder: ExperimentFolder, done: str) -> None:
    if stored_status(folder).is_running:
        raise SettingsError(f"{folder.name} is running: stop it first. Nothing was {done}")


# --- rename


@rename_app.default
def rename(*words: str, experiment_tag: str | None = None) -> int:
    """Give experiments another tag; their names begin with it, and keep their ends.

    The names of jobs and of files in S3 contain the name of their experiment: an experiment of such a backend keeps its name.

    Parameters
    ----------
    words
        Experiment (a name, a unique beginning of one, the path of its folder, or @last), unless --experiment_tag is given; then
        the new tag.
    experiment_tag
        All experiments of this tag.
    """
    *names, new = words or ("",)
    if not new or len(names) != (experiment_tag is None):
        raise SettingsError("Give an experiment and its new tag, or --experiment_tag OLD and the new tag")
    tag = safe_name(new, "experiment tag")
    moves = [(folder, _renamed(folder, tag)) for folder in _chosen(names, experiment_tag)]
    if not moves:
        raise SettingsError(f"No experiments under the tag {experiment_tag!r}: tunewright list shows all")
    for folder, target in moves:
        _refuse_running(folder, "renamed")
        if target.path.exists():
            raise SettingsError(f"{target.path} exists already. Nothing was renamed")
    for folder, target in moves:
        target.path.parent.mkdir(parents=True, exist_ok=True)
        folder.path.rename(target.path)
        target.write_metadata({**target.metadata(), "tag": new, "experiment": target.name})
        with suppress(OSError):  # other experiments are in it
            folder.path.parent.rmdir()
        say(target.name)
    return 0


def _renamed(folder: ExperimentFolder, tag: str) -> ExperimentFolder:
    """The folder of an experiment under another tag."""
    root = home() / "experiments"
    if folder.path.resolve().parent.parent != root.resolve():
        raise SettingsError(f"{folder.path} is not in {root}: move it there to rename it")
    name = folder.name
    if _backend_name(folder) in _ON_THIS_MACHINE and name.startswith(f"{folder.tag}-"):
        name = f"{tag}-{name.removeprefix(f'{folder.tag}-')}"
    return ExperimentFolder(root / tag / name)


_ON_THIS_MACHINE: Final = frozenset({"local", "simulated"})
"""Backends whose experiments leave nothing outside of their folders."""


def _backend_name(folder: ExperimentFolder) -> str:
    return read_metadata(folder).backend_name


# --- export

_TABLES: Final = ("csv", "parquet")


@export_app.default
def export(
    experiment: str,
    /,
    *,
    to: Annotated[str, Parameter(metavar="FORMAT")] = "csv",
    output: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    follow: bool = False,
) -> int:
    """Write an experiment to a table, or into the store of another tool; a second time adds only what is new.

    Parameters
    ----------
    experiment
        Name, unique beginning of a name, path of the folder, or @last.
    to
        csv or parquet: all results, a row each. mlflow, wandb or optuna: all trials, as docs/trackers.md describes; with settings as
        mlflow:tracking_uri=http://HOST:5000,experiment=NAME, wandb:project=NAME,mode=offline or optuna:storage=FILE,study=NAME.
    output
        File of a table (default: NAME.csv or NAME.parquet in this folder); an existing one is replaced.
    follow
        Continue until the experiment ends; not for tables.
    """
    folder = find_experiment(experiment)
    if to not in _TABLES:
        return _export_to_tracker(folder, to, output, is_followed=follow)
    if follow:
        raise SettingsError("--follow is for mlflow, wandb and optuna: a table is written once")
    path = (output or Path(f"{folder.name}.{to}")).expanduser()
    events = list(read_events(folder.journal_path))
    if path.is_dir():
        raise SettingsError(f"{path} is a folder: give the name of a file with --output")
    try:
        with replacing(path.absolute()) as unfinished:
            if to == "csv":
                unfinished.write_text(results_csv(events), encoding="utf-8")
            else:
                _write_parquet(unfinished, *result_rows(events))
    except OSError as error:
        raise SettingsError(
            f"Cannot write {path}: {error.strerror}. Choose another file with --output"
        ) from None
    say(f"Wrote {path}")
    return 0


def _export_to_tracker(folder: ExperimentFolder, to: str, output: Path | None, *, is_followed: bool) -> int:
    """Write an experiment into the store of another tool."""
    name = to.partition(":")[0]
    known = [*_TABLES, *tracker_names()]
    if name not in known:
        raise UnknownNameError("target of export", name, known)
    if output is not None:
        raise SettingsError(f"--output is the file of a table: {name} has settings, --to {name}:key=value")
    config = callback_from_text(to, flag="--to")

    def wait() -> bool:
        time.sleep(1.0)
        return stored_status(folder) is ExperimentStatus.RUNNING

    say(export_experiment(folder, config, wait if is_followed else None))
    return 0


def _write_parquet(path: Path, names: Sequence[str], *rows: Sequence[Any]) -> None:
    """Write a table; a column of different types is text, and empty cells are null."""
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError("tables", "A Parquet file") from None
    columns = {name: _column(cells) for name, *cells in zip(names, *rows, strict=True)}
    parquet.write_table(arrow.table(columns), path)


def _column(cells: Sequence[Any]) -> list[float | str | bool | None]:
    """A column of one type: numbers, truth values, or text if they differ; empty cells are None."""
    kinds: set[type] = {type(cell) for cell in cells if cell != ""}
    convert = float if kinds == {int, float} else str if len(kinds) > 1 else None
    return [None if cell == "" else cell if convert is None else convert(cell) for cell in cells]


# --- import


@import_app.default
def import_experiment(
    source: str,
    /,
    *,
    tool: Annotated[Literal["optuna", "syne-tune"], Parameter(name="--from")],
    study: str | None = None,
    metric: str | None = None,
    experiment_tag: str | None = None,
) -> int:
    """Store an experiment of another tool; show, report, --warm_start and tables record take it then.

    Parameters
    ----------
    source
        optuna: URL of a database, or path of a sqlite or journal file. syne-tune: folder of a tuner, with metadata.json and
        results.csv.zip.
    tool
        The other tool.
    study
        Of Optuna: name of the study (default: the only one).
    metric
        Names of the tuned values, with commas (default: those of the source, else value).
    experiment_tag
        Tag of the experiment (default: the name of the study, or of Syne Tune's script).
    """
    if study is not None and tool != "optuna":
        raise SettingsError("--study is for --from optuna")
    found = read_optuna(source, study, metric) if tool == "optuna" else read_syne_tune(source, metric)
    folder, is_new = store_imported(found, experiment_tag)
    for notice in found.notices:
        sys.stderr.write(f"{notice}\n")
    counts = Counter(str(trial.status) for trial in found.trials)
    text = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
    done = "Stored" if is_new else "Stored before:"
    say(f"{done} {plural(len(found.trials), 'trial')} ({text}) as {folder.name}")
    return 0


# --- repair


@repair_app.default
def repair(experiment: str, /) -> int:
    """Keep the lines of a journal before its damage; everything else is moved to a backup in the experiment's folder.

    Parameters
    ----------
    experiment
        Name, unique beginning of a name, path of the folder, or @last.
    """
    folder = find_experiment(experiment)
    _refuse_running(folder, "changed")
    if read_header(folder.journal_path) is None:
        raise SettingsError(f"{folder.name} has no journal: tunewright delete {folder.name} removes it")
    damage = _find_damage(folder.journal_path)
    if damage is None:
        say(f"The journal of {folder.name} is whole: there is nothing to repair")
        return 0
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    backup = folder.path / f"damaged-{stamp}"
    backup.mkdir(exist_ok=True)
    shutil.copy2(folder.journal_path, backup / folder.journal_path.name)
    moved = _move_unknown_runs(folder, damage.state, backup)
    with folder.journal_path.open("rb") as file:
        lines = file.readlines()
    with replacing(folder.journal_path) as unfinished:
        unfinished.write_bytes(b"".join(lines[: damage.n_whole]))
    lost = _lost_text(lines[damage.n_whole :])
    say(damage.reason)
    say(f"Kept: {plural(damage.n_whole, 'line')} with {_content_text(damage.state)}")
    say(f"Lost: {lost}")
    say(f"Backup: {backup}{f', with {moved}' if moved else ''}")
    if _backend_name(folder) not in _ON_THIS_MACHINE and damage.state.n_trials:
        _end_new_trials(folder, damage.state.n_trials)
        return 0
    say(f"Go on: tunewright resume {folder.name}")
    return 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Damage:
    n_whole: int
    """Lines before the damage, the header included."""
    state: State
    """Of these lines."""
    reason: str


def _find_damage(journal: Path) -> _Damage | None:
    """The first line that cannot be read, or does not fit to those before it; None if there is none."""
    state, n_whole = State(), 1
    try:
        for event in read_events(journal):
            with_fit(state.apply, event)
            n_whole += 1
    except JournalError as error:
        return _Damage(n_whole=n_whole, state=_state_of(journal, n_whole), reason=_cause(error))
    return None


def _cause(error: JournalError) -> str:
    """The error without its remedy, which is a repair."""
    return str(error).partition(". The file was changed")[0]


def _state_of(journal: Path, n_lines: int) -> State:
    """The state after the first lines of a journal; a line that does not fit may have changed a part of it."""
    state = State()
    for event in islice(read_events(journal), n_lines - 1):
        state.apply(event)
    return state


def _content_text(state: State) -> str:
    return f"{plural(state.n_trials, 'trial')} and {plural(state.n_results, 'result')}"


def _lost_text(lines: Sequence[bytes]) -> str:
    """Format the number of lost lines, and what those that can be read were."""
    kinds: Counter[str] = Counter()
    for line in lines:
        try:
            event = decode_line(line)
        except ValueError:
            kinds["unreadable line"] += 1
            continue
        if isinstance(event, ResultEvent):
            kinds["result"] += 1
        elif isinstance(event, StartEvent):
            kinds["start of a run"] += 1
        elif isinstance(event, EndEvent):
            kinds["end of a run"] += 1
    several = {"start of a run": "starts of runs", "end of a run": "ends of runs"}
    parts = [plural(n, kind, several.get(kind, "")) for kind, n in kinds.items()]
    of = f": {', '.join(parts)}" if parts else ""
    return f"{plural(len(lines), 'line')}{of}"


def _move_unknown_runs(folder: ExperimentFolder, state: State, backup: Path) -> str:
    """Move the folders of local runs that the kept lines do not begin: later runs get their numbers.

    Returns
    -------
    str
        Their number as text; empty if there are none.
    """
    n_moved = 0
    for trial in sorted(folder.trials_path.glob("[0-9]*")):
        trial_id = int(trial.name) if trial.name.isdecimal() else -1
        runs = [trial] if trial_id >= state.n_trials else _later_runs(trial, state, trial_id)
        for run in runs if trial_id >= 0 else ():
            target = backup / run.relative_to(folder.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            run.rename(target)
            n_moved += 1
    return plural(n_moved, "folder of a later run", "folders of later runs") if n_moved else ""


def _later_runs(trial: Path, state: State, trial_id: int) -> list[Path]:
    """Folders and locks of a trial's runs after its last known one."""
    last = state.run(trial_id).attempt
    return [
        path
        for path in sorted((trial / "runs").glob("*"))
        if (attempt := re.match(r"\d+", path.name)) and int(attempt[0]) > last
    ]


def _end_new_trials(folder: ExperimentFolder, n_trials: int) -> None:
    """Let a resume begin no new trial: its jobs would have the names of lost ones, with other configurations."""
    metadata = folder.metadata()
    folder.write_metadata({**metadata, "limits": {**metadata.get("limits", {}), "max_num_trials": n_trials}})
    say(
        f"A resume begins no new trials (max_num_trials is {n_trials} now): their jobs would have the names of those that were lost. "
        f"Begin a new experiment that learns from this one: --warm_start {folder.name}"
    )


# --- doctor


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFlags:
    """What is checked beside this machine."""

    backend: str | None = None
    """Also check what this backend needs, with a job of a second."""


def doctor_app_for(tokens: Sequence[str], *, all_backends: bool = False) -> App:
    """Make the app of ``tunewright doctor``, with the flags of the backend that a command line names.

    Parameters
    ----------
    tokens
        The command line.
    all_backends
        Take the flags of all backends, for the completion of a shell.

    Raises
    ------
    UnknownNameError
        No installed package has such a backend.
    """
    chosen = chosen_value(tokens, "backend")
    names = backend_names() if all_backends else [chosen] if chosen else []
    groups: dict[str, Sequence[type]] = {"Check": [DoctorFlags, FileFlags]}
    groups |= {f"Backend {name}": [find_backend(name).config] for name in names}
    command = RecordCommand(
        doctor,
        groups,
        explain=lambda name: explain_backend_flag(name, chosen or ""),
        read_table=lambda name, table: backend_table(name, table, chosen or "") or {},
        docs={
            "backend": f"Also check what this backend needs; on Slurm and Ray with a job of a second: {', '.join(backend_names())}"
        },
    )
    return record_app(
        command,
        "doctor",
        "Check this machine: versions, optional packages, credentials, disk, GPUs, stored experiments.",
    )


def doctor(given: Given) -> int:
    """Check this machine and perhaps an engine, without showing secrets; exit code 1 if something needs a repair.

    Without ``--backend`` nothing is sent to a network.
    """
    packages, problems = _package_lines()
    sections: dict[str, list[str]] = {
        "Tunewright": [f"tunewright {package_version()} in {Path(__file__).parent.parent}", *_python_lines()],
        "Packages": packages,
        "AWS": [_credentials_line()],
        "GPUs": list(_gpu_lines()),
    }
    sections["Disk"], trouble = _disk_lines()
    problems += trouble
    sections["Experiments"], trouble = _store_lines()
    problems += trouble
    for title, lines in sections.items():
        say("\n".join([title, *(f"  {line}" for line in lines), ""]))
    if backend := given.record(DoctorFlags).backend:
        problems += _examined(find_backend(backend), given)
    say("\n".join(problems) if problems else "No problem was found")
    return FAILED if problems else 0


def _examined(plugin: BackendPlugin[Any], given: Given) -> list[str]:
    """Show what a backend finds, fact by fact; the problems with their remedies."""
    say(f"Backend {plugin.name}")
    problems: list[str] = []
    n_facts = 0
    root = home() / "experiments"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=root, ignore_cleanup_errors=True) as folder:
        try:
            for finding in plugin.examine(given.record(plugin.config), Path(folder)):
                n_facts += 1
                say(f"  {finding.what}: {finding.found}")
                if finding.remedy:
                    problems.append(f"{finding.what}: {finding.remedy}")
        except BackendError as error:
            problems.append(str(error))
    say("  it needs nothing that could be checked\n" if not n_facts else "")
    return problems


def _python_lines() -> list[str]:
    return [
        f"Python {platform.python_version()}, {sys.executable}",
        f"{platform.platform()}, {plural(len(os.sched_getaffinity(0)), 'processor')}",
    ]


def _package_lines() -> tuple[list[str], list[str]]:
    """Versions of the required packages, and of the optional ones by extra, with the command that installs them."""
    try:
        needed = requires("tunewright") or []
    except PackageNotFoundError:
        return ["tunewright is used from its sources: the list of its packages is not installed"], []
    by_extra: dict[str, list[str]] = {}
    for text in needed:
        extra = re.search(r"extra *== *['\"]([\w-]+)['\"]", text)
        name = re.match(r"[A-Za-z0-9._-]+", text)
        if name is not None:
            by_extra.setdefault(extra[1] if extra else "", []).append(name[0])
    lines: list[str] = []
    problems: list[str] = []
    for extra, names in sorted(by_extra.items()):
        versions = {name: _version_of(name) for name in dict.fromkeys(names)}
        missing = [name for name, found in versions.items() if not found]
        found = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
        if not missing:
            lines.append(f"{extra or 'required'}: {found}")
        elif extra:
            lines.append(f"{extra}: missing {', '.join(missing)}: pip install 'tunewright[{extra}]'")
        else:
            problems.append(f"Required packages are missing: pip install {' '.join(missing)}")
    return lines, problems


def _version_of(package: str) -> str:
    """Version of an installed package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _credentials_line() -> str:
    """Whether credentials are found; they are neither shown nor tried."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    profile = os.environ.get("AWS_PROFILE")
    where = f"{f', profile {profile}' if profile else ''}{f', region {region}' if region else ''}"
    try:
        is_found = credentials_found()
    except MissingExtraError:
        return "boto3 is not installed: pip install 'tunewright[aws]'"
    except SettingsError as error:
        return str(error)
    if is_found:
        return f"credentials found (not tried){where}"
    return f"no credentials{where}: aws configure, or --endpoint embedded, which needs none"


def _gpu_lines() -> Iterator[str]:
    """GPUs by the tools of NVIDIA and AMD."""
    for maker, command, pattern in (
        ("NVIDIA", ("nvidia-smi", "-L"), r"^GPU (\d+): ([^(\n]*)"),
        ("AMD", ("rocm-smi", "--showproductname"), r"^GPU\[(\d+)\][^:\n]*:\s*Card [Ss]eries:\s*([^\n]*)"),
    ):
        if shutil.which(command[0]) is None:
            yield f"{maker}: {command[0]} is not installed"
            continue
        try:
            asked = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_PATIENCE, errors="replace"
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            yield f"{maker}: {command[0]} does not answer: {error}"
            continue
        found = re.findall(pattern, asked.stdout, flags=re.MULTILINE)
        if found:
            yield from (f"{maker} {number}: {name.strip()}" for number, name in found)
        else:
            said = " ".join((asked.stderr or asked.stdout).split())
            yield f"{maker}: none{f' ({said[:_SHOWN_ERROR]})' if asked.returncode and said else ''}"


_PATIENCE: Final = 20.0
"""Seconds for a tool that lists GPUs."""
_SHOWN_ERROR: Final = 200
"""Characters of its error."""
_LEAST_FREE: Final = 1e9
"""Bytes of free disk below which it is a problem."""


def _disk_lines() -> tuple[list[str], list[str]]:
    root = home()
    there = next(path for path in (root, *root.parents) if path.exists())
    usage = shutil.disk_usage(there)
    lines = [f"{root}: {usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f} GB"]
    problems: list[str] = []
    if not os.access(there, os.W_OK | os.X_OK):
        problems.append(f"{there} cannot be written: set TUNEWRIGHT_HOME to a folder of yours")
    if usage.free < _LEAST_FREE:
        problems.append(f"The disk of {root} is nearly full: tunewright delete removes experiments")
    return lines, problems


def _store_lines() -> tuple[list[str], list[str]]:
    """Number of experiments by status, and those that cannot be read."""
    counts: Counter[str] = Counter()
    problems: list[str] = []
    for folder in experiments():
        try:
            counts[str(load_outcome(folder).status)] += 1
        except JournalError as error:
            counts["damaged"] += 1
            problems.append(f"{_cause(error)}: tunewright repair {folder.name}")
        except TunewrightError as error:
            counts["unreadable"] += 1
            problems.append(str(error))
    total = plural(sum(counts.values()), "experiment")
    some = ", ".join(f"{n} {status}" for status, n in counts.items())
    return [f"{total}{f' ({some})' if some else ''} in {home() / 'experiments'}"], problems
