"""The run order: a runner's complete input, as one JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SESSION = "session"
"""In place of a module's name: the function is one that the tuner's process holds, and cannot be imported."""
AS_LIST = "list"
"""Hyperparameters are passed as ``--name value``."""
AS_HYDRA = "hydra"
"""Hyperparameters are passed as ``name=value``, in the grammar of Hydra's overrides."""
AS_CONFIG_JSON = "config_json"
"""Hyperparameters are passed as ``--config_json FILE``."""
ARGUMENT_STYLES = (AS_LIST, AS_HYDRA, AS_CONFIG_JSON)
TORCHRUN = "torchrun"
"""The script is started by PyTorch's launcher: a process per GPU, or one without GPUs, on each host."""
LAUNCHES = ("", TORCHRUN)
AS_VALUE = "value"
"""A boolean is passed as ``--name True`` or ``--name False``."""
AS_FLAG = "flag"
"""A boolean is passed as ``--name`` when it is true and not at all when it is false."""


def is_of_session(script: str) -> bool:
    """Whether a script is a function that only one process has: ``session:name``."""
    return script.startswith(f"{SESSION}:")


@dataclass(frozen=True)
class RunOrder:
    """One retry of one run.

    Raises
    ------
    ValueError
        ``arguments``, ``booleans`` or ``launch`` is not one of the words of this module.
    """

    script: str
    """Path of a script, or ``module:name`` (or ``path/file.py:name``) of a Python function."""
    config: dict[str, Any]
    """Hyperparameters and constants, by name."""
    checkpoint_dir: str
    """The folder that the script works in; made if it is missing."""
    trial_id: int = 0
    attempt: int = 0
    retry: int = 0
    until: int | None = None
    """End the script at the report of this resource; None: let it end by itself."""
    resume_from: int = 0
    """The resource that the checkpoint holds."""
    checkpoint_from: str = ""
    """Where the channel finds the checkpoint to begin with (a folder, a key); empty: from scratch."""
    resource_attr: str = ""
    """The metric that holds the resource; empty: reports are counted."""
    metric: str = ""
    """The metric that a number returned by a function is; empty: there are several."""
    function_server: str = ""
    """Socket of the server that calls the function, see `function_server`; empty: a new interpreter does."""
    interpreter: str = ""
    """Python of the script; empty: the runner's own. A script that is not ``*.py`` is executed itself."""
    arguments: str = AS_LIST
    booleans: str = AS_VALUE
    prefix: list[str] = field(default_factory=list)
    """Put before the command of the script: a program that starts it on several nodes, such as srun."""
    launch: str = ""
    """TORCHRUN, or empty: one process on each host."""
    config_file: str = ""
    """Where the runner writes the configuration as JSON; needed for ``AS_CONFIG_JSON`` and for functions."""
    import_paths: list[str] = field(default_factory=list)
    """Put before PYTHONPATH."""
    environment: dict[str, str] = field(default_factory=dict)
    """Added to the runner's own environment."""
    secrets: list[str] = field(default_factory=list)
    """Names in ``environment`` whose values must not be in messages."""
    cwd: str = ""
    """Working directory of the script; empty: the runner's."""
    base_dir: str = "/opt/ml"
    """Takes the place of ``/opt/ml``: the SM_* variables point below it."""
    channels: dict[str, str] = field(default_factory=dict)
    """Input folders by name, for SM_CHANNEL_*; those below ``base_dir`` are found without it."""
    cache_dir: str = ""
    """Where packages of a ``requirements.txt`` are installed; shared by concurrent runs."""
    failure_file: str = ""
    """Written with the error text when the script fails."""
    grace: float = 10.0
    """Seconds from SIGTERM to SIGKILL."""
    dollars_per_hour: float = 0.0
    """Price of the machine."""
    cost_before: float = 0.0
    """Dollars of the run's earlier retries."""
    max_seconds: float = 0.0
    """A script that runs longer is ended and has failed; 0: no limit."""

    def __post_init__(self) -> None:
        if self.arguments not in ARGUMENT_STYLES:
            raise ValueError(f"arguments is one of {', '.join(ARGUMENT_STYLES)}, not {self.arguments!r}")
        if self.booleans not in (AS_VALUE, AS_FLAG):
            raise ValueError(f"booleans is {AS_VALUE!r} or {AS_FLAG!r}, not {self.booleans!r}")
        if self.launch not in LAUNCHES:
            raise ValueError(f"launch is {TORCHRUN!r} or empty, not {self.launch!r}")

    @property
    def name(self) -> str:
        """``{trial}-{attempt}-{retry}``, as in job names and keys."""
        return f"{self.trial_id}-{self.attempt}-{self.retry}"

    @property
    def function(self) -> str:
        """``module:name`` if the order names a Python function; empty for scripts."""
        return self.script if place_and_function(self.script)[1] else ""

    @property
    def is_of_session(self) -> bool:
        """Whether the function is one that only the tuner's process has."""
        return is_of_session(self.script)

    @property
    def script_file(self) -> str:
        """The file of the script or of the function's module, below ``cwd`` or absolute."""
        place, function = place_and_function(self.script)
        return place.replace(".", "/") + ".py" if function and not place.endswith(".py") else place

    def to_json(self) -> str:
        """The order as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunOrder:
        """The order of a JSON text; entries that this version does not know are left out."""
        known = {entry.name for entry in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})


def place_and_function(script: str) -> tuple[str, str]:
    """The parts of ``path/file.py:name`` or ``module:name``; a file that is run as a program has no function: ``""``."""
    place, _, name = script.rpartition(":")
    return (place, name) if place and name.isidentifier() else (script, "")
