"""The plan of the comparison, from ``plan.toml``: grounds, tasks, budgets, seeds and profiles."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names
from tunewright.blackbox import table_names
from tunewright.blackbox.recipes.lcbench import TASKS
from tunewright.metric import Metric

HERE = Path(__file__).parent
_IDS = {name: task for task, name in TASKS.items()}
"""Data set of LCBench -> its number at OpenML."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Benchmarks of one kind."""

    name: str
    title: str
    benchmark: str
    """Name of a benchmark, with a place for the task."""
    recipe: str
    """Command that gets the tables."""
    suffix: str = ""
    """End of a benchmark's name here, if another ground has the same table."""
    choosing: tuple[str, ...] = ()
    checked: dict[str, float] = field(default_factory=dict)
    """Task -> seconds."""
    judging: dict[str, float] = field(default_factory=dict)
    """Task -> seconds."""
    absent: tuple[str, ...] = ()
    tasks_of: str = ""
    """Another ground that has the same tasks."""
    without_rungs: bool = False
    """Whether trials report once."""
    several: bool = False
    """Whether several objectives are tuned."""
    cost: str = ""
    """Entry of the plan's seeds for all methods of this ground; empty: by method."""
    methods: tuple[str, ...] = ()
    """Labels; empty: all that can be used."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Label -> globs of tasks on which the method is not run: it cannot be used there, or takes too long."""
    n_trials: int | None = None
    """Number of trials instead of a time limit."""
    objectives: dict[str, list[str]] = field(default_factory=dict)
    """Beginning of a task -> metrics."""
    reference: dict[str, list[float]] = field(default_factory=dict)
    """Task -> reference point of the hypervolume, as values of the metrics."""
    peers_table: str = ""
    """File of the peers' tables with these tasks; empty: none."""
    peers_data: str = "."
    """Its folder below the data."""
    peers_task: str = "{}"
    """Name of a task there."""
    peers_offset: float = 0.0
    """Loss here less the peers' loss."""

    def name_of(self, task: str) -> str:
        """Name of a task's benchmark."""
        return self.benchmark.format(task) + self.suffix

    def peers_name(self, task: str) -> str:
        """Name of a task in the peers' tables."""
        return _IDS.get(task, self.peers_task.format(task))

    def has(self, label: str, task: str) -> bool:
        """Whether a method is run on a task."""
        return not any(fnmatch(task, glob) for glob in self.left_out.get(label, ()))

    def tasks(self, kind: str) -> dict[str, float]:
        """Task -> seconds, of ``judging`` or ``checked``."""
        return {"judging": self.judging, "checked": self.checked}[kind]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Delays of simulated runs, and the part of the plan that has them."""

    name: str
    grounds: tuple[str, ...]
    methods: tuple[str, ...] = ()
    """Labels; empty: all."""
    keep_alive: float = 0.0
    """Seconds that an instance waits for another run."""
    extra_seconds: float = 0.0
    """Seconds that budgets are longer."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The whole plan."""

    n_workers: int
    seeds: dict[str, int]
    """Cost of a run -> number of seeds."""
    profiles: dict[str, Profile]
    grounds: dict[str, Ground]

    def definition(
        self, ground: Ground, task: str, profile: Profile, kind: str = "judging"
    ) -> SurrogateBenchmarkDefinition | None:
        """Benchmark of a task; None if its name is known only from a table that is not here."""
        source = ground.benchmark.format(task)
        if source not in simulated_benchmark_names():
            return None
        seconds = None if ground.n_trials else ground.tasks(kind)[task] + profile.extra_seconds
        definition = simulated_benchmark(source)
        metrics = [names for start, names in ground.objectives.items() if task.startswith(start)]
        return replace(
            definition,
            name=ground.name_of(task),
            n_workers=self.n_workers,
            metrics=tuple(map(Metric, metrics[0])) if metrics else definition.metrics,
            max_wallclock_time=seconds,
            max_num_evaluations=None,
        )

    def benchmarks(
        self, ground: Ground, profile: Profile, kind: str = "judging"
    ) -> list[SurrogateBenchmarkDefinition]:
        """Benchmarks of a list whose tables are here."""
        found = [self.definition(ground, task, profile, kind) for task in ground.tasks(kind)]
        here = table_names()
        return [one for one in found if one is not None and one.table in here]


def read_plan(path: Path = HERE / "plan.toml") -> Plan:
    """Read a plan."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    grounds: dict[str, Ground] = {}
    for name, values in data["grounds"].items():
        if other := values.get("tasks_of"):
            same = data["grounds"][other]
            values |= {kind: same[kind] for kind in ("choosing", "checked", "judging")}
        grounds[name] = Ground(
            name=name, **{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        )
    profiles = {
        name: Profile(name=name, **{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
        for name, values in data["profiles"].items()
    }
    return Plan(n_workers=data["n_workers"], seeds=data["seeds"], profiles=profiles, grounds=grounds)


def chosen(patterns: str | None, names: list[str]) -> list[str]:
    """Names that match one of several globs with commas between them; None: all."""
    globs = (patterns or "*").split(",")
    return [name for name in names if any(fnmatch(name, glob.strip()) for glob in globs)]


PLAN = read_plan()
