"""Keras: ``TunewrightCallback`` reports epochs, and saves weights and optimizer before each report."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from tunewright.integrations import TrialReports, import_framework, wrong_start
from tunewright.report import load_newest, save_checkpoint

_keras: Any = import_framework("keras", "keras")


@final
class TunewrightCallback(_keras.callbacks.Callback):
    """Reports ``epoch`` (epochs done) and the logs of each epoch, such as ``"val_loss"``.

    A trial that was paused goes on from its checkpoint, which the callback loads::

        callback = TunewrightCallback("val_loss")
        model.fit(x, y, epochs=args.epochs, initial_epoch=callback.initial_epoch,
                  validation_data=valid, callbacks=[callback])

    The model must be built before `fit`, by an ``Input`` layer or a call of ``build``.

    Parameters
    ----------
    metrics
        Metrics to report: one name, several, or a mapping from names in reports to Keras's names. None: all.

    Attributes
    ----------
    initial_epoch
        Epochs in the checkpoint; 0: begin from scratch.

    Raises
    ------
    ValueError
        In training: a metric is not logged, or a resumed model is not built.
    RuntimeError
        In training: it does not begin with ``initial_epoch``.
    """

    def __init__(self, metrics: str | Sequence[str] | Mapping[str, str] | None = None) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType] - its types are not installed
        self._reports = TrialReports(metrics)
        saved = load_newest(str)
        self._path = "" if saved is None else str(saved.state)
        self.initial_epoch: int = 0 if saved is None else saved.step
        self._has_begun = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Load the checkpoint."""
        if not self._path:
            return
        if not self.model.built:
            raise ValueError(
                "The model must be built before it goes on from a checkpoint: begin it with keras.Input"
            )
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder, "model.weights.h5")  # Keras goes by the name
            link.symlink_to(Path(self._path).absolute())
            self.model.load_weights(link)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Check that the first epoch is the one after the checkpoint."""
        if self._reports.is_active and not self._has_begun and epoch != self.initial_epoch:
            remedy = "call model.fit(..., initial_epoch=callback.initial_epoch)"
            raise wrong_start(self.initial_epoch, epoch, "epochs", remedy)
        self._has_begun = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Save weights and optimizer, and report the epoch."""
        if not self._reports.is_active:
            return
        values = self._reports.select(logs or {}, {"epoch": epoch + 1})
        save_checkpoint(epoch + 1, self._save)
        self._reports.send(values)

    def _save(self, path: Path) -> None:
        file = path.with_name(f"{path.name}.weights.h5")
        self.model.save_weights(file, overwrite=True)
        file.replace(path)
