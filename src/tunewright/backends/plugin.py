"""BackendPlugin: everything that the rest of Tunewright knows of a backend.

A backend is a class that implements :class:`tunewright.interfaces.Backend`, a frozen config class, and a plugin that
builds the one from the other. The plugin is registered in the ``pyproject.toml`` of its package::

    [project.entry-points."tunewright.backends"]
    threads = "my_package:PLUGIN"

and is then used by ``tunewright tune --backend threads``, ``hpo_main.py``, ``resume``, ``logs`` and ``show``.
"""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar, cast, final

from typing_extensions import override

from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.events import Header
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Backend
from tunewright.journal import FileJournal, Journal
from tunewright.plugins import (
    BACKENDS,
    load_plugin,
    named_config_from_json,
    named_config_to_json,
    plugin_names,
)
from tunewright.storage import ExperimentFolder
from tunewright.trial import Checkpoint, Start
from tunewright.types import Json

_HOLD_SECONDS: Final = 0.2
"""Time for which simulated experiments hold lines back: a killed one repeats itself."""

BenchmarkDefinition: TypeAlias = RealBenchmarkDefinition | SurrogateBenchmarkDefinition
"""A training script, or a recorded table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendConfig(ABC):
    """Base of the config class of a backend.

    Fields are the backend's settings, all with defaults. A field's name is the name of its flag, the docstring below
    it the flag's help. Values are checked in ``__post_init__``, which raises SettingsError.
    """

    backend_name: ClassVar[str]
    """Name of the plugin's entry point."""
    is_simulated: ClassVar[bool] = False
    """Whether it runs recorded tables in simulated time, instead of scripts in real time."""
    tuner_instance_type: ClassVar[str] = ""
    """SageMaker instance type of a tuning job that uses this backend (``--remote``); empty: not supported there."""
    runs_tuners: ClassVar[bool] = False
    """Whether ``--remote`` runs the tuner as a job of the backend's own engine, by :meth:`BackendPlugin.launch`."""
    absent_flags: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Flags of other backends that this one cannot have: the cause, with the remedy, as a predicate such as ``is not ...``."""

    @property
    def clock(self) -> str:
        """The experiment's clock: ``"wall"`` or ``"simulated"``."""
        return "simulated" if self.is_simulated else "wall"

    @property
    def is_billed(self) -> bool:
        """Whether costs are charged for real; False: they are those of a service that is emulated."""
        return True


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentContext:
    """An experiment, as its backend sees it."""

    benchmark: BenchmarkDefinition
    tag: str
    """Of the experiment; safe for file systems, S3 and SageMaker."""
    seed: int
    """Of all random numbers."""
    stored: ExperimentFolder | None = None
    """The experiment's folder; None before the experiment begins."""
    function: Callable[..., Any] | None = None
    """The function of the trials, if they cannot import it: ``script.script`` is ``session:name`` then. Most backends refuse it."""

    @property
    def folder(self) -> ExperimentFolder:
        """The experiment's folder: metadata, journal and trials; its name is the experiment's unique name.

        Raises
        ------
        SettingsError
            The experiment has not begun: members other than ``build`` and ``logs`` must do without a folder.
        """
        if self.stored is None:
            raise SettingsError(f"An experiment of {self.tag} has no folder before it begins")
        return self.stored

    @property
    def script(self) -> RealBenchmarkDefinition:
        """The training script with its inputs, resources and number of workers.

        Raises
        ------
        SettingsError
            The benchmark is a table, or a function that only this process has.
        """
        benchmark = self.benchmark
        if not isinstance(benchmark, RealBenchmarkDefinition):
            raise SettingsError(f"{benchmark.name} is a recorded table, not a training script")
        if benchmark.is_of_session:
            raise SettingsError(
                f"{benchmark.name} is a function of a notebook, of a prompt or of another function, which only the local backend "
                "can run: define it with def at the top level of a module"
            )
        return benchmark

    @property
    def session_script(self) -> RealBenchmarkDefinition:
        """The training script, or a function that only this process has.

        Raises
        ------
        SettingsError
            The benchmark is a table, or this process does not have the function.
        """
        benchmark = self.benchmark
        if not isinstance(benchmark, RealBenchmarkDefinition) or not benchmark.is_of_session:
            return self.script
        if self.function is None:
            raise SettingsError(
                f"{benchmark.name} was a function of a notebook, of a prompt or of another function, and is not stored: define it "
                f"again, and continue with tune({benchmark.name}, ..., resume=True)"
            )
        return benchmark

    @property
    def table(self) -> SurrogateBenchmarkDefinition:
        """The recorded table.

        Raises
        ------
        SettingsError
            The benchmark is a training script.
        """
        if isinstance(self.benchmark, SurrogateBenchmarkDefinition):
            return self.benchmark
        raise SettingsError(f"{self.benchmark.name} is a training script, not a recorded table")


