"""``tunewright resume``: an experiment goes on from its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, resume_experiment
from tunewright.experiments.remote_marker import read_marker
from tunewright.launchers.confirm import settle
from tunewright.launchers.console import set_up_logging, watch_progress
from tunewright.launchers.flags import add_limit_flags, limits_from
from tunewright.launchers.launch import without_result
from tunewright.launchers.parser import Parser
from tunewright.storage import ExperimentFolder, find_experiment


def run(arguments: Sequence[str]) -> int:
    """Continue an experiment, with new limits where they are given."""
    parser = Parser(
        "tunewright resume", "Continue an experiment after a crash or Ctrl-C, or with more time or workers."
    )
    parser.positional("experiment", "its name, a unique beginning of it, or the path of its folder")
    add_limit_flags(parser)
    parser.switch("yes", "do not ask before something is created on AWS")
    parser.switch("verbose", "show what happens inside, and tracebacks")
    given = parser.read(arguments)
    set_up_logging(is_verbose=given.verbose)
    folder = find_experiment(given.experiment)
    stored = Experiment.from_json(folder.metadata())
    experiment = replace(
        stored,
        benchmark=stored.benchmark.replace(n_workers=given.n_workers),
        limits=limits_from(given, stored.limits),
    )
    _check_place(folder, experiment)
    settle(experiment, is_agreed=given.yes, is_new=False)
    outcome = resume_experiment(folder, experiment, watch=watch_progress)
    if error := without_result(outcome):
        raise error
    return 0


def _check_place(folder: ExperimentFolder, experiment: Experiment) -> None:
    """Refuse what ran in a tuning job with a script that is not on this machine."""
    benchmark, note = experiment.benchmark, read_marker(folder.path)
    if note is None or not isinstance(benchmark, RealBenchmarkDefinition):
        return
    try:
        benchmark.check_script()
    except SettingsError:
        raise SettingsError(
            f"{folder.name} ran in the tuning job of {note.name}, and its script {benchmark.script} is not on this machine: "
            "go on there, with --resume of what launched it"
        ) from None
