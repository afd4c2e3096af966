"""
Ask and tell: a loop of your own
================================

``AskTell`` has no backend: your loop trains, and the method says which configuration. Run it with ``python examples/ask_tell.py``.
"""

from tunewright import AskTell, Float

tuning = AskTell({"lr": Float(1e-4, 1.0, log=True)}, metric="loss", goal="min")
for _ in range(20):
    asked = tuning.ask()
    tuning.tell(asked, {"loss": (asked.config["lr"] - 0.1) ** 2}, resource=1)
    tuning.complete(asked)
print(tuning.best())
