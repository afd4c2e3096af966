"""The metrics of GLUE beside those of scikit-learn and SciPy."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics

from tunewright.benchmarks.real import REAL_BENCHMARKS


@pytest.fixture(scope="module")
def glue_metrics() -> ModuleType:
    """The file beside the script."""
    spec = importlib.util.spec_from_file_location(
        "glue_metrics",
        Path(REAL_BENCHMARKS["finetune_transformer_glue_rte"]().script).with_name("glue_metrics.py"),
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_classes(glue_metrics: ModuleType) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = rng.integers(2, size=30)
        predicted = np.where(rng.random(30) < 0.6, labels, rng.integers(2, size=30))
        assert glue_metrics.accuracy(predicted, labels) == pytest.approx(
            metrics.accuracy_score(labels, predicted)
        )
        assert glue_metrics.f1(predicted, labels) == pytest.approx(metrics.f1_score(labels, predicted))
        assert glue_metrics.matthews_correlation(predicted, labels) == pytest.approx(
            metrics.matthews_corrcoef(labels, predicted)
        )


def test_numbers_with_ties(glue_metrics: ModuleType) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        labels = rng.integers(6, size=40) / 2
        predicted = (labels + rng.normal(size=40)).round(1)
        expected = scipy.stats.spearmanr(predicted, labels).statistic
        assert glue_metrics.spearmanr(predicted, labels) == pytest.approx(expected)


def test_what_is_constant_has_no_correlation(glue_metrics: ModuleType) -> None:
    constant, labels = np.zeros(4, dtype=int), np.array([0, 1, 0, 1])
    assert glue_metrics.matthews_correlation(constant, labels) == 0.0
    assert glue_metrics.spearmanr(constant, labels) == 0.0
    assert glue_metrics.f1(constant, constant) == 0.0