class TrialLog(ABC):
    """The output of one trial's runs."""

    @abstractmethod
    def new_text(self) -> str:
        """Output since the last call; the first call begins with the first run."""

    def close(self) -> None:
        """Release resources."""


@final
class FileLog(TrialLog):
    """Output in files.

    Parameters
    ----------
    files
        The files in order; called at each look, as files may be added. Those that do not exist are left out.
    """

    def __init__(self, files: Callable[[], Sequence[Path]]) -> None:
        self._files = files
        self._offsets: dict[Path, int] = {}
        self._decoders: dict[Path, codecs.IncrementalDecoder] = {}

    @override
    def new_text(self) -> str:
        """New content of the files, in their order."""
        return "".join(self._new_of(path) for path in self._files())

    def _new_of(self, path: Path) -> str:
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            data = file.read()
        self._offsets[path] = self._offsets.get(path, 0) + len(data)
        decoder = self._decoders.setdefault(path, codecs.getincrementaldecoder("utf-8")("replace"))
        return decoder.decode(data)


def output_files(folder: ExperimentFolder, trial_id: int) -> FileLog:
    """The files ``stdout`` and ``stderr`` in ``trials/{trial_id}`` of an experiment's folder, and in its sub-folders."""
    trial = folder.trials_path / str(trial_id)
    return FileLog(lambda: [*sorted(trial.rglob("stdout")), *sorted(trial.rglob("stderr"))])


C = TypeVar("C", bound=BackendConfig)
S = TypeVar("S")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Description(Generic[S]):
    """What the user sees before an experiment begins."""

    config: S
    """The config with every setting decided that was left open."""
    advice: tuple[str, ...] = ()
    """Lines about the decisions; shown when an experiment is new."""
    lines: tuple[str, ...] = ()
    """Lines about what is created, and at what price per hour at most."""
    must_confirm: bool = False
    """Whether a user at a terminal is asked to confirm, unless ``--yes`` is given."""
    unattended_error: str = ""
    """Error if a confirmation is needed and there is no terminal; empty: the experiment begins."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A fact about a backend's engine, as ``tunewright doctor`` shows it."""

    what: str
    """The part that was looked at, in a few words."""
    found: str
    """What is there, or what went wrong."""
    remedy: str = ""
    """Remedy, if trials cannot run like this; empty: it is as it should be."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TunerJob:
    """A tuner that runs as a job of an engine."""

    name: str
    """Of the job; safe for file systems."""
    command: tuple[str, ...]
    """Runs experiments, skips those that have ended and continues those that were interrupted."""
    cwd: Path
    """Working directory of the command."""
    folder: Path
    """For the job's files; it is kept."""


