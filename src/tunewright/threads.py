"""One BLAS thread for the tuner's process, and none of our making for trials.

With several threads, sums are added up in an order that depends on the machine's load, so that a model's suggestions differ
in the last digits, and a resumed experiment would go another way than an undisturbed one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from typing import Final

THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Environment variables that BLAS libraries read when they are loaded."""
_OURS: Final = "TUNEWRIGHT_THREADS_SET"
"""Names the variables that are not the user's, also for processes that inherit them."""


def use_one_thread(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that BLAS reads when it is loaded, before NumPy is imported; those that the user set win.

    Parameters
    ----------
    environment
        This process's own.
    """
    if any(name in environment for name in THREAD_VARIABLES):
        return
    environment.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    environment[_OURS] = ",".join(THREAD_VARIABLES)


def users_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment without what :func:`use_one_thread` set: for trials, and for what starts them.

    Parameters
    ----------
    environment
        This process's own.
    """
    ours = {_OURS, *environment.get(_OURS, "").split(",")}
    return {name: value for name, value in environment.items() if name not in ours}
