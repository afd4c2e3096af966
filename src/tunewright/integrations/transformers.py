"""Hugging Face: ``TunewrightCallback`` of a ``transformers.Trainer`` reports evaluations, and has it save before each report."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from tunewright.integrations import TrialReports, import_framework, newest_first, wrong_start
from tunewright.report import checkpoint_dir

_transformers: Any = import_framework("transformers", "transformers")
_MARKER = "tunewright.json"
"""File of a complete checkpoint: its resource."""


@final
class TunewrightCallback(_transformers.TrainerCallback):
    """Reports ``epoch``, ``step`` (optimizer steps) and the metrics of each evaluation, such as ``"eval_loss"``.

    The process of rank zero reports. A trial that was paused goes on from its checkpoint::

        callback = TunewrightCallback("eval_loss")
        arguments = TrainingArguments("output", eval_strategy="epoch", num_train_epochs=args.epochs)
        trainer = Trainer(model, arguments, train_dataset=train, eval_dataset=valid, callbacks=[callback])
        trainer.train(resume_from_checkpoint=callback.checkpoint)

    While it trains, the trainer's output folder is the trial's folder of checkpoints. ``save_total_limit`` is 2 if it is not given.

    Parameters
    ----------
    metrics
        Metrics to report: one name, several, or a mapping from names in reports to names of the evaluation. None: all.

    Attributes
    ----------
    checkpoint
        Folder of the newest checkpoint; None: begin from scratch.

    Raises
    ------
    ValueError
        In training: a metric is not evaluated, or there is no evaluation.
    RuntimeError
        In training: it does not begin with ``checkpoint``.
    """

    def __init__(self, metrics: str | Sequence[str] | Mapping[str, str] | None = None) -> None:
        self._reports = TrialReports(metrics)
        self._values: dict[str, Any] = {}
        self._output_dir = ""
        self._first_step = 0
        self.checkpoint: str | None = _newest_checkpoint(checkpoint_dir())

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Have checkpoints saved in the trial's folder."""
        if not self._reports.is_active:
            return
        if args.eval_strategy == "no":
            raise ValueError(
                "Evaluations are reported: set eval_strategy='epoch' (or 'steps') in TrainingArguments"
            )
        if self.checkpoint is not None and state.global_step == 0:
            done = int(self.checkpoint.rpartition("-")[2])
            remedy = "call trainer.train(resume_from_checkpoint=callback.checkpoint)"
            raise wrong_start(done, 0, "steps", remedy)
        self._first_step = state.global_step
        self._output_dir, args.output_dir = args.output_dir, str(checkpoint_dir())
        args.save_total_limit = args.save_total_limit or 2

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **kwargs: Any
    ) -> None:
        """Have a checkpoint saved."""
        if (
            self._output_dir and state.global_step > self._first_step
        ):  # not of eval_on_start, nor after training
            progress = {"epoch": _whole(state.epoch), "step": state.global_step}
            self._values = self._reports.select(metrics, progress)
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the evaluation whose checkpoint is saved now."""
        values, self._values = self._values, {}
        if values and state.is_world_process_zero:
            folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
            partial = folder / f".{_MARKER}"
            partial.write_text(json.dumps({"resource": self._reports.resource(values)}), encoding="utf-8")
            partial.replace(folder / _MARKER)
            self._reports.send(values)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Give the trainer its output folder back."""
        if self._output_dir:
            args.output_dir, self._output_dir = self._output_dir, ""


def _newest_checkpoint(folder: Path | None) -> str | None:
    """The complete checkpoint to go on from."""
    markers = folder.glob(f"checkpoint-*/{_MARKER}") if folder else ()
    resources = {
        os.fspath(path.parent): json.loads(path.read_text(encoding="utf-8"))["resource"] for path in markers
    }
    return next(iter(newest_first(resources)), None)


def _whole(epoch: float) -> float:
    """The epoch as an integer if it is one but for rounding."""
    return round(epoch) if abs(epoch - round(epoch)) < 1e-6 else epoch
