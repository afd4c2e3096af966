"""The main program of a tuning job: ``python -m tunewright.cli.tuning_job hpo_main.py FLAGS``."""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tunewright.cli.exits import FAILED, INTERRUPTED, report_error, run_command, say
from tunewright.cli.launch import run_and_report
from tunewright.exceptions import TunewrightError
from tunewright.experiments import Experiment
from tunewright.experiments.run import JOURNAL_VARIABLE
from tunewright.formatting import plural
from tunewright.remote.tuning_job import OPEN_JOURNAL, TuningJob


def main(arguments: Sequence[str]) -> int:
    """Take the slice, download what S3 has of it, run the script, and record its end.

    Errors are printed before the last part of the log is uploaded.

    Parameters
    ----------
    arguments
        The folder's ``hpo_main.py`` and its flags.

    Returns
    -------
    int
        The script's exit code.

    Raises
    ------
    BackendError
        The service cannot be reached.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ[JOURNAL_VARIABLE] = OPEN_JOURNAL
    entry, *flags = arguments
    job = TuningJob()
    try:
        return _work(job, entry, flags)
    except TunewrightError as error:
        return report_error(error)
    except Exception:
        traceback.print_exc()
        return FAILED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        job.close()


def run_stored(path: Path) -> None:
    """Run a stored experiment, or continue it, and exit.

    Parameters
    ----------
    path
        JSON of the experiment; its script's path is relative to the file's folder.
    """
    run_command(lambda _: _run_stored(path))


def _run_stored(path: Path) -> int:
    stored = Experiment.from_json(json.loads(path.read_text(encoding="utf-8")))
    benchmark = stored.real_benchmark
    benchmark = benchmark.replace(
        script=str(path.parent / benchmark.script),
        dependencies=tuple(str(path.parent / one) for one in benchmark.dependencies),
    )
    return run_and_report([replace(stored, benchmark=benchmark)], resume=True, is_verbose=False)


def _work(job: TuningJob, entry: str, flags: Sequence[str]) -> int:
    n_found = job.begin()
    if n_found:
        say(f"Continuing: S3 has {plural(n_found, 'experiment')} of this slice")
    code = _run_script(entry, flags)
    if code != INTERRUPTED:
        job.done(code)
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _run_script(entry: str, flags: Sequence[str]) -> int:
    sys.argv = [entry, *flags]
    sys.path.insert(0, str(Path(entry).parent))
    try:
        runpy.run_path(entry, run_name="__main__")
    except SystemExit as exited:
        return exited.code if isinstance(exited.code, int) else int(exited.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # a mistake of the folder's, which another tuning job would make again
        traceback.print_exc()
        return FAILED
    return 0


if __name__ == "__main__":
    run_command(main)
