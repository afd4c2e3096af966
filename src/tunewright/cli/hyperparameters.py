"""Search ranges of hyperparameters: by the meaning of a name, otherwise around the default of a script.

The legal values of a known hyperparameter are those of its library's documentation; its range is the part of them that
is usually searched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal, final

NumberType = Literal["float", "int"]

_LIGHTGBM: Final = "https://lightgbm.readthedocs.io/en/stable/Parameters.html"
_XGBOOST: Final = "https://xgboost.readthedocs.io/en/stable/parameter.html"
_SKLEARN: Final = "https://scikit-learn.org/stable/modules/generated/sklearn."
_TORCH: Final = "https://docs.pytorch.org/docs/stable/generated/torch."
_TINY: Final = 1e-12
"""Lower bound of values that must be above 0."""
_BELOW_1: Final = 0.9999
"""Upper bound of values that must be below 1."""
_INF: Final = math.inf


@final
@dataclass(frozen=True, slots=True)
class Known:
    """A hyperparameter of a library.

    Parameters
    ----------
    names
        Its names, separated by blanks.
    type
        ``float`` or ``int``.
    low, high
        The usual range, both included.
    least, most
        Legal values, both included.
    source
        Page of the library's documentation that defines its legal values.
    log
        Whether the range is searched in the logarithm.
    """

    names: str
    type: NumberType
    low: float
    high: float
    least: float
    most: float
    source: str
    log: bool = False


KNOWN: Final[dict[str, tuple[Known, ...]]] = {
    "torch": (
        Known("lr learning_rate base_lr", "float", 1e-4, 0.5, _TINY, _INF, _TORCH + "optim.Adam.html", log=True),
        Known("weight_decay wd", "float", 1e-6, 1e-1, 0, _INF, _TORCH + "optim.AdamW.html", log=True),
        Known("momentum", "float", 0.0, 0.99, 0, _BELOW_1, _TORCH + "optim.SGD.html"),
        Known("dampening", "float", 0.0, 0.9, 0, 1, _TORCH + "optim.SGD.html"),
        Known("beta1 beta_1 adam_beta1", "float", 0.8, 0.99, 0, _BELOW_1, _TORCH + "optim.Adam.html"),
        Known("beta2 beta_2 adam_beta2", "float", 0.9, 0.9999, 0, _BELOW_1, _TORCH + "optim.Adam.html"),
        Known("eps epsilon adam_epsilon", "float", 1e-9, 1e-6, _TINY, _INF, _TORCH + "optim.Adam.html", log=True),
        Known("rho", "float", 0.8, 0.99, 0, 1, _TORCH + "optim.Adadelta.html"),
        Known(
            "dropout dropout_rate dropout_prob dropout_p drop_prob p_drop attention_dropout hidden_dropout",
            "float", 0.0, 0.5, 0, 0.95, _TORCH + "nn.Dropout.html",
        ),
        Known("label_smoothing", "float", 0.0, 0.2, 0, _BELOW_1, _TORCH + "nn.CrossEntropyLoss.html"),
        Known("gamma lr_decay lr_gamma", "float", 0.1, 0.99, _TINY, 1, _TORCH + "optim.lr_scheduler.ExponentialLR.html"),
        Known("step_size", "int", 1, 30, 1, _INF, _TORCH + "optim.lr_scheduler.StepLR.html"),
        Known("pct_start", "float", 0.05, 0.5, 0.01, 0.99, _TORCH + "optim.lr_scheduler.OneCycleLR.html"),
        Known("max_lr", "float", 1e-3, 1.0, _TINY, _INF, _TORCH + "optim.lr_scheduler.OneCycleLR.html", log=True),
        Known(
            "max_norm grad_clip clip_grad clip_norm max_grad_norm",
            "float", 0.1, 10.0, _TINY, _INF, _TORCH + "nn.utils.clip_grad_norm_.html", log=True,
        ),
        Known(
            "batch_size train_batch_size per_device_train_batch_size",
            "int", 16, 256, 1, _INF, "https://docs.pytorch.org/docs/stable/data.html", log=True,
        ),
        Known("num_layers n_layers layers", "int", 1, 6, 1, _INF, _TORCH + "nn.LSTM.html"),
        Known(
            "hidden_size hidden_dim hidden_units n_hidden num_hidden hidden width",
            "int", 16, 512, 1, _INF, _TORCH + "nn.LSTM.html", log=True,
        ),
        Known("out_channels channels n_filters num_filters filters", "int", 8, 256, 1, _INF, _TORCH + "nn.Conv2d.html", log=True),
        Known("negative_slope", "float", 0.01, 0.3, 0, 1, _TORCH + "nn.LeakyReLU.html", log=True),
    ),
    "xgboost": (
        Known("eta learning_rate", "float", 0.01, 0.5, _TINY, 1, _XGBOOST, log=True),
        Known("gamma min_split_loss", "float", 1e-3, 10.0, 0, _INF, _XGBOOST, log=True),
        Known("max_depth", "int", 2, 10, 1, _INF, _XGBOOST),
        Known("min_child_weight", "float", 0.1, 20.0, 0, _INF, _XGBOOST, log=True),
        Known("min_child_weight", "int", 1, 20, 0, _INF, _XGBOOST, log=True),
        Known("max_delta_step", "float", 0.0, 10.0, 0, _INF, _XGBOOST),
        Known("max_delta_step", "int", 0, 10, 0, _INF, _XGBOOST),
        Known("subsample", "float", 0.5, 1.0, 0.01, 1, _XGBOOST),
        Known("colsample_bytree colsample_bylevel colsample_bynode", "float", 0.3, 1.0, 0.01, 1, _XGBOOST),
        Known("lambda reg_lambda", "float", 1e-3, 100.0, 0, _INF, _XGBOOST, log=True),
        Known("alpha reg_alpha", "float", 1e-3, 100.0, 0, _INF, _XGBOOST, log=True),
        Known("scale_pos_weight", "float", 0.1, 10.0, _TINY, _INF, _XGBOOST, log=True),
        Known("max_leaves", "int", 8, 256, 2, _INF, _XGBOOST, log=True),
        Known("max_bin", "int", 64, 512, 2, _INF, _XGBOOST, log=True),
        Known("num_parallel_tree", "int", 1, 8, 1, _INF, _XGBOOST),
        Known("rate_drop", "float", 0.0, 0.5, 0, 1, _XGBOOST),
        Known("skip_drop", "float", 0.0, 0.8, 0, 1, _XGBOOST),
        Known("num_boost_round num_round n_estimators", "int", 50, 1000, 1, _INF, _XGBOOST, log=True),
    ),
    "lightgbm": (
        Known("learning_rate shrinkage_rate eta", "float", 0.01, 0.3, _TINY, _INF, _LIGHTGBM, log=True),
        Known("num_leaves num_leaf max_leaves max_leaf", "int", 8, 256, 2, 131072, _LIGHTGBM, log=True),
        Known("max_depth", "int", 3, 12, 1, _INF, _LIGHTGBM),
        Known(
            "min_data_in_leaf min_data_per_leaf min_data min_child_samples",
            "int", 5, 100, 1, _INF, _LIGHTGBM, log=True,
        ),
        Known(
            "min_sum_hessian_in_leaf min_sum_hessian min_hessian min_child_weight",
            "float", 1e-3, 10.0, 0, _INF, _LIGHTGBM, log=True,
        ),
        Known("bagging_fraction bagging sub_row subsample", "float", 0.5, 1.0, 0.01, 1, _LIGHTGBM),
        Known("bagging_freq subsample_freq", "int", 1, 7, 0, _INF, _LIGHTGBM),
        Known("feature_fraction sub_feature colsample_bytree", "float", 0.4, 1.0, 0.01, 1, _LIGHTGBM),
        Known("feature_fraction_bynode colsample_bynode", "float", 0.4, 1.0, 0.01, 1, _LIGHTGBM),
        Known("lambda_l1 reg_alpha", "float", 1e-6, 10.0, 0, _INF, _LIGHTGBM, log=True),
        Known("lambda_l2 reg_lambda lambda", "float", 1e-6, 10.0, 0, _INF, _LIGHTGBM, log=True),
        Known("min_gain_to_split min_split_gain", "float", 1e-3, 1.0, 0, _INF, _LIGHTGBM, log=True),
        Known("drop_rate", "float", 0.0, 0.5, 0, 1, _LIGHTGBM),
        Known("top_rate", "float", 0.1, 0.5, 0, 0.5, _LIGHTGBM),
        Known("other_rate", "float", 0.05, 0.3, 0, 0.5, _LIGHTGBM),
        Known("max_bin", "int", 63, 511, 2, _INF, _LIGHTGBM, log=True),
        Known("cat_smooth", "float", 1.0, 100.0, 0, _INF, _LIGHTGBM, log=True),
        Known("cat_l2", "float", 1.0, 100.0, 0, _INF, _LIGHTGBM, log=True),
        Known("path_smooth", "float", 0.0, 10.0, 0, _INF, _LIGHTGBM),
        Known("num_iterations num_iteration num_trees num_rounds", "int", 50, 1000, 1, _INF, _LIGHTGBM, log=True),
    ),
    "sklearn": (
        Known("C", "float", 1e-3, 1e3, _TINY, _INF, _SKLEARN + "svm.SVC.html", log=True),
        Known("gamma", "float", 1e-4, 1.0, 0, _INF, _SKLEARN + "svm.SVC.html", log=True),
        Known("coef0", "float", -1.0, 1.0, -_INF, _INF, _SKLEARN + "svm.SVC.html"),
        Known("degree", "int", 2, 5, 0, _INF, _SKLEARN + "svm.SVC.html"),
        Known("tol", "float", 1e-5, 1e-2, _TINY, _INF, _SKLEARN + "svm.SVC.html", log=True),
        Known("epsilon", "float", 1e-3, 1.0, 0, _INF, _SKLEARN + "svm.SVR.html", log=True),
        Known("alpha", "float", 1e-6, 10.0, 0, _INF, _SKLEARN + "linear_model.Ridge.html", log=True),
        Known("l1_ratio", "float", 0.0, 1.0, 0, 1, _SKLEARN + "linear_model.ElasticNet.html"),
        Known("eta0", "float", 1e-4, 1.0, _TINY, _INF, _SKLEARN + "linear_model.SGDClassifier.html", log=True),
        Known("power_t", "float", 0.1, 1.0, 0, _INF, _SKLEARN + "linear_model.SGDClassifier.html"),
        Known("n_neighbors", "int", 1, 30, 1, _INF, _SKLEARN + "neighbors.KNeighborsClassifier.html", log=True),
        Known("var_smoothing", "float", 1e-12, 1e-6, 0, _INF, _SKLEARN + "naive_bayes.GaussianNB.html", log=True),
        Known("n_estimators", "int", 50, 500, 1, _INF, _SKLEARN + "ensemble.RandomForestClassifier.html", log=True),
        Known("max_depth", "int", 2, 20, 1, _INF, _SKLEARN + "ensemble.RandomForestClassifier.html"),
        Known("max_features", "float", 0.1, 1.0, 0.01, 1, _SKLEARN + "ensemble.RandomForestClassifier.html"),
        Known("max_samples", "float", 0.1, 1.0, 0.01, 1, _SKLEARN + "ensemble.RandomForestClassifier.html"),
        Known("max_leaf_nodes", "int", 8, 256, 2, _INF, _SKLEARN + "ensemble.RandomForestClassifier.html", log=True),
        Known("min_samples_split", "int", 2, 20, 2, _INF, _SKLEARN + "ensemble.RandomForestClassifier.html", log=True),
        Known("min_samples_split", "float", 1e-3, 0.2, _TINY, 1, _SKLEARN + "ensemble.RandomForestClassifier.html", log=True),
        Known("min_samples_leaf", "int", 1, 20, 1, _INF, _SKLEARN + "ensemble.RandomForestClassifier.html", log=True),
        Known("min_samples_leaf", "float", 1e-3, 0.2, _TINY, _BELOW_1, _SKLEARN + "ensemble.RandomForestClassifier.html", log=True),
        Known("min_weight_fraction_leaf", "float", 0.0, 0.2, 0, 0.5, _SKLEARN + "ensemble.RandomForestClassifier.html"),
        Known("min_impurity_decrease", "float", 1e-7, 0.1, 0, _INF, _SKLEARN + "ensemble.RandomForestClassifier.html", log=True),
        Known("ccp_alpha", "float", 1e-5, 0.1, 0, _INF, _SKLEARN + "ensemble.RandomForestClassifier.html", log=True),
        Known("learning_rate", "float", 0.01, 0.3, _TINY, _INF, _SKLEARN + "ensemble.GradientBoostingClassifier.html", log=True),
        Known("subsample", "float", 0.5, 1.0, 0.01, 1, _SKLEARN + "ensemble.GradientBoostingClassifier.html"),
        Known("l2_regularization", "float", 1e-6, 10.0, 0, _INF, _SKLEARN + "ensemble.HistGradientBoostingClassifier.html", log=True),
        Known("max_bins", "int", 32, 255, 2, 255, _SKLEARN + "ensemble.HistGradientBoostingClassifier.html", log=True),
        Known("learning_rate_init", "float", 1e-4, 1e-1, _TINY, _INF, _SKLEARN + "neural_network.MLPClassifier.html", log=True),
        Known("hidden_layer_sizes", "int", 16, 256, 1, _INF, _SKLEARN + "neural_network.MLPClassifier.html", log=True),
    ),
}  # fmt: skip
"""Hyperparameters by the import name of their library; a script that imports none of a name's libraries gets its first meaning."""

