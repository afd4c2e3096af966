"""Where jobs of the embedded endpoint keep what they install: all of them are this machine."""

from __future__ import annotations

import os

from tunewright.aws import Endpoint, EndpointKind
from tunewright.backends.local.settings import package_cache
from tunewright.runner.requirements import SHARED_VARIABLE


def shared_packages(endpoint: Endpoint) -> dict[str, str]:
    """Variables of a job's environment by which it shares installed packages with other jobs of this machine.

    Parameters
    ----------
    endpoint
        Where the job runs. On AWS an instance shares nothing but the cache of its warm pool: no variables.
    """
    if endpoint.kind is not EndpointKind.EMBEDDED:
        return {}
    return {SHARED_VARIABLE: os.environ.get(SHARED_VARIABLE) or str(package_cache())}
