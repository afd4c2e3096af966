"""WarnOfMissingResource: a warning about reports without the resource attribute of the experiment."""

from __future__ import annotations

import logging
from typing import final

from typing_extensions import override

from tunewright.exceptions import nearest_hint
from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.trial import Result, Verdict

_log = logging.getLogger(__name__)


@final
class WarnOfMissingResource(Callback):
    """Says at the first result that it lacks the resource, so that reports are counted instead.

    Parameters
    ----------
    resource_attr
        The key of the resource in reports.
    """

    def __init__(self, resource_attr: str) -> None:
        self._name = resource_attr
        self._has_looked = False

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        """Look at the first result."""
        if self._has_looked:
            return
        self._has_looked = True
        if self._name not in result.metrics:
            names = [name for name in result.metrics if not name.startswith("st_")]
            _log.warning(
                "The script's reports lack the resource %r, so they are counted.%s",
                self._name,
                nearest_hint(self._name, names),
            )
