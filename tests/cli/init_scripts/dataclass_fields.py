"""A dataclass whose fields become arguments one by one."""

import argparse
import dataclasses

import tunewright


@dataclasses.dataclass
class Config:
    lr: float = 0.1
    hidden_units: int = 32
    shuffle: bool = True
    activation: str = "relu"
    steps: int = 4


parser = argparse.ArgumentParser()
for entry in dataclasses.fields(Config):
    parser.add_argument(f"--{entry.name}", type=type(entry.default), default=entry.default)
config = Config(**vars(parser.parse_args()))
assert config.shuffle is True

for step in range(1, config.steps + 1):
    tunewright.report(step=step, nll=config.lr / config.hidden_units / step)
