"""
Ask and tell with pauses
========================

A loop of your own with a method that pauses trials: FreezeThaw predicts each learning curve, and goes on with the trial that promises most.
Every run begins where the trial was paused, so that the loop keeps checkpoints. Run it with ``python examples/freeze_thaw.py``.
"""

from __future__ import annotations

from tunewright import AskTell, Float

N_EPOCHS = 27
SPACE = {"lr": Float(1e-4, 1.0, log=True), "momentum": Float(0.0, 0.99)}


def train_one_epoch(loss: float, lr: float, momentum: float) -> float:
    """One epoch: the loss falls towards a limit that depends on the configuration."""
    limit = 0.1 + (lr - 0.1) ** 2 + (momentum - 0.9) ** 2
    return limit + (loss - limit) * 0.7


# %%
# ``tell`` returns the decision: train on, pause, or stop. ``resume_from`` is the epoch at which a run begins.


def main() -> None:
    """Train until 300 epochs are spent."""
    tuning = AskTell(SPACE, metric="loss", method="FreezeThaw", max_resource=N_EPOCHS)
    checkpoints: dict[int, float] = {}
    n_epochs = n_resumed = 0
    while n_epochs < 300 and (asked := tuning.ask()) is not None:
        loss = checkpoints.get(asked.trial_id, 2.0)
        n_resumed += asked.resume_from > 0
        for epoch in range(asked.resume_from + 1, N_EPOCHS + 1):
            loss = checkpoints[asked.trial_id] = train_one_epoch(loss, **asked.config)
            n_epochs += 1
            if tuning.tell(asked, {"loss": loss}, resource=epoch).decision != "continue":
                break
        else:
            tuning.complete(asked)
    print(f"{tuning.history.n_trials} trials, {n_resumed} times one went on, {n_epochs} epochs")
    print(tuning.best())


if __name__ == "__main__":
    main()
