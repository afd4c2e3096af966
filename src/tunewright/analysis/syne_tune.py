"""Results folders of Syne Tune: ``metadata.json`` and ``results.csv.zip`` (as its versions 0.3 to 0.13 write them)."""

# Adapter of pandas, which has no stubs.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunewright.analysis.columns import DECISIONS, Columns, Totals
from tunewright.analysis.extras import need
from tunewright.analysis.results import ExperimentInfo
from tunewright.exceptions import SettingsError
from tunewright.metric import Goal, Metric
from tunewright.trial import ExperimentStatus

if TYPE_CHECKING:
    from pandas import DataFrame


_RESOURCES: Final = ("epoch", "hp_epoch", "epochs", "step", "st_worker_iter")
_OWN: Final = ("trial_id", "st_decision", "st_status", "st_tuner_time")
_DECISIONS: Final = {"CONTINUE": 0, "PAUSE": 1, "STOP": 2}


def is_syne_tune(path: Path) -> bool:
    """Whether a folder was written by Syne Tune: it has results, but no journal."""
    return (path / "results.csv.zip").is_file() and not (path / "journal.jsonl").exists()


def read_syne_tune(path: Path, metadata: Mapping[str, Any]) -> tuple[ExperimentInfo, Columns]:
    """The experiment in a folder of Syne Tune.

    Raises
    ------
    SettingsError
        The files are not in the format of Syne Tune.
    MissingExtraError
        pandas is not installed.
    """
    pandas = need("pandas", "Reading results of Syne Tune")
    try:
        frame = pandas.read_csv(path / "results.csv.zip").sort_values("st_tuner_time", kind="stable")
        columns = _columns(frame, metadata)
        return _info(path, metadata, frame, columns), columns
    except (KeyError, TypeError, ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise SettingsError(f"{path} does not hold results as Syne Tune writes them: {error!r}") from None


def _columns(frame: DataFrame, metadata: Mapping[str, Any]) -> Columns:
    resource = _resource(metadata, frame)
    numbers = frame.select_dtypes("number")
    metrics = [
        name
        for name in numbers.columns
        if name not in _OWN and not name.startswith(("config_", "st_")) and name != resource
    ]
    return Columns(
        time=frame["st_tuner_time"].to_numpy(np.float64),
        trial=frame["trial_id"].to_numpy(np.int64),
        resource=frame[resource].to_numpy(np.int64)
        if resource
        else frame.groupby("trial_id").cumcount().to_numpy() + 1,
        decision=np.array(
            [_DECISIONS.get(decision, DECISIONS.index("continue")) for decision in frame["st_decision"]],
            dtype=np.int64,
        ),
        metrics={name: numbers[name].to_numpy(np.float64) for name in metrics},
    )


def _resource(metadata: Mapping[str, Any], frame: DataFrame) -> str | None:
    recorded = metadata.get("resource_attr")
    return next((name for name in (recorded, *_RESOURCES) if name in frame.columns), None)


def _info(path: Path, metadata: Mapping[str, Any], frame: DataFrame, columns: Columns) -> ExperimentInfo:
    is_simulated = any(
        word in str(metadata.get("backend", "")) for word in ("Simulator", "BlackboxRepository", "Tabulated")
    )
    is_surrogate = bool(metadata.get("surrogate") or metadata.get("predict_curves"))
    return ExperimentInfo(
        name=path.name,
        path=path,
        tag=str(metadata.get("tag", path.parent.name)),
        method=str(metadata.get("algorithm") or metadata.get("scheduler_name") or "unknown"),
        benchmark=str(metadata.get("benchmark") or metadata.get("entrypoint") or "unknown"),
        seed=int(metadata.get("seed") or 0),
        effective_seed=int(metadata.get("seed") or 0),
        metrics=_metrics(metadata),
        clock="simulated" if is_simulated else "wall",
        values="surrogate" if is_surrogate else ("recorded" if is_simulated else "measured"),
        note="read from results of Syne Tune; they do not always say whether values are predicted",
        resource=_resource(metadata, frame) or "report",
        n_workers=metadata.get("n_workers"),
        max_time=metadata.get("max_wallclock_time"),
        totals=Totals(
            status=ExperimentStatus.STOPPED,  # by a time limit, for most experiments
            end_time=float(columns.time[-1]) if columns.size else 0.0,
            n_trials=len(np.unique(columns.trial)),
            n_runs=0,
            suggest_time=0.0,
            cost=0.0,
        ),
        metadata=metadata,
    )


def _metrics(metadata: Mapping[str, Any]) -> tuple[Metric, ...]:
    names: Sequence[str] = metadata["metric_names"]
    modes: str | Sequence[str] = metadata["metric_mode"]
    modes = [modes] * len(names) if isinstance(modes, str) else modes
    goals = (Goal.MAXIMIZE if mode == "max" else Goal.MINIMIZE for mode in modes)
    return tuple(map(Metric, names, goals))
