"""``launch_remote`` with the sagemaker backend; new folders import :mod:`tunewright.cli.launch_remote`."""

from __future__ import annotations

from functools import partial

from tunewright.cli import launch_remote as current

launch_remote = partial(current.launch_remote, backend="sagemaker")
"""See :func:`tunewright.cli.launch_remote.launch_remote`."""
