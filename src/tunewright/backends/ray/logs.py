"""Output of trials that is not in a shared folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from typing_extensions import override

from tunewright.backends.engine.folder_backend import job_name
from tunewright.backends.engine.job_service import JobName
from tunewright.backends.plugin import TrialLog
from tunewright.backends.ray.client import RayClient, RayError
from tunewright.exceptions import BackendError, RequestError


@final
class WholeLog(TrialLog):
    """Output that is read whole at each look.

    Parameters
    ----------
    read
        Reads all output so far.
    close
        Called with :meth:`close`.
    """

    def __init__(self, read: Callable[[], str], close: Callable[[], None] = lambda: None) -> None:
        self._read = read
        self._close = close
        self._n_read = 0

    @override
    def new_text(self) -> str:
        try:
            text = self._read()
        except RequestError as error:
            raise BackendError(f"The output of the trial cannot be read ({error})") from error
        new, self._n_read = text[self._n_read :], len(text)
        return new

    @override
    def close(self) -> None:
        self._close()


def trial_output(client: RayClient, experiment: str, trial_id: int) -> str:
    """Output of all jobs of a trial that Ray still has, oldest first.

    Raises
    ------
    RayError
        There is no answer.
    """
    prefix = job_name(experiment, "")
    found = [job.submission_id or "" for job in client.jobs()]
    names = [name for name in found if name.startswith(f"{prefix}{trial_id}-")]
    keys = [JobName.parse(name.removeprefix(prefix)) for name in names]
    ordered = sorted((key.attempt, key.retry, key.key) for key in keys if key is not None)
    return "".join(_output(client, prefix + key) for _, _, key in ordered)


def _output(client: RayClient, name: str) -> str:
    try:
        return client.logs(name)
    except RayError as error:
        if error.status == 404:  # deleted since
            return ""
        raise
