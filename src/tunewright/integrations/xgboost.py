"""XGBoost: ``TunewrightCallback`` reports boosting rounds, and saves the model before each report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from tunewright.integrations import TrialReports, import_framework, wrong_start
from tunewright.report import load_newest, save_checkpoint

_xgboost: Any = import_framework("xgboost", "xgboost")


@final
class TunewrightCallback(_xgboost.callback.TrainingCallback):
    """Reports ``round`` (boosting rounds done) and the evaluated metrics, named as XGBoost prints them: ``"valid-rmse"``.

    A trial that was paused goes on from its model::

        callback = TunewrightCallback("valid-rmse")
        xgboost.train(params, train, args.rounds - callback.n_done, evals=[(valid, "valid")],
                      xgb_model=callback.checkpoint, callbacks=[callback])

    Of `xgboost.cv`, means over folds are reported, and nothing is saved.

    Parameters
    ----------
    metrics
        Metrics to report: one name, several, or a mapping from names in reports to XGBoost's names. None: all.
    every
        Rounds between reports. The last round is always reported.

    Attributes
    ----------
    checkpoint
        The saved `xgboost.Booster`; None: begin from scratch.
    n_done
        Its rounds.

    Raises
    ------
    ValueError
        In training: a metric is not evaluated.
    RuntimeError
        In training: it does not begin with ``checkpoint``.
    """

    def __init__(
        self, metrics: str | Sequence[str] | Mapping[str, str] | None = None, *, every: int = 1
    ) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType] - its types are not installed
        self._reports = TrialReports(metrics)
        self._every = every
        self._unreported: dict[str, Any] = {}
        saved = load_newest(_read)
        self.checkpoint: Any = None if saved is None else saved.state
        self.n_done: int = 0 if saved is None else self.checkpoint.num_boosted_rounds()

    def before_training(self, model: Any) -> Any:
        """Check that the model is the saved one."""
        if self._reports.is_active and not _is_cv(model) and model.num_boosted_rounds() != self.n_done:
            remedy = "give xgb_model=callback.checkpoint, and callback.n_done rounds less"
            raise wrong_start(self.n_done, model.num_boosted_rounds(), "rounds", remedy)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
        """Report the round if it is due."""
        if not self._reports.is_active:
            return False
        logged = {
            f"{data}-{metric}": _mean(history[-1])
            for data, histories in evals_log.items()
            for metric, history in histories.items()
        }
        n_rounds = self.n_done + epoch + 1
        self._unreported = self._reports.select(logged, {"round": n_rounds})
        if n_rounds % self._every == 0 or self._reports.is_last(self._unreported):
            self._report(model)
        return False

    def after_training(self, model: Any) -> Any:
        """Report the last round."""
        if self._unreported:
            self._report(model)
        return model

    def _report(self, model: Any) -> None:
        values, self._unreported = self._unreported, {}
        if not _is_cv(model):
            content = model.save_raw(raw_format="ubj")
            save_checkpoint(self._reports.resource(values), lambda path: path.write_bytes(content))
        self._reports.send(values)


def _read(path: Path) -> Any:
    return _xgboost.Booster(model_file=bytearray(path.read_bytes()))


def _is_cv(model: Any) -> bool:
    """Whether this is the group of models of `xgboost.cv`."""
    return not isinstance(model, _xgboost.Booster)


def _mean(value: float | tuple[float, float]) -> float:
    """The value of a metric; of cross-validation the mean, which has its standard deviation beside it."""
    return float(value[0] if isinstance(value, tuple) else value)
