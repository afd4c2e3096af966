"""Which backend runs the trials, as data: what metadata holds and the command line chooses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeAlias, final

from tunewright.backends.simulated.settings import SimulatedSettings, profile
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.types import Json

JOBS: Final = "jobs"
WORKERS: Final = "workers"
AUTO: Final = "auto"
EXECUTIONS: Final = (JOBS, WORKERS, AUTO)
"""How trials become SageMaker training jobs."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptOptions:
    """What trials get beside their hyperparameters, wherever they run."""

    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables; they win over those of the benchmark."""
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Input folders by channel name, as SM_CHANNEL_*: ``s3://`` addresses for jobs, paths for processes."""
    dependencies: tuple[str, ...] = ()
    """Folders and files that the script imports."""
    config_json: bool = False
    """Give the configuration as ``--config_json FILE`` instead of as arguments."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalChoice:
    """Processes on this machine."""

    kind: ClassVar[str] = "local"
    clock: ClassVar[str] = "wall"

    gpus_per_trial: int = 1
    """GPUs that each trial has for itself, where there are any."""
    gpus: tuple[int, ...] | None = None
    """The GPUs that may be used; None: all."""
    script: ScriptOptions = field(default_factory=ScriptOptions)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SageMakerChoice:
    """SageMaker training jobs, on AWS or on an endpoint that behaves like it."""

    kind: ClassVar[str] = "sagemaker"
    clock: ClassVar[str] = "wall"

    endpoint: str = "auto"
    """``auto`` until it is decided; then ``aws``, ``embedded`` or an address."""
    region: str | None = None
    speed: float | None = None
    """Service seconds per second of an embedded endpoint."""
    role: str | None = None
    bucket: str | None = None
    image_uri: str | None = None
    instance_type: str | None = None
    """Of each job; several with commas, the preferred one first; None: the benchmark's."""
    execution: str = JOBS
    """``auto`` until it is decided; then ``jobs``: a job per run, or ``workers``: long jobs that take run after run."""
    trials_per_instance: int | None = None
    """Of workers; None: one per GPU, and one where there is none."""
    channel: str | None = None
    """How jobs report: ``s3`` or ``logs``; None: ``logs`` where they have no network, else ``s3``."""
    network_isolation: bool = False
    """Let jobs reach no network."""
    warm_pool: bool = False
    """Keep instances between trials; billed while they wait."""
    spot: bool = False
    """Run trials on spot instances, which are cheaper and may be interrupted."""
    max_wait: int | None = None
    """Service seconds that a spot job may take with its waits for instances; None: a day more than ``max_run``."""
    volume_gb: int | None = None
    max_run: int | None = None
    """Service seconds after which a job is cut and its trial fails; None: a day."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """AWS tags of the jobs."""
    request_template: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """A CreateTrainingJob request that is merged under ours and over the benchmark's."""
    script: ScriptOptions = field(default_factory=ScriptOptions)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedChoice:
    """Recorded curves in simulated time.

    Raises
    ------
    SettingsError
        The profile is unknown, or a number is not >= 0.
    """

    kind: ClassVar[str] = "simulated"
    clock: ClassVar[str] = "simulated"

    profile: str = "default"
    """Delays by name: ``default``, ``ideal`` or ``sagemaker``."""
    keep_alive: float = 0.0
    """Simulated seconds that an instance waits for the next run, which then starts warm."""
    dollars_per_hour: float = 0.0
    """Price of an instance."""
    checkpoints: bool = True
    """Whether a resumed trial goes on where it was; otherwise it begins anew."""
    charge_suggest_time: bool = False
    """Count the real seconds of deciding on the simulated clock; then no run can be repeated exactly."""

    def __post_init__(self) -> None:
        self.settings()

    def settings(self) -> SimulatedSettings:
        """What the backend takes."""
        return dataclasses.replace(
            profile(self.profile),
            keep_alive=self.keep_alive,
            dollars_per_hour=self.dollars_per_hour,
            checkpoints=self.checkpoints,
        )


BackendChoice: TypeAlias = LocalChoice | SageMakerChoice | SimulatedChoice

_KINDS: Mapping[str, type[BackendChoice]] = {
    c.kind: c for c in (LocalChoice, SageMakerChoice, SimulatedChoice)
}


def choice_to_json(choice: BackendChoice) -> dict[str, Json]:
    """What :func:`choice_from_json` reads."""
    return {"kind": choice.kind, **dataclasses.asdict(choice)}


def choice_from_json(data: Mapping[str, Any]) -> BackendChoice:
    """The inverse of :func:`choice_to_json`.

    Raises
    ------
    SettingsError
        The data name no backend, or not its settings.
    """
    fields = dict(data)
    kind = str(fields.pop("kind", ""))
    if kind not in _KINDS:
        raise UnknownNameError("backend", kind, _KINDS)
    if isinstance(fields.get("gpus"), list):
        fields["gpus"] = tuple(fields["gpus"])
    try:
        if "script" in fields:
            options: dict[str, Any] = dict(fields["script"])
            options["dependencies"] = tuple(options["dependencies"])
            fields["script"] = ScriptOptions(**options)
        return _KINDS[kind](**fields)
    except (TypeError, KeyError) as error:
        raise SettingsError(f"The stored backend cannot be read: {error}") from None
