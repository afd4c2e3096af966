"""Cells of the plan: experiments of a part of it, and the number of seeds that each method gets."""

from __future__ import annotations

from collections.abc import Iterable

from baselines import SEVERAL, WITHOUT_RUNGS, cost_of, methods
from plan import PLAN, Ground, Profile

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.experiments import Experiment, Limits


def tag_of(profile: Profile) -> str:
    """Tag of a profile's experiments."""
    return f"comparison-{profile.name}"


def n_seeds(ground: Ground, profile: Profile) -> dict[str, int]:
    """Method -> planned number of seeds on a ground."""
    if ground.several:
        labels = list(SEVERAL)
    else:
        labels = list(ground.methods or (WITHOUT_RUNGS if ground.without_rungs else methods))
    return {
        label: PLAN.seeds[ground.cost or cost_of(label)]
        for label in labels
        if not profile.methods or label in profile.methods
    }


def n_tasks(ground: Ground, label: str) -> int:
    """Number of judging tasks of a ground on which a method is run."""
    return sum(ground.has(label, task) for task in ground.judging)


def cells(
    profile: Profile, grounds: Iterable[Ground], labels: Iterable[str], seeds: range, kind: str
) -> list[Experiment]:
    """Experiments of a part of the plan: seed by seed, so that an interrupted run compares all methods on some seeds."""
    wanted = set(labels)
    backend = SimulatedConfig(profile=profile.name, keep_alive=profile.keep_alive)
    found: list[Experiment] = []
    for seed in seeds:
        for ground in grounds:
            known = SEVERAL if ground.several else methods
            planned = n_seeds(ground, profile)
            tasks = {ground.name_of(task): task for task in ground.tasks(kind)}
            for benchmark in PLAN.benchmarks(ground, profile, kind):
                limits = Limits(
                    max_wallclock_time=benchmark.max_wallclock_time, max_num_trials=ground.n_trials
                )
                found += [
                    Experiment(
                        tag=tag_of(profile),
                        benchmark=benchmark,
                        method=known[label],
                        label=label,
                        backend=backend,
                        seed=seed,
                        seed_per_benchmark=True,
                        limits=limits,
                    )
                    for label, most in planned.items()
                    if label in wanted and seed < most and ground.has(label, tasks[benchmark.name])
                ]
    return found
