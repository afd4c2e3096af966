"""Random streams: every random number is a function of (seed, purpose, count)."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Final

import numpy as np

_BOUND_0_1: Final = 2**31 - 1


class Stream(IntEnum):
    """Purposes of random numbers. The integers are part of the journal's meaning: never renumber them."""

    CONFIG = 0
    """Drawing configurations; counted in trials begun."""
    BRACKET = 1
    """Drawing the bracket of a new trial; counted in runs begun."""
    GRID = 2
    """Drawing from a shuffled grid; counted in trials begun."""
    MODEL = 3
    """Fits and acquisition of surrogate models; counted in runs begun."""
    TABLE = 4
    """Which of a blackbox's recorded seeds a trial follows; the count is the trial's id."""
    EVOLUTION = 5
    """Parents, mutation and crossover of evolving populations; counted in runs begun."""
    ARM = 6
    """Which searcher of a mixture proposes a new trial; counted in trials begun."""
    DESIGN = 7
    """First points of a round of local search; counted in rounds begun."""


def generator(seed: int, stream: Stream, count: int) -> np.random.Generator:
    """The generator of one purpose at one point of the experiment.

    Parameters
    ----------
    seed
        The experiment's seed, >= 0.
    stream
        What the numbers are for.
    count
        Trials begun for ``CONFIG``, ``GRID`` and ``ARM`` (so that methods and backends share random numbers), runs begun for the rest.

    Returns
    -------
    numpy.random.Generator
        Always the same one for the same arguments, on every machine.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(int(stream), count))
    return np.random.Generator(np.random.PCG64(sequence))


def effective_seed(seed: int, random_seed: int, benchmark: str | None = None) -> int:
    """Return the seed of all random numbers of an experiment.

    Parameters
    ----------
    seed
        Number of the repetition, >= 0.
    random_seed
        Master seed, >= 0. With 0 the effective seed is ``seed``; any other is mixed with it by ``SeedSequence``, so
        that plans with other master seeds share no random numbers.
    benchmark
        Name that is mixed with both, so that benchmarks share no random numbers; None: one seed is the same on all.

    Returns
    -------
    int
        From 0 to 2**63 - 1.
    """
    if random_seed == 0 and benchmark is None:
        return effective_seed_0_1(seed, 0)
    key = () if benchmark is None else (_number_of(benchmark),)
    (state,) = np.random.SeedSequence((random_seed, seed), spawn_key=key).generate_state(1, np.uint64)
    return int(state >> np.uint64(1))


def _number_of(name: str) -> int:
    """64 bits of a name's SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def effective_seed_0_1(seed: int, random_seed: int) -> int:
    """Return the effective seed as version 0.1 computed it; for its stored experiments."""
    return (random_seed + seed) % _BOUND_0_1