_NOT_TUNED: Final = re.compile(
    r"""(^|_)(seed|random_state|verbose|verbosity|debug|device|gpus?|local_rank|port|workers?|jobs?|threads?|nthread|cpus?|
    interval|every|freq(uency)?_log|patience|early_stopping(_rounds?)?|n_iter_no_change|folds?|n_splits|cv|
    class(es)?|num_class|samples|n_(train|test|val|valid|features)|(test|val|valid|train)_(size|split|fraction)|
    validation_(fraction|split|size)|(in|out|input|output|image|vocab|cache|leaf)_(size|dim|features)|in_channels|
    (max_)?seq(uence)?_len(gth)?|max_len(gth)?|d_model|embed_dim|(n|num)_?heads?|kernel_size)$""",
    re.VERBOSE | re.IGNORECASE,
)
"""Arguments that change the task, the machine or the output, and sizes that must divide each other."""
_FRACTION: Final = re.compile(r"frac|ratio|prob|sample|momentum|smoothing|share|portion", re.IGNORECASE)


def is_known(name: str) -> bool:
    """Return whether a hyperparameter of this name is known."""
    return any(_named(name))


def is_tuned(name: str) -> bool:
    """Return whether an argument of this name is worth tuning: a seed, for example, is not."""
    return is_known(name) or not _NOT_TUNED.search(name.replace("-", "_"))


