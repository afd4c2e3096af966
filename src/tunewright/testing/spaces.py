"""Canonical search spaces: whatever handles spaces is tested on all of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tunewright.space import Categorical, FiniteRange, Float, Integer, Ordinal, SearchSpace

ALL_TYPES: Final = SearchSpace(
    {
        "lr": Float(1e-4, 1e-1, log=True),
        "momentum": Float(0.5, 0.999, reverse_log=True),
        "dropout": Float(0.0, 0.6, step=0.1),
        "n_units": Integer(4, 1024, log=True),
        "n_layers": Integer(1, 10, step=3),
        "patience": Integer(1, 64, reverse_log=True),
        "activation": Categorical(["relu", "tanh", "gelu"]),
        "nesterov": Categorical([False, True]),
        "optimizer": Ordinal(["sgd", "momentum", "adam"]),
        "batch_size": Ordinal([16, 32, 64, 256], kind="nearest-log"),
        "warmup": Ordinal([0, 1, 5], kind="nearest"),
        "width": FiniteRange(8, 64, 4, log=True, integer=True),
        "decay": FiniteRange(0.0, 0.3, 4),
        "epochs": 27,
        "dataset": "digits and letters",
    }
)
"""Every type of domain on every scale, and constants."""

CONTINUOUS: Final = SearchSpace({"x": Float(-5.0, 10.0), "y": Float(0.0, 15.0)})
"""Two continuous hyperparameters, linear."""

LOGARITHMIC: Final = SearchSpace({"lr": Float(1e-6, 1.0, log=True), "n_units": Integer(1, 4096, log=True)})
"""Ranges over several orders of magnitude."""

CATEGORICAL: Final = SearchSpace(
    {"activation": Categorical(["relu", "tanh", "gelu"]), "norm": Categorical(["batch", "none"])}
)
"""No order anywhere."""

SMALL: Final = SearchSpace({"depth": Integer(1, 3), "norm": Categorical(["batch", "none"]), "epochs": 9})
"""Six configurations: soon exhausted."""

SINGLE: Final = SearchSpace({"x": Float(0.0, 1.0)})
"""One hyperparameter."""

CONDITIONAL: Final = SearchSpace(
    {
        "optimizer": Categorical(["sgd", "adam", "none"]),
        "lr": Float(1e-4, 1.0, log=True, active_if={"optimizer": ["sgd", "adam"]}),
        "momentum": Float(0.0, 0.99, active_if={"optimizer": "sgd"}),
        "nesterov": Categorical([False, True], active_if={"momentum": 0.99, "optimizer": "sgd"}),
        "n_layers": Integer(1, 3),
        "width_2": Integer(8, 512, log=True, active_if={"n_layers": [2, 3]}),
        "width_3": Ordinal([8, 64, 512], active_if={"n_layers": 3}),
        "norm": Categorical(["batch", "layer", "off"], active_if={"width_3": [64, 512]}),
        "epochs": 9,
    }
)
"""Hyperparameters that are active with some values of others, in chains of two; continuous ones among them."""

BRANCHES: Final = SearchSpace(
    {
        "norm": Categorical(["batch", "none"]),
        "momentum": Categorical([0.1, 0.9, 0.99], active_if={"norm": "batch"}),
        "depth": Integer(1, 2),
        "epochs": 9,
    }
)
"""Eight configurations, six of which have a hyperparameter more."""

RELATED: Final = SearchSpace(
    {
        "width_1": Integer(8, 512, log=True),
        "width_2": Integer(8, 512, log=True),
        "lr": Float(1e-4, 1.0, log=True),
        "dropout": Float(0.0, 0.8, default=0.2),
        "optimizer": Categorical(["sgd", "adam"]),
        "momentum": Float(0.0, 0.99, active_if={"optimizer": "sgd"}),
        "epochs": 9,
    },
    constraints=[
        "width_2 <= width_1",
        "dropout + momentum <= 0.9",
        "optimizer != 'adam' or lr <= 0.05",
    ],
)
"""Hyperparameters whose values must fit each other: a quarter of all draws do. One of them is conditional."""

RELATED_LEVELS: Final = SearchSpace(
    {"depth": Integer(1, 3), "width": Ordinal([8, 16, 32], default=8), "epochs": 9},
    constraints=["depth * width <= 32"],
)
"""Six of nine combinations keep the relation."""

SPACES: Final[Mapping[str, SearchSpace]] = MappingProxyType(
    {
        "all_types": ALL_TYPES,
        "continuous": CONTINUOUS,
        "logarithmic": LOGARITHMIC,
        "categorical": CATEGORICAL,
        "small": SMALL,
        "single": SINGLE,
        "conditional": CONDITIONAL,
    }
)
"""All of them, by name."""
