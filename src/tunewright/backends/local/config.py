"""Settings of local processes, and the config of the local backend: flags, TOML and stored JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

from tunewright.backends.plugin import BackendConfig
from tunewright.exceptions import SettingsError, UnknownNameError, check_at_least
from tunewright.runner.run_order import AS_CONFIG_JSON, AS_FLAG, AS_LIST, AS_VALUE
from tunewright.storage import package_cache


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """How scripts are run on this machine.

    Raises
    ------
    SettingsError
        A number is out of range, a word is unknown, or a setting lacks the one that it needs.
    """

    n_workers: int = 4
    """Runs at a time."""
    resource_attr: str = ""
    """The reports' key of the resource; empty: reports are counted."""
    max_resource_attr: str = ""
    """The hyperparameter that tells the script its last resource."""
    until_as_max_resource: bool = False
    """Pass a run's ``until`` as ``max_resource_attr``: for scripts that cannot be ended from outside."""
    python: str = sys.executable
    """Interpreter of the runner and of the script, Python >= 3.9."""
    arguments: str = AS_LIST
    """``"list"`` (``--name value``) or ``"config_json"`` (``--config_json FILE``)."""
    booleans: str = AS_VALUE
    """``"value"`` (``--name True``) or ``"flag"`` (``--name`` or nothing)."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the tuner's environment."""
    import_paths: tuple[Path, ...] = ()
    """Put before PYTHONPATH."""
    cwd: Path | None = None
    """The script's working directory; None: the tuner's."""
    channels: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Input folders by name, given to the script as ``SM_CHANNEL_{NAME}``."""
    gpus: tuple[int, ...] | None = None
    """Numbers of the GPUs to use; None: those that this machine has."""
    gpus_per_trial: int = 1
    """How many of them each run gets, where there are any."""
    grace: float = 10.0
    """Seconds that a script has from SIGTERM to SIGKILL."""
    abandon_after: float = 600.0
    """Seconds without a tuner after which a runner ends its script and keeps the checkpoint."""
    max_retries: int = 3
    """How often a run whose runner was lost is begun again."""
    dollars_per_hour: float = 0.0
    """Price of one worker."""
    cache_dir: Path = field(default_factory=package_cache)
    """Where missing packages of a script's ``requirements.txt`` are installed."""

    def __post_init__(self) -> None:
        for name, least in (("n_workers", 1), ("gpus_per_trial", 1), ("max_retries", 0)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("grace", "abandon_after", "dollars_per_hour"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} must not be negative, got {getattr(self, name)}")
        for name, known in (("arguments", (AS_LIST, AS_CONFIG_JSON)), ("booleans", (AS_VALUE, AS_FLAG))):
            if getattr(self, name) not in known:
                raise UnknownNameError(f"value of {name}", getattr(self, name), known)
        if self.until_as_max_resource and not self.max_resource_attr:
            raise SettingsError("until_as_max_resource needs max_resource_attr: the hyperparameter to set")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalConfig(BackendConfig):
    """Trials are processes on this machine.

    Raises
    ------
    SettingsError
        A number is out of range.
    """

    backend_name: ClassVar[str] = "local"
    tuner_instance_type: ClassVar[str] = "ml.c5.4xlarge"

    num_gpus_per_trial: int = 1
    """GPUs of each trial, if there are any."""
    gpus: tuple[int, ...] | None = None
    """Numbers of the GPUs to use (default: all of this machine)."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "num_gpus_per_trial")
