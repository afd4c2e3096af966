"""typer: options by annotations, by defaults, and with a name of their own; a flag and an enumeration."""

from enum import StrEnum
from typing import Annotated

import typer

from tunewright import report


class Optimizer(StrEnum):
    sgd = "sgd"
    adam = "adam"


app = typer.Typer()


@app.command()
def train(
    learning_rate: float = 0.1,
    width: Annotated[int, typer.Option("--hidden", help="units")] = 16,
    optimizer: Optimizer = Optimizer.adam,
    dropout: float = typer.Option(0.0, "--drop", "-d"),
    n_epochs: int = typer.Option(3),
    nesterov: bool = False,
    sizes: list[int] = typer.Option([1]),  # noqa: B008 - the older style
    seed: int = 0,
):
    assert 0 <= dropout < 1
    assert sizes == [1]
    for epoch in range(n_epochs):
        report(epoch=epoch + 1, val_auc=learning_rate * width * len(optimizer.value) + nesterov + seed)


if __name__ == "__main__":
    app()
