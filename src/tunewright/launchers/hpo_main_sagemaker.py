"""``main`` of ``hpo_main.py`` with the sagemaker backend; new folders import :mod:`tunewright.cli.hpo_main`."""

from __future__ import annotations

from functools import partial

from tunewright.cli import hpo_main

main = partial(hpo_main.main, backend="sagemaker")
"""See :func:`tunewright.cli.hpo_main.main`."""
