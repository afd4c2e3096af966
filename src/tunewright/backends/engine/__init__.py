"""A backend on any engine that runs jobs: a job service and a channel make one.

:mod:`job_service` and :mod:`channel` are the ports that an engine implements; :class:`EngineBackend` with
:class:`JobDispatcher` (a job per run) or :class:`WorkerDispatcher` (long jobs that take run after run) is the rest.
"""

from __future__ import annotations

from tunewright.backends.engine.backend import EngineBackend
from tunewright.backends.engine.context import EngineContext, EngineSettings, Notices, ServiceTime
from tunewright.backends.engine.jobs import JobDispatcher
from tunewright.backends.engine.workers import WorkerDispatcher

__all__ = [
    "EngineBackend",
    "EngineContext",
    "EngineSettings",
    "JobDispatcher",
    "Notices",
    "ServiceTime",
    "WorkerDispatcher",
]
