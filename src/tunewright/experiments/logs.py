"""What trials print, read from where the backend keeps it, also while they run."""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from pathlib import Path
from typing import final

from tunewright.aws import AwsSession, default_bucket, open_session
from tunewright.backends.local.run_folder import RunFolder
from tunewright.backends.sagemaker.deployment import ROOT_PREFIX
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.backends.sagemaker.requests import job_prefix
from tunewright.backends.sagemaker.workers import run_logs
from tunewright.experiments.backends import sagemaker_endpoint
from tunewright.experiments.choices import WORKERS, SageMakerChoice
from tunewright.experiments.experiment import Experiment
from tunewright.storage import ExperimentFolder

_FILES = ("stdout", "stderr", "runner.log")


class TrialLog(ABC):
    """The output of one trial's runs."""

    @abstractmethod
    def new_text(self) -> str:
        """What was printed since the last call; the first call begins with the first run."""

    def close(self) -> None:
        """Release what reading needed."""


def open_log(folder: ExperimentFolder, trial_id: int) -> TrialLog:
    """The output of a trial.

    Raises
    ------
    SettingsError
        The experiment's metadata cannot be read.
    BackendError
        The service that holds it does not answer.
    """
    choice = Experiment.from_json(folder.metadata()).backend
    if isinstance(choice, SageMakerChoice) and choice.execution == WORKERS:
        return WorkerLog(open_session(sagemaker_endpoint(choice)), choice.bucket, folder.name, trial_id)
    if isinstance(choice, SageMakerChoice):
        return JobLog(open_session(sagemaker_endpoint(choice)), folder.name, trial_id)
    return LocalLog(folder.trials_path / str(trial_id))


@final
class LocalLog(TrialLog):
    """Output in the files of a trial's folder.

    Parameters
    ----------
    trial
        The trial's folder.
    """

    def __init__(self, trial: Path) -> None:
        self._trial = trial
        self._offsets: dict[Path, int] = {}
        self._decoders: dict[Path, codecs.IncrementalDecoder] = {}

    def new_text(self) -> str:
        """Output, errors, and the runner's own words, run by run."""
        runs = [RunFolder(self._trial, *run).path for run in RunFolder.all_of(self._trial)]
        return "".join(self._new_of(run / name) for run in runs for name in _FILES)

    def _new_of(self, path: Path) -> str:
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            data = file.read()
        self._offsets[path] = self._offsets.get(path, 0) + len(data)
        decoder = self._decoders.setdefault(path, codecs.getincrementaldecoder("utf-8")("replace"))
        return decoder.decode(data)


@final
class JobLog(TrialLog):
    """Output in CloudWatch.

    Parameters
    ----------
    session
        An open session; closed with this object.
    experiment
        The experiment's name.
    trial_id
        The trial.
    """

    def __init__(self, session: AwsSession, experiment: str, trial_id: int) -> None:
        self._session = session
        self._prefix = job_prefix(experiment)
        self._trial_id = trial_id
        self._n_read = 0

    def new_text(self) -> str:
        """The log events of all jobs of the trial that were not seen before."""
        text = job_logs(self._session, self._prefix, self._trial_id)
        new, self._n_read = text[self._n_read :], len(text)
        return new

    def close(self) -> None:
        """Close the session."""
        self._session.close()


@final
class WorkerLog(TrialLog):
    """Output that workers stored in S3, every ten seconds.

    Parameters
    ----------
    session
        An open session; closed with this object.
    bucket
        That holds the experiment; None: the account's default.
    experiment
        The experiment's name.
    trial_id
        The trial.
    """

    def __init__(self, session: AwsSession, bucket: str | None, experiment: str, trial_id: int) -> None:
        self._session = session
        prefix = f"{ROOT_PREFIX}/{job_prefix(experiment)}"
        self._objects = session.objects(bucket or default_bucket(session), prefix)
        self._trial_id = trial_id
        self._n_read = 0

    def new_text(self) -> str:
        """What the trial's runs printed and was not seen before."""
        text = run_logs(self._objects, self._trial_id)
        new, self._n_read = text[self._n_read :], len(text)
        return new

    def close(self) -> None:
        """Close the session."""
        self._session.close()
