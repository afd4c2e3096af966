"""Lightning: ``TunewrightCallback`` reports epochs, and saves the trainer before each report."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from tunewright.integrations import TrialReports, import_framework, wrong_start
from tunewright.report import checkpoint_dir, load_newest, save_checkpoint

_lightning: Any = import_framework("lightning", "lightning.pytorch", "pytorch_lightning")


@final
class TunewrightCallback(_lightning.Callback):
    """Reports ``epoch`` (epochs done), ``step`` (optimizer steps) and logged metrics at the end of each validated epoch.

    The process of rank zero reports. A trial that was paused goes on from its checkpoint::

        callback = TunewrightCallback("val_loss")
        trainer = lightning.Trainer(max_epochs=args.epochs, callbacks=[callback], enable_checkpointing=False)
        trainer.fit(model, data, ckpt_path=callback.checkpoint)

    Parameters
    ----------
    metrics
        Metrics to report: one name, several, or a mapping from names in reports to logged names. None: all that are logged.

    Attributes
    ----------
    checkpoint
        Path of the newest checkpoint; None: begin from scratch.

    Raises
    ------
    ValueError
        In training: a metric is not logged.
    RuntimeError
        In training: it does not begin with ``checkpoint``, or a strategy shards its checkpoints.
    """

    def __init__(self, metrics: str | Sequence[str] | Mapping[str, str] | None = None) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType] - its types are not installed
        self._reports = TrialReports(metrics)
        self._has_validated = False
        saved = load_newest(str)
        self.checkpoint: str | None = None if saved is None else saved.state

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Check that the training begins with the checkpoint."""
        if self.checkpoint is not None and trainer.global_step == 0:
            remedy = "call trainer.fit(..., ckpt_path=callback.checkpoint)"
            raise wrong_start(int(Path(self.checkpoint).name.split("-")[1]), 0, "epochs", remedy)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Note that this epoch has validation metrics."""
        self._has_validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Save the trainer and report, if the epoch was validated or there is no validation."""
        is_due = self._has_validated or not trainer.enable_validation
        self._has_validated = False
        if not self._reports.is_active or not is_due:
            return
        progress = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        values = self._reports.select(trainer.callback_metrics, progress)
        partial = Path(checkpoint_dir() or "", ".partial-lightning")
        if self._reports.is_last(values) and threading.current_thread() is threading.main_thread():
            # Lightning's handler leaves the end to the next batch, which does not come. The next line lets all processes meet, so that none has
            # the handler when the first one reports.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        trainer.save_checkpoint(partial, weights_only=False)  # a collective operation
        if trainer.is_global_zero:
            if partial.is_dir():
                raise RuntimeError(
                    "The strategy shards its checkpoints: choose one file, as in FSDPStrategy(state_dict_type='full')"
                )
            save_checkpoint(self._reports.resource(values), partial.replace)
            self._reports.send(values)
