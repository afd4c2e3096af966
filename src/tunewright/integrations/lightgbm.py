"""LightGBM: ``TunewrightCallback`` reports boosting rounds, and saves the model before each report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from tunewright.integrations import TrialReports, import_framework, wrong_start
from tunewright.report import load_newest, save_checkpoint

_lightgbm: Any = import_framework("lightgbm", "lightgbm")


@final
class TunewrightCallback:
    """Reports ``round`` (boosting rounds done) and the evaluated metrics by data set: ``"valid_0-l2"``.

    A trial that was paused goes on from its model::

        callback = TunewrightCallback("valid-l2")
        lightgbm.train(params, train, args.rounds - callback.n_done, valid_sets=[valid], valid_names=["valid"],
                       init_model=callback.checkpoint, callbacks=[callback])

    Of `lightgbm.cv`, means over folds are reported, and nothing is saved.

    Parameters
    ----------
    metrics
        Metrics to report: one name, several, or a mapping from names in reports to these names. None: all.
    every
        Rounds between reports. The last round is always reported.

    Attributes
    ----------
    checkpoint
        The saved `lightgbm.Booster`; None: begin from scratch.
    n_done
        Its rounds.
    order
        Place among callbacks: after the evaluation is recorded (20), before early stopping (30).

    Raises
    ------
    ValueError
        In training: a metric is not evaluated.
    RuntimeError
        In training: it does not begin with ``checkpoint``.
    """

    order = 25
    before_iteration = False

    def __init__(
        self, metrics: str | Sequence[str] | Mapping[str, str] | None = None, *, every: int = 1
    ) -> None:
        self._reports = TrialReports(metrics)
        self._every = every
        saved = load_newest(lambda path: _lightgbm.Booster(model_file=str(path)))
        self.checkpoint: Any = None if saved is None else saved.state
        self.n_done: int = 0 if saved is None else self.checkpoint.current_iteration()

    def __call__(self, env: Any) -> None:
        """Report the round of a `lightgbm.callback.CallbackEnv` if it is due."""
        if not self._reports.is_active:
            return
        is_cv = not isinstance(env.model, _lightgbm.Booster)
        if env.iteration == env.begin_iteration != self.n_done and not is_cv:
            remedy = "give init_model=callback.checkpoint, and callback.n_done rounds less"
            raise wrong_start(self.n_done, env.begin_iteration, "rounds", remedy)
        logged = {f"{entry[0]}-{entry[1]}": entry[2] for entry in env.evaluation_result_list or ()}
        values = self._reports.select(logged, {"round": env.iteration + 1})
        is_last = env.iteration + 1 == env.end_iteration or self._reports.is_last(values)
        if is_last or (env.iteration + 1) % self._every == 0:
            if not is_cv:
                content = env.model.model_to_string(num_iteration=-1)
                save_checkpoint(
                    self._reports.resource(values), lambda path: path.write_text(content, encoding="utf-8")
                )
            self._reports.send(values)
