"""RealBenchmarkDefinition: a training script with its space, metrics, limits and machines, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias, final, get_args

from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.metric import Metric
from tunewright.replicates import Replicates
from tunewright.runner.run_order import is_of_session, place_and_function
from tunewright.space import SearchSpace
from tunewright.types import Config, Json, Number

ArgumentStyle: TypeAlias = Literal["list", "hydra", "config_json"]
"""Form of a script's hyperparameters: ``--name value``, ``name=value`` as of Hydra, or ``--config_json FILE``."""

_SCRIPTS: Final = Path(__file__).parent / "scripts"


class Benchmark(Protocol):
    """The part of a benchmark that methods read, for any backend."""

    @property
    def space(self) -> SearchSpace:
        """Hyperparameters and constants."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Tuned metrics; one per objective."""
        ...

    @property
    def max_resource(self) -> int | None:
        """Resource (usually epochs) of a full run; None if trials report once."""
        ...

    @property
    def n_workers(self) -> int:
        """Trials that run at the same time."""
        ...

    @property
    def points_to_evaluate(self) -> tuple[Config, ...] | None:
        """First configurations; None: the space's defaults."""
        ...

    @property
    def time_attr(self) -> str:
        """Key in reports of the seconds that the trial has taken so far."""
        ...

    def candidates(self) -> Sequence[Config] | None:
        """The only configurations that may be suggested; None: all of the space."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RealBenchmarkDefinition:
    """A training script with the settings of its tuning.

    Raises
    ------
    SettingsError
        A field has a value that cannot work, or two fields contradict each other.
    """

    name: str
    script: str
    """Path of the script, or ``module:name`` or ``path/file.py:name`` of a function."""
    dependencies: tuple[str, ...] = ()
    """Files and folders that are placed next to the script, for its imports."""
    space: SearchSpace
    """Includes the constant ``max_resource_attr``, if there is one."""
    metrics: tuple[Metric, ...]
    max_wallclock_time: Number | None = None
    """Seconds; None: no limit."""
    n_workers: int = 1
    resource_attr: str | None = None
    """Key of the resource in reports; None: reports are counted."""
    max_resource_attr: str | None = None
    """Name of the script's argument for the resource of a full run."""
    max_resource: int | None = None
    """Resource of a full run; taken from the space if ``max_resource_attr`` is one of its constants."""
    replicates: Replicates | None = None
    """Seeds or folds that each trial reports one by one; their mean is its value. They are the resource."""
    until_as_max_resource: bool = False
    """Pass the end of each run as ``max_resource_attr``; for scripts that cannot be ended from outside."""
    instance_type: str | None = None
    """Instance type of SageMaker, for one trial; for ``n_workers`` trials if they share the machine."""
    instance_count: int = 1
    framework: str = "pytorch"
    """Framework of AWS's image for SageMaker jobs."""
    max_num_evaluations: int | None = None
    """Number of reports after which the experiment ends; None: no limit."""
    points_to_evaluate: tuple[Config, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables set for every trial; SageMaker shows them to all who may describe jobs."""
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Input folders by channel name, as SM_CHANNEL_*: ``s3://``, ``efs://`` or ``fsx://`` addresses for jobs, paths for processes."""
    argument_style: ArgumentStyle = "list"
    """Form of the hyperparameters on the script's command line."""
    config_json: bool = False
    """Short for ``argument_style="config_json"``."""
    request_template: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Merged under every CreateTrainingJob request."""

    def __post_init__(self) -> None:
        if not self.metrics:
            raise SettingsError(
                f"Benchmark {self.name!r} needs a metric: the key under which its script reports"
            )
        for limit in (
            "max_wallclock_time",
            "n_workers",
            "max_resource",
            "instance_count",
            "max_num_evaluations",
        ):
            value = getattr(self, limit)
            if value is not None and not value > 0:
                raise SettingsError(f"{limit} must be positive, not {value!r}")
        self._settle_argument_style()
        self._settle_replicates()
        self._settle_max_resource()
        for point in self.points_to_evaluate or ():
            self.space.complete(point)

    def _settle_argument_style(self) -> None:
        if self.argument_style not in get_args(ArgumentStyle):
            raise UnknownNameError("argument_style", self.argument_style, get_args(ArgumentStyle))
        if self.config_json and self.argument_style == "hydra":
            raise SettingsError("config_json=True contradicts argument_style='hydra': remove one of them")
        if self.config_json or self.argument_style == "config_json":
            object.__setattr__(self, "argument_style", "config_json")
            object.__setattr__(self, "config_json", True)

    def _settle_replicates(self) -> None:
        if self.replicates is None:
            return
        if self.resource_attr is not None:
            raise SettingsError(
                f"Replicates are the resource: resource_attr={self.resource_attr!r} cannot be another one"
            )
        if self.max_resource not in {None, self.replicates.n}:
            raise SettingsError(
                f"max_resource is {self.max_resource}, but there are {self.replicates.n} replicates"
            )
        object.__setattr__(self, "max_resource", self.replicates.n)

    def _settle_max_resource(self) -> None:
        attr = self.max_resource_attr
        if attr is None:
            return
        held = self.space.constants.get(attr)
        if held is None and self.max_resource is not None and attr not in self.space:
            object.__setattr__(self, "space", self.space.with_values({attr: self.max_resource}))
        elif not isinstance(held, int) or isinstance(held, bool) or held < 1:
            raise SettingsError(
                f"The space needs the constant {attr!r}, a whole number >= 1, as it is max_resource_attr"
            )
        elif self.max_resource not in {None, held}:
            raise SettingsError(f"max_resource is {self.max_resource}, but the space's {attr!r} is {held}")
        else:
            object.__setattr__(self, "max_resource", held)

    def replace(self, **overrides: Any) -> RealBenchmarkDefinition:
        """Copy with other values for some fields; None keeps the old value.

        Raises
        ------
        UnknownNameError
            The field is unknown.
        SettingsError
            As the constructor.
        """
        known = [f.name for f in dataclasses.fields(self)]
        for name in overrides:
            if name not in known:
                raise UnknownNameError("field of a benchmark", name, known)
        given = {name: value for name, value in overrides.items() if value is not None}
        attr = self.max_resource_attr
        if "max_resource" in given and attr is not None:
            space: SearchSpace = given.get("space", self.space)
            given["space"] = space.with_values({attr: given["max_resource"]})
        return dataclasses.replace(self, **given)

    @property
    def is_of_session(self) -> bool:
        """Whether the script is a function that only one process has, and that cannot be imported: ``session:name``."""
        return is_of_session(self.script)

    @property
    def time_attr(self) -> str:
        """Key of ``Reporter``'s seconds since the start of the run."""
        return "st_worker_time"

    def candidates(self) -> Sequence[Config] | None:
        """None: all of the space may be suggested."""
        return None

    def check_script(self) -> None:
        """Make sure that the script is there, before anything is started.

        Raises
        ------
        SettingsError
            It is not.
        """
        path, function = place_and_function(self.script)
        if (not function or path.endswith(".py")) and not Path(path).is_file():
            raise SettingsError(f"There is no training script {path}: give the path of a file")
        for dependency in self.dependencies:
            if not Path(dependency).exists():
                raise SettingsError(f"There is no dependency {dependency} of {path}: give files and folders")

    def to_json(self) -> dict[str, Json]:
        """Return the definition as data, from which :meth:`from_json` makes an equal one."""
        return to_json(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> RealBenchmarkDefinition:
        """Build a definition from the data of :meth:`to_json`. Only data is read, nothing is executed.

        Scripts of this package that lie elsewhere on this machine are found.

        Raises
        ------
        SettingsError
            The data do not describe a benchmark.
        """
        stored = from_json(RealBenchmarkDefinition, data, "benchmark")
        return dataclasses.replace(
            stored, script=_here(stored.script), dependencies=tuple(map(_here, stored.dependencies))
        )


def _here(path: str) -> str:
    """Return the path on this machine of a script of this package; any other path as it is."""
    _, is_ours, name = path.rpartition("/tunewright/benchmarks/scripts/")
    ours = _SCRIPTS / name
    return str(ours) if is_ours and not Path(path).exists() and ours.is_file() else path
