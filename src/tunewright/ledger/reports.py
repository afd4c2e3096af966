"""What counts in a report: numbers under names; everything else is named and left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from tunewright.exceptions import nearest_hint
from tunewright.metric import Metric
from tunewright.trial import Checkpoint


def clean_metrics(reported: Mapping[str, object]) -> Mapping[str, float] | None:
    """The report itself where all its values are floats, else None."""
    for value in reported.values():
        if type(value) is not float:
            return None
    return cast("Mapping[str, float]", reported)


def numbers_only(reported: Mapping[str, object], warn_once: Callable[[str, str], None]) -> dict[str, float]:
    """The numbers of a report as floats.

    Parameters
    ----------
    reported
        What the script printed.
    warn_once
        Called with (key, text) for what is left out.
    """
    numbers: dict[str, float] = {}
    for name, value in reported.items():
        if type(value) is float:
            numbers[name] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[name] = float(value)
        else:
            warn_once(name, f"The reported {name!r} is {value!r:.60}, not a number: it is left out")
    return numbers


def missing_metric(
    metrics: Sequence[Metric], found: Mapping[str, float], reported: Mapping[str, object]
) -> str:
    """Say which tuned metric a report lacks, and what was probably meant; empty where it lacks none."""
    for metric in metrics:
        if metric.name in found:
            continue
        if metric.name in reported:
            value = reported[metric.name]
            return f"The script reported {metric.name!r} as {value!r:.60}, which is not a number"
        names = [name for name in reported if not name.startswith("st_")]
        return (
            f"The script's report lacks the tuned metric {metric.name!r}.{nearest_hint(metric.name, names)}"
        )
    return ""


def checkpoint_line(checkpoint: Checkpoint | None) -> dict[str, int] | None:
    """A checkpoint as it stands in the journal."""
    return None if checkpoint is None else {"trial_id": checkpoint.trial_id, "resource": checkpoint.resource}


def checkpoint_of(line: Mapping[str, Any] | None) -> Checkpoint | None:
    """The checkpoint that a journal line names."""
    return None if line is None else Checkpoint(trial_id=line["trial_id"], resource=line["resource"])