def type_of(name: str, imports: Collection[str]) -> NumberType | None:
    """Return the type of a known hyperparameter; None if the name is unknown."""
    known = _known(name, None, imports)
    return None if known is None else known.type


def range_code(name: str, type_: NumberType, default: float | None, imports: Collection[str]) -> str | None:
    """Return the range of a numerical hyperparameter as code, such as ``Float(0.01, 0.3, log=True, default=0.1)``.

    Parameters
    ----------
    name
        Of the hyperparameter.
    type_
        Of its values.
    default
        Its default in the script, which becomes the default of the range; None: unknown.
    imports
        Names of the modules that the script imports.

    Returns
    -------
    str or None
        None if no range can be guessed: a whole number below 0 mostly means "no limit".
    """
    known = _known(name, type_, imports)
    if known is None:
        if default is not None and type_ == "int" and default < 0:
            return None
        range_ = _around(type_, default, *_legal(name, type_, default))
    elif default is None or not known.least <= default <= known.most or (known.log and default <= 0):
        return _code(type_, known.low, known.high, None, is_log=known.log)
    elif known.low <= default <= known.high:
        range_ = (known.low, known.high, known.log)
    else:
        range_ = _around(type_, default, known.least, known.most)
    low, high, is_log = range_
    return _code(type_, low, high, default, is_log=is_log)


