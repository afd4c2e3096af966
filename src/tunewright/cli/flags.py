"""Records of flags that several commands share, and the experiment folder's own flags."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, final

from cyclopts import Parameter
from cyclopts.types import NonNegativeInt, PositiveInt

from tunewright.aws import AwsSession, open_session, resolve_endpoint
from tunewright.backends.plugin import BenchmarkDefinition, backend_names, find_backend
from tunewright.benchmarks import ArgumentStyle, RealBenchmarkDefinition
from tunewright.callbacks.plugin import CallbackConfig, callback_from_text
from tunewright.cli.parsing import is_flag_file
from tunewright.cli.records import flag_names
from tunewright.exceptions import SettingsError
from tunewright.experiments.known_results import KnownTrial, read_points
from tunewright.space import SearchSpace
from tunewright.types import ConfigValue

ExtraArgs: TypeAlias = Sequence[Mapping[str, Any]]
"""One mapping per flag: ``name`` without hyphens, and options as of argparse (``type``, ``default``, ``help``, ...)."""

_OPTIONS: Final = frozenset(
    {"name", "type", "default", "help", "choices", "required", "action", "nargs", "metavar"}
)
_ACTIONS: Final = frozenset({"store", "store_true", "store_false", "append"})
_PLAIN: Final = (int, float, str, bool, Path)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFlags:
    """How much a command prints."""

    verbose: bool = False
    """Print informational messages, and tracebacks of errors."""


@Parameter(name="*")
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AccessFlags:
    """The account of a command's requests, and with whose rights they are made."""

    region: str | None = None
    """AWS region (default: as boto3 finds it)."""
    profile: str | None = None
    """Profile of the AWS configuration (default: $AWS_PROFILE)."""
    assume_role: str | None = None
    """Role whose rights all requests have, by its ARN."""

    def open(self, endpoint: str) -> AwsSession:
        """Open a session.

        Parameters
        ----------
        endpoint
            auto, aws, embedded or a URL.

        Raises
        ------
        SettingsError, BackendError
            As :func:`~tunewright.aws.resolve_endpoint` and :func:`~tunewright.aws.open_session`.
        """
        return open_session(
            resolve_endpoint(endpoint, region=self.region, profile=self.profile, assume_role=self.assume_role)
        )


