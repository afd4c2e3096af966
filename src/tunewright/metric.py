"""Metrics, their goals and constraints; losses, which are always minimised."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast, final

from tunewright.exceptions import SettingsError

_MAXIMISED: Final = frozenset(
    [
        "acc",
        "accuracy",
        "auc",
        "auroc",
        "auprc",
        "aupr",
        "f1",
        "fscore",
        "fbeta",
        "r2",
        "score",
        "reward",
        "return",
        "precision",
        "recall",
        "sensitivity",
        "specificity",
        "bleu",
        "rouge",
        "meteor",
        "corr",
        "correlation",
        "spearmanr",
        "pearsonr",
        "kappa",
        "mcc",
        "iou",
        "miou",
        "dice",
        "map",
        "mrr",
        "ndcg",
        "psnr",
        "ssim",
        "gain",
        "likelihood",
        "elbo",
        "throughput",
        "winrate",
    ]
)
_MINIMISED: Final = frozenset(
    [
        "loss",
        "error",
        "err",
        "rmse",
        "mse",
        "mae",
        "mape",
        "smape",
        "rmsle",
        "deviance",
        "entropy",
        "brier",
        "nll",
        "perplexity",
        "ppl",
        "wer",
        "cer",
        "fid",
        "distance",
        "regret",
        "cost",
        "time",
        "seconds",
        "latency",
        "memory",
    ]
)


class Goal(StrEnum):
    """Direction in which a metric improves."""

    MINIMIZE = "min"
    MAXIMIZE = "max"


@final
@dataclass(frozen=True, slots=True)
class Metric:
    """A tuned value of reports.

    Parameters
    ----------
    name
        The key in the script's reports.
    goal
        ``Goal.MINIMIZE`` or ``Goal.MAXIMIZE`` (or ``"min"``, ``"max"``).
    """

    name: str
    goal: Goal = Goal.MINIMIZE

    def __post_init__(self) -> None:
        if not self.name:
            raise SettingsError("A metric needs a name: the key under which the script reports it")
        try:
            object.__setattr__(self, "goal", Goal(self.goal))
        except ValueError:
            raise SettingsError(
                f"The goal of metric {self.name!r} is 'min' or 'max', not {self.goal!r}"
            ) from None

    def loss(self, value: float) -> float:
        """Return the value on a scale on which lower is better; ``inf`` for a value that is not finite."""
        if not math.isfinite(value):
            return math.inf
        return value if self.goal is Goal.MINIMIZE else -value

    def loss_of(self, metrics: Mapping[str, float]) -> float:
        """Return the loss of a report; ``inf`` if the metric is missing."""
        return self.loss(metrics.get(self.name, math.nan))

    def is_better(self, value: float, than: float) -> bool:
        """Return whether ``value`` is strictly better than ``than``."""
        return self.loss(value) < self.loss(than)


@final
@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on a reported value; results that violate it are never the best.

    Parameters
    ----------
    name
        The key in the script's reports.
    bound
        Finite.
    is_upper
        Whether values must be <= ``bound``; else >= ``bound``.
    """

    name: str
    bound: float = 0.0
    is_upper: bool = True

    def __post_init__(self) -> None:
        if not self.name or not math.isfinite(self.bound):
            raise SettingsError(f"A constraint needs a name and a finite bound, not {self}")

    def __str__(self) -> str:
        return f"{self.name}{'<=' if self.is_upper else '>='}{self.bound:g}"

    @staticmethod
    def parse(text: str) -> Constraint:
        """Parse ``memory<=8`` or ``recall>=0.9``; a name alone stands for ``name<=0``.

        Raises
        ------
        SettingsError
            The text has another form.
        """
        for sign in ("<=", ">="):
            name, found, bound = text.partition(sign)
            if found:
                try:
                    return Constraint(name.strip(), float(bound), sign == "<=")
                except ValueError:
                    break
        if not text.strip() or set(text) & set("<>="):
            raise SettingsError(f"A constraint is such as memory<=8 or recall>=0.9, not {text!r}")
        return Constraint(text.strip())

    @property
    def metric(self) -> Metric:
        """The value as a metric; results with a loss up to :attr:`limit` meet the constraint."""
        return Metric(self.name, Goal.MINIMIZE if self.is_upper else Goal.MAXIMIZE)

    @property
    def limit(self) -> float:
        """The bound as a loss."""
        return self.metric.loss(self.bound)

    def is_met(self, metrics: Mapping[str, float]) -> bool:
        """Return whether a report's value is finite and within the bound."""
        return self.metric.loss_of(metrics) <= self.limit


def looks_maximised(name: str) -> bool:
    """Return whether a metric's name is that of one that is usually maximised, such as ``val_acc``, ``roc-auc`` or ``mAP50``."""
    words = _words(name)
    if looks_minimised(name):
        return False
    return bool(words & _MAXIMISED) or any(re.search(r"(f1|r2)$|^(acc|map|top)\d+$", word) for word in words)


def looks_minimised(name: str) -> bool:
    """Return whether a metric's name is that of one that is usually minimised, such as ``val_loss``, ``logloss`` or ``RMSE``."""
    words = _words(name)
    return bool(words & _MINIMISED) or any(word.endswith("loss") for word in words)


def _words(name: str) -> set[str]:
    """Words of a name, in lower case: parts between signs, and parts of those by their capital letters."""
    parts = re.findall(r"[A-Za-z0-9]+", name)
    return {
        word.lower() for part in parts for word in (part, *re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", part))
    }


def metrics_from(names: str | Sequence[str], goals: str | Sequence[str] | None = None) -> tuple[Metric, ...]:
    """Make metrics from names and goals.

    Parameters
    ----------
    names
        Keys of reports: one, several with commas (``"error,seconds"``), or a sequence of such texts.
    goals
        ``"min"`` or ``"max"``, in the same form: one for all, or one for each; None: ``"min"``, unless a name looks
        like that of a metric to maximise.

    Raises
    ------
    SettingsError
        A name is repeated, a goal is unknown, the number of goals is neither one nor that of the names, or no goal
        is given for a name such as ``accuracy``.
    """
    every = _parts(names)
    for name in every if not goals else ():
        if looks_maximised(name):
            raise SettingsError(
                f"No goal is given, and {name!r} looks like a metric to maximise: give the goal max (or min)"
            )
    wanted = _parts(goals or Goal.MINIMIZE)
    twice = next((name for name in every if every.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(f"The metric {twice!r} is given twice")
    if len(wanted) not in {1, len(every)}:
        raise SettingsError(
            f"There are {len(wanted)} goals ({', '.join(wanted)}) for {len(every)} metrics ({', '.join(every)}): "
            "give one for all, or one for each"
        )
    if len(wanted) == 1:
        wanted *= len(every)
    return tuple(Metric(name, cast("Goal", goal)) for name, goal in zip(every, wanted, strict=True))


def _parts(given: str | Sequence[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    return [part.strip() for text in texts for part in text.split(",")]