def _known(name: str, type_: NumberType | None, imports: Collection[str]) -> Known | None:
    """The hyperparameter of this name, of an imported library if there is one."""
    found = [(library, known) for library, known in _named(name) if type_ in {None, known.type}]
    return next((known for library, known in found if library in imports), found[0][1] if found else None)


def _named(name: str) -> Iterator[tuple[str, Known]]:
    plain = name.replace("-", "_")
    for library, rows in KNOWN.items():
        yield from ((library, known) for known in rows if plain in known.names.split())


def _legal(name: str, type_: NumberType, default: float | None) -> tuple[float, float]:
    """Legal values of an unknown hyperparameter, by its default and its name."""
    if type_ == "int":
        return (0 if default == 0 else 1, math.inf)
    if "drop" in name.lower() and default is not None and 0 <= default < 1:
        return (0.0, 0.95)
    if default is not None and (0 < default < 1 or (0 <= default <= 1 and _FRACTION.search(name))):
        return (0.0, 1.0)
    return (-math.inf, math.inf)


def _around(type_: NumberType, default: float | None, least: float, most: float) -> tuple[float, float, bool]:
    """Bounds around a default inside the legal values, and whether they are searched in the logarithm."""
    if type_ == "int":
        if default is None:
            return (max(1, least), min(64, most), True)
        if default < 1:
            return (least, min(10, most), False)
        return (max(least, default // 4, 1), min(most, default * 4), True)
    if default is None:
        return (max(0.0, least), min(1.0, most), False)
    if default <= 0:
        return (max(2 * default, least), min(0.0 if default < 0 else 1.0, most), False)
    if most <= 1 and default >= 0.2:
        return (max(least, min(0.05, default)), min(most, max(0.95, default)), False)
    return (max(least, default / 10), min(most, default * 10), True)


def _code(type_: NumberType, low: float, high: float, default: float | None, *, is_log: bool) -> str:
    name, number = ("Integer", int) if type_ == "int" else ("Float", _rounded)
    options = ", log=True" if is_log else ""
    if default is not None:
        options += f", default={int(default) if type_ == 'int' else float(default)!r}"
    return f"{name}({number(low)!r}, {number(high)!r}{options})"


def _rounded(bound: float) -> float:
    return float(f"{bound:.6g}")
