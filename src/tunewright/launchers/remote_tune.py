"""``tunewright tune --remote``: one experiment as a tuning job, without an experiment folder."""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tunewright.backends.sagemaker import SageMakerSettings
from tunewright.backends.sagemaker.config import SageMakerPlace, TuningJobPlace
from tunewright.backends.sagemaker.plugin import describe_jobs
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment
from tunewright.launchers.config_flags import config_from
from tunewright.launchers.confirm import confirm, settle
from tunewright.launchers.exits import run_command
from tunewright.launchers.launch import run_and_report
from tunewright.launchers.luggage import needed_extras, pack_warm_start
from tunewright.launchers.remote import RemoteOptions, SlicePlan, launch_slices
from tunewright.remote.package import bundle_remote

_EXPERIMENT: Final = "experiment.json"
_MAIN: Final = f'''\
"""Run the experiment that lies beside this file."""

from pathlib import Path

from tunewright.launchers.remote_tune import main

if __name__ == "__main__":
    main(Path(__file__).with_name("{_EXPERIMENT}"))
'''


def launch_experiment(experiment: Experiment, arguments: Namespace) -> int:
    """Launch an experiment as one tuning job; the exit code.

    Parameters
    ----------
    experiment
        All of it is data: its method is a named one.
    arguments
        Of the command line: place, remote flags, tag.

    Raises
    ------
    SettingsError
        It cannot run, or what it tunes is no script.
    BackendError
        The service cannot be used.
    """
    benchmark = experiment.real_benchmark
    script = Path(benchmark.script)
    if not script.is_file():
        raise SettingsError(f"--remote takes the path of a script, not {benchmark.script!r}")
    instance_type = arguments.tuner_instance_type or experiment.backend.tuner_instance_type
    if not instance_type:
        raise SettingsError(f"--remote does not support the {experiment.backend.backend_name} backend")
    experiment = settle(experiment, is_agreed=arguments.yes)
    if isinstance(experiment.backend, SageMakerPlace):  # trials and tuning job run in one place
        place: SageMakerPlace = experiment.backend
    else:
        settings = SageMakerSettings(n_workers=1, instance_type=instance_type)
        description = describe_jobs(config_from(TuningJobPlace, arguments), settings)
        place = confirm(description, is_agreed=arguments.yes)
    folder = script.resolve().parent
    packed = pack_warm_start(experiment.warm_start)
    inside = replace(_inside(experiment, f"{folder.name}/{script.name}"), warm_start=tuple(packed))
    dependencies = [folder, *map(Path, arguments.dependencies)]
    with tempfile.TemporaryDirectory() as scratch:
        entry = Path(scratch, "hpo_main.py")
        entry.write_text(_MAIN, encoding="utf-8")
        entry.with_name(_EXPERIMENT).write_text(json.dumps(inside.to_json()), encoding="utf-8")
        return launch_slices(
            [SlicePlan.of(experiment, ())],
            arguments,
            place=place,
            code=bundle_remote(entry, dependencies, files=packed, extras=needed_extras(arguments)),
            instance_type=instance_type,
            options=RemoteOptions(),
        )


def _inside(experiment: Experiment, script: str) -> Experiment:
    """The experiment with its paths as they are in the tuning job."""
    benchmark = experiment.real_benchmark
    names = tuple(Path(one).name for one in benchmark.dependencies)
    return replace(experiment, benchmark=benchmark.replace(script=script, dependencies=names))


def main(path: Path) -> None:
    """Run a stored experiment, or go on with it, and exit.

    Parameters
    ----------
    path
        JSON of the experiment; its script's path is relative to the file's folder.
    """
    run_command(lambda given: _run(path, given))


def _run(path: Path, given: Sequence[str]) -> int:
    del given
    stored = Experiment.from_json(json.loads(path.read_text(encoding="utf-8")))
    benchmark = stored.real_benchmark
    benchmark = benchmark.replace(
        script=str(path.parent / benchmark.script),
        dependencies=tuple(str(path.parent / one) for one in benchmark.dependencies),
    )
    experiment = replace(stored, benchmark=benchmark)
    return run_and_report([experiment], resume=True, is_verbose=False)