HERE: Final = AccessFlags()
"""The account that boto3 finds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFlags:
    """Number of workers."""

    n_workers: PositiveInt | None = None
    """Trials at the same time (default: the benchmark's)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """How an experiment runs, whatever its backend."""

    random_seed: NonNegativeInt = 0
    """Master seed: another one repeats all seeds with other random numbers."""
    points: str | None = field(default=None, metadata={"metavar": "FILE"})
    """CSV, JSON or TOML file of the first configurations, also with known results (default: one of all defaults, or the benchmark's)."""
    warm_start: tuple[str, ...] = field(default=(), metadata={"metavar": "TAG"})
    """An earlier experiment to learn from: its tag or name, or a file of evaluations; may be repeated."""
    delete_checkpoints: bool = False
    """Remove checkpoints as soon as no trial can need them."""
    max_num_checkpoints: PositiveInt | None = None
    """Checkpoints of paused trials to keep: those that are likely and costly to be missed (default: all)."""
    callback: tuple[str, ...] = field(default=(), metadata={"metavar": "NAME:key=value,..."})
    """A callback that watches each experiment, with its settings; may be repeated."""
    tensorboard: bool = False
    """Short for --callback tensorboard: write event files into the folder of each experiment."""
    on_end: str = field(default="", metadata={"metavar": "COMMAND"})
    """Command that gets the summary of each experiment (as show --format json prints it) on its standard input, a minute at most."""

    def with_points(
        self, benchmark: BenchmarkDefinition, also: Collection[str] = ()
    ) -> tuple[BenchmarkDefinition, tuple[KnownTrial, ...]]:
        """Return a benchmark with the first configurations of ``--points``, and those with known results.

        Parameters
        ----------
        benchmark
            The benchmark.
        also
            Names of values beside the metrics that the method reads.

        Raises
        ------
        SpaceError, SettingsError
            The file cannot be read, or a configuration or result does not fit the benchmark.
        """
        if self.points is None:
            return benchmark, ()
        first, known = read_points(self.points, benchmark, also)
        return benchmark.replace(points_to_evaluate=first), known

    @property
    def callbacks(self) -> tuple[CallbackConfig, ...]:
        """The callbacks that the flags name.

        Raises
        ------
        SettingsError
            A callback or a setting is unknown, or a value cannot work.
        """
        return tuple(
            map(callback_from_text, (*self.callback, *(("tensorboard",) if self.tensorboard else ())))
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFlags:
    """Inputs of a training script besides its hyperparameters."""

    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Input folder, as SM_CHANNEL_NAME: s3://..., efs://ID/... or fsx://ID/... for jobs, a path for processes; may be repeated."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variable of each trial, which SageMaker shows to all who may describe jobs; may be repeated."""
    dependencies: tuple[str, ...] = field(default=(), metadata={"metavar": "PATH"})
    """Folder or file that the script imports; may be repeated."""
    argument_style: ArgumentStyle | None = None
    """Hyperparameters on the script's command line: list: --name value; hydra: name=value; config_json: --config_json FILE (default: list)."""
    config_json: bool = False
    """Short for --argument_style config_json."""

    def apply(self, benchmark: RealBenchmarkDefinition) -> RealBenchmarkDefinition:
        """Return the benchmark with these inputs.

        Raises
        ------
        SettingsError
            A dependency does not exist.
        """
        for path in self.dependencies:
            if not Path(path).exists():
                raise SettingsError(
                    f"--dependencies: there is no dependency {path}: give files and folders of this machine"
                )
        if self.config_json and self.argument_style not in {None, "config_json"}:
            raise SettingsError(
                f"--config_json contradicts --argument_style {self.argument_style}: remove one of them"
            )
        style = self.argument_style or ("config_json" if self.config_json else benchmark.argument_style)
        dependencies = (str(Path(path).absolute()) for path in self.dependencies)
        return benchmark.replace(
            environment={**benchmark.environment, **self.environment},
            inputs={**benchmark.inputs, **self.inputs},
            dependencies=(*benchmark.dependencies, *dependencies),
            argument_style=style,
            config_json=style == "config_json",
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FixedFlags:
    """Arguments that a script gets in every trial."""

    dataset_path: str | None = None
    """Folder of the script's data (default: the benchmark's)."""
    config: tuple[str, ...] = field(default=(), metadata={"metavar": "NAME=VALUE|FILE.toml"})
    """NAME=VALUE: an argument of the script in all trials, which is no longer tuned; FILE.toml: flags; may be repeated."""

    def apply(self, benchmark: RealBenchmarkDefinition) -> RealBenchmarkDefinition:
        """Return the benchmark with these values as constants of its space: changed, added, or no longer tuned.

        A dataset path that exists on this machine is made absolute.

        Raises
        ------
        SettingsError
            A text is not of the form ``NAME=VALUE``, or the resource of a full run is not an integer >= 1.
        SpaceError
            A value is illegal for its hyperparameter, or nothing is left to tune.
        """
        values = _fixed_values([text for text in self.config if not is_flag_file(text)], benchmark.space)
        if self.dataset_path is not None:
            path = Path(self.dataset_path).expanduser()
            is_here = self.dataset_path != "./" and path.exists()
            values["dataset_path"] = str(path.resolve()) if is_here else self.dataset_path
        if not values:
            return benchmark
        points = benchmark.points_to_evaluate
        if points is not None:
            points = tuple({n: v for n, v in point.items() if n not in values} for point in points)
        return dataclasses.replace(
            benchmark,
            space=benchmark.space.with_values(values),
            max_resource=None if benchmark.max_resource_attr else benchmark.max_resource,  # now in the space
            points_to_evaluate=points,
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FileFlags:
    """Files of flags."""

    config: tuple[str, ...] = field(default=(), metadata={"metavar": "FILE.toml"})
    """TOML file of flags; for tune a table holds those of a backend, or the settings of a method."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmFlags:
    """What happens before something is created."""

    yes: bool = False
    """Do not ask before something that costs money is created."""
    dry_run: bool = False
    """Print the request that begins the first trial, and create nothing."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TableFlags:
    """Experiments on recorded tables."""

    n_jobs: PositiveInt | None = None
    """Processes that run experiments (default: one per processor)."""
    restrict_configurations: bool = False
    """Suggest only configurations that were recorded."""
    scale_max_wallclock_time: bool = False
    """Give fewer workers more time: times the benchmark's workers over --n_workers, if that is more than 1."""
    export: bool = False
    """Write results.csv.zip of each experiment beside its journal."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchFlags:
    """How tuning jobs are launched."""

    max_parallel_jobs: PositiveInt | None = None
    """Tuning jobs at the same time; the others wait in line (default: as many as the account has room for; on the embedded endpoint one per CPU)."""
    wait: bool = False
    """Follow all tuning jobs until they end, and launch those again that died."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFlags:
    """Instances of tuning jobs that run the trials themselves."""

    instance_type: str | None = field(default=None, metadata={"metavar": "ml.TYPE"})
    """Instance type of each tuning job (default: the benchmark's)."""
    spot: bool = False
    """Run the tuning jobs on spot instances; interrupted ones continue from their journals."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TunerFlags:
    """Instances of tuning jobs, if ``instance_type`` means those of the trials."""

    tuner_instance_type: str | None = field(default=None, metadata={"metavar": "ml.TYPE"})
    """Instance type of each tuning job (default: ml.m5.large; ml.c5.4xlarge if it trains itself)."""
    tuner_role: str | None = None
    """Role of the tuning jobs, by name or ARN (default: --role)."""
    tuner_spot: bool = False
    """Run the tuning jobs on spot instances; interrupted ones continue from their journals."""


def explain_backend_flag(name: str, backend: str) -> str | None:
    """Say why a backend has no such flag, or to which other one it belongs; None if to none."""
    if backend in backend_names() and (reason := find_backend(backend).config.absent_flags.get(name)):
        return reason
    others = [
        other
        for other in backend_names()
        if other != backend and name in flag_names(find_backend(other).config)
    ]
    return f"is a flag of --backend {' and '.join(others)}" if others else None


def backend_table(name: str, table: Mapping[str, Any], backend: str) -> Mapping[str, Any] | None:
    """Flags of a backend's table in a ``--config`` file: those of the chosen backend; None if it names no backend."""
    if name == backend:
        return table
    return {} if name in backend_names() else None


# --- Flags of an experiment folder ---------------------------------------------------------------------------------------


def extra_parameters(extra_args: ExtraArgs, taken: Sequence[str]) -> list[inspect.Parameter]:
    """Make the parameters of a folder's own flags.

    Raises
    ------
    SettingsError
        A flag has no name, begins with a hyphen, exists already, or has an option that is not supported.
    """
    parameters: list[inspect.Parameter] = []
    for extra in extra_args:
        name = str(extra.get("name", ""))
        if not name or name.startswith("-"):
            raise SettingsError(f"extra_args: give the flag's name without hyphens, not {name!r}")
        name = name.replace("-", "_")
        if name in (*taken, *(one.name for one in parameters)):
            raise SettingsError(f"extra_args: the flag {name!r} cannot be added: it exists already")
        unknown = sorted(set(extra) - _OPTIONS)
        if unknown or extra.get("action", "store") not in _ACTIONS:
            what = f"option {unknown[0]!r}" if unknown else f"action {extra['action']!r}"
            raise SettingsError(f"extra_args: the flag {name!r} cannot be added: its {what} is not supported")
        parameters.append(_extra_parameter(name, extra))
    return parameters


def extra_converters(extra_args: ExtraArgs) -> dict[str, Callable[[Any], Any]]:
    """Conversions of the values of a folder's own flags: types that only the folder knows, and ``store_false``."""
    converters: dict[str, Callable[[Any], Any]] = {}
    for extra in extra_args:
        name, kind = str(extra["name"]).replace("-", "_"), extra.get("type", str)
        if extra.get("action") == "store_false":
            converters[name] = lambda is_given: not is_given
        elif kind not in _PLAIN and not extra.get("choices"):
            converters[name] = kind
    return converters


def _extra_parameter(name: str, extra: Mapping[str, Any]) -> inspect.Parameter:
    options: dict[str, Any] = {"help": extra.get("help"), "metavar": extra.get("metavar")}
    action, kind, default = extra.get("action", "store"), extra.get("type", str), extra.get("default")
    annotation: Any = kind if kind in _PLAIN else str
    if extra.get("choices"):
        annotation = Literal[tuple(extra["choices"])]  # type: ignore[valid-type]
    if action in {"store_true", "store_false"}:
        annotation, default = bool, action == "store_false"
    elif action == "append" or extra.get("nargs") is not None:
        annotation = tuple[annotation, ...]
        options["consume_multiple"] = extra.get("nargs") is not None
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if extra.get("required") else default,
        annotation=Annotated[annotation, Parameter(**options)],
    )


def _fixed_values(texts: Sequence[str], space: SearchSpace) -> dict[str, ConfigValue]:
    values: dict[str, ConfigValue] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SettingsError(
                f"--config takes NAME=VALUE, as in --config width=16, or FILE.toml, not {text!r}"
            )
        values[name] = value if isinstance(space.constants.get(name), str) else _value(value)
    return values


def _value(text: str) -> ConfigValue:
    """Read a number or a truth value if the text is one in JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | str) else text
