"""The main program of a tuning job: ``python -m tunewright.launchers.inside hpo_main.py FLAGS``."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tunewright.exceptions import TunewrightError
from tunewright.experiments.run import JOURNAL_VARIABLE
from tunewright.launchers.console import say
from tunewright.launchers.exits import FAILED, INTERRUPTED, report_error, run_command
from tunewright.remote.tuning_job import OPEN_JOURNAL, TuningJob


def main(arguments: Sequence[str]) -> int:
    """Take the slice, go on from what S3 has of it, run the script, and say that it came to its end.

    Errors are printed before the last part of the log is sent.

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


def _work(job: TuningJob, entry: str, flags: Sequence[str]) -> int:
    n_found = job.begin()
    if n_found:
        say(f"Continuing: S3 has {n_found} experiments of this slice")
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