class BackendPlugin(ABC, Generic[C]):
    """A backend by name. Only :attr:`config` and :meth:`build` are needed; the other members have defaults.

    Examples
    --------
    A backend that runs each trial in a thread, with one setting::

        @final
        @dataclass(frozen=True, slots=True, kw_only=True)
        class ThreadsConfig(BackendConfig):
            backend_name: ClassVar[str] = "threads"

            poll_seconds: float = 0.1
            \"\"\"Seconds between two looks at the threads.\"\"\"


        @final
        class ThreadsPlugin(BackendPlugin[ThreadsConfig]):
            config = ThreadsConfig

            def build(self, config: ThreadsConfig, context: ExperimentContext) -> Backend:
                benchmark = context.script
                return ThreadsBackend(
                    benchmark.script,
                    n_workers=benchmark.n_workers,
                    folder=context.folder.trials_path,
                    poll_seconds=config.poll_seconds,
                )


        PLUGIN = ThreadsPlugin()
    """

    config: type[C]
    """The config class."""
    has_service_logs: ClassVar[bool] = False
    """Whether :meth:`logs` asks a service; False: it reads files of this machine."""

    @property
    def name(self) -> str:
        """Name of the entry point."""
        return self.config.backend_name

    @abstractmethod
    def build(self, config: C, context: ExperimentContext) -> Backend:
        """Build the backend of an experiment, new or continued. Nothing is started.

        Raises
        ------
        SettingsError
            A setting does not fit the benchmark or this machine.
        BackendError, MissingExtraError
            The backend cannot work at all.
        """

    def open_journal(self, config: C, context: ExperimentContext, header: Header) -> Journal:
        """Open the journal of an experiment, new or continued, before :meth:`build`.

        Default: a file in its folder.

        Parameters
        ----------
        config
            The config.
        context
            The experiment.
        header
            First line of a new journal.

        Raises
        ------
        JournalError
            It is in use, cannot be read, or cannot be written.
        BackendError
            It is copied to a service that does not answer.
        """
        hold = _HOLD_SECONDS if config.is_simulated else 0.0
        return FileJournal(context.folder.journal_path, header, hold=hold)

    def logs(self, config: C, context: ExperimentContext, trial_id: int) -> TrialLog:
        """The output of a trial, also while it runs.

        Default: :func:`output_files`.

        Raises
        ------
        BackendError
            The service that holds it does not answer.
        """
        return output_files(context.folder, trial_id)

    def checkpoint_place(self, config: C, context: ExperimentContext, checkpoint: Checkpoint) -> str:
        """The path or the address of a checkpoint; empty if it is not known without a request.

        Default: empty.
        """
        return ""

    def copy_checkpoint(
        self, config: C, context: ExperimentContext, checkpoint: Checkpoint, folder: Path
    ) -> None:
        """Copy a checkpoint into a new folder.

        Raises
        ------
        SettingsError
            The backend keeps no checkpoints (the default), or it does not have this one.
        BackendError
            The service that holds it does not answer.
        """
        raise SettingsError(f"The {self.name} backend keeps no checkpoints that can be copied")

    def describe(self, config: C, context: ExperimentContext) -> Description[C]:
        """Decide open settings, and describe what the experiment creates. Nothing is created.

        Default: the config as it is, and no lines.

        Raises
        ------
        SettingsError
            A setting does not fit the benchmark or this machine.
        """
        return Description(config=config)

    def dry_run(self, config: C, context: ExperimentContext, first: Start) -> str:
        """The text of ``--dry_run``: the request or the command that begins the first trial. Nothing is created.

        Parameters
        ----------
        config
            As :meth:`describe` decided it.
        context
            The experiment.
        first
            The scheduler's first suggestion.

        Raises
        ------
        SettingsError
            The backend sends no requests (the default).
        BackendError
            The request cannot be completed without an account.
        """
        raise SettingsError(f"--dry_run shows a request, and the {self.name} backend sends none")

    def examine(self, config: C, folder: Path) -> Iterator[Finding]:
        """Look at what the backend needs, and run a job of a second; each fact as soon as it is known.

        A part that is missing is a finding with a remedy, not an error. Nothing is left behind. Default: nothing.

        Parameters
        ----------
        config
            Flags of ``tunewright doctor --backend``.
        folder
            An empty folder among those of experiments; removed afterwards.

        Raises
        ------
        BackendError
            The engine does not answer.
        """
        del config, folder
        yield from ()

    def launch(self, config: C, tuner: TunerJob) -> str:
        """Run a tuner as a job of the engine, in further jobs where one has not time enough; see :attr:`BackendConfig.runs_tuners`.

        Returns
        -------
        str
            How the user follows and ends it, in a line.

        Raises
        ------
        SettingsError
            The engine cannot do that (the default), refuses the job, or runs the tuner already.
        BackendError
            The engine does not answer.
        """
        del config, tuner
        raise SettingsError(f"--remote does not support the {self.name} backend")

    def check(self, config: C, context: ExperimentContext) -> None:
        """Check the settings of a new experiment; one that continues keeps those that it has. The default accepts all.

        Raises
        ------
        SettingsError
            A setting would have no effect, or cannot work.
        """

    def unknown_costs(self, config: C, context: ExperimentContext) -> str:
        """Why dollars of the experiment cannot be counted, with the remedy; empty (the default) if they can.

        An experiment with a limit on dollars is then refused.
        """
        return ""


def backend_names() -> list[str]:
    """Names of the installed backends, sorted."""
    return plugin_names(BACKENDS)


def find_backend(name: str) -> BackendPlugin[Any]:
    """The backend of a name.

    Raises
    ------
    UnknownNameError
        No installed package brings it.
    SettingsError
        Its package cannot be imported, or its entry point is no BackendPlugin.
    """
    return cast("BackendPlugin[Any]", load_plugin(BACKENDS, name, BackendPlugin))


def backend_to_json(config: BackendConfig) -> dict[str, Json]:
    """A backend's name and config, as metadata holds them."""
    return named_config_to_json(config.backend_name, config)


def backend_from_json(data: object) -> BackendConfig:
    """The inverse of :func:`backend_to_json`.

    Raises
    ------
    SettingsError
        The data name no backend, or a backend that is unknown, or are not its config.
    """
    return named_config_from_json("backend", data, lambda name: find_backend(name).config)
