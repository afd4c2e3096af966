"""A backend on any engine that runs jobs: a job service and a channel make one.

:mod:`job_service` and :mod:`channel` are the ports that an engine implements; :class:`EngineBackend` with
:class:`JobDispatcher` (a job per run) or :class:`WorkerDispatcher` (long jobs that take run after run) is the rest. An engine whose jobs
see a folder of the tuner needs a subclass of :class:`FolderJobs`, see :mod:`folder_backend`.
"""

from __future__ import annotations

from tunewright.backends.engine.backend import EngineBackend
from tunewright.backends.engine.context import EngineContext, EngineSettings, Notices, ServiceTime
from tunewright.backends.engine.folder_backend import (
    FolderBackend,
    FolderJob,
    FolderJobs,
    folder_engine,
    worker_times,
)
from tunewright.backends.engine.folder_channel import channel_for
from tunewright.backends.engine.jobs import JobDispatcher
from tunewright.backends.engine.workers import WorkerDispatcher

__all__ = [
    "EngineBackend",
    "EngineContext",
    "EngineSettings",
    "FolderBackend",
    "FolderJob",
    "FolderJobs",
    "JobDispatcher",
    "Notices",
    "ServiceTime",
    "WorkerDispatcher",
    "channel_for",
    "folder_engine",
    "worker_times",
]
