"""The configuration as a JSON file, given to a function."""

import argparse
import json
from pathlib import Path

from tunewright import report


def train(*, momentum: float, width: int = 8, nesterov: bool = False, iterations: int = 4) -> None:
    assert 0 <= momentum < 1
    assert isinstance(nesterov, bool)
    for iteration in range(iterations):
        report(iteration=iteration + 1, reward=width * momentum / (iteration + 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--config_json", type=Path)
    config = json.loads(parser.parse_args().config_json.read_text())
    train(**config)
