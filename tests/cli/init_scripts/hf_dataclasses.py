"""Transformers: dataclasses with a base, fields with choices, a boolean, and a list."""

from dataclasses import dataclass, field
from typing import Literal

from transformers import HfArgumentParser

from tunewright import Reporter


@dataclass
class Common:
    seed: int = 0
    weight_decay: float = field(default=0.01, metadata={"help": "of AdamW"})


@dataclass
class ModelArguments:
    dropout: float | None = 0.1
    pooling: Literal["mean", "first"] = "mean"
    layers: list[int] = field(default_factory=lambda: [2])


@dataclass
class TrainArguments(Common):
    learning_rate: float = field(default=2e-5)
    fp16: bool = False
    num_train_epochs: int = 3


def main():
    model, train = HfArgumentParser((ModelArguments, TrainArguments)).parse_args_into_dataclasses()
    assert model.pooling in {"mean", "first"}
    assert model.layers == [2]
    assert isinstance(train.fp16, bool)
    report = Reporter()
    for epoch in range(train.num_train_epochs):
        report(epoch=epoch + 1, eval_f1=train.learning_rate * train.weight_decay + model.dropout)


if __name__ == "__main__":
    main()
