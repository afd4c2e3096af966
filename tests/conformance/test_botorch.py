"""Our Gaussian process and expected improvement against BoTorch's, at the same hyperparameters."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from tunewright.models.acquisition import LogExpectedImprovement
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.posterior import Posterior, factorise
from tunewright.models.gp.process import GaussianProcess

from .conftest import CLIENTS, PATIENCE, Client


@pytest.mark.parametrize(("n", "d"), [(12, 1), (60, 6)])
def test_likelihood_gradient_posterior_and_improvement_are_botorchs(client: Client, n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    x, a = rng.random((n, d)), rng.random((40, d))
    y = np.sin(3 * x).sum(axis=1) + 0.1 * rng.standard_normal(n)
    scales = np.exp(rng.normal(-0.5, 0.3, d))
    scale, noise, mean, best = 1.7, 0.02, 0.3, float(y.min())
    given = {"x": x.tolist(), "y": y.tolist(), "a": a.tolist(), "length_scales": scales.tolist()}
    given |= {"scale": scale, "noise": noise, "mean": mean, "best": best}
    done = subprocess.run(
        [client("botorch") / "python", CLIENTS / "botorch_values.py"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.splitlines()[-1])

    process = GaussianProcess(Matern52(d))
    theta = np.concatenate([np.log(scales), np.log([scale, noise]), [mean]])
    value, gradient = process.log_likelihood(theta, x, y)
    assert value == pytest.approx(theirs["value"], abs=1e-6)
    np.testing.assert_allclose(gradient, theirs["gradient"], atol=1e-6, rtol=1e-6)

    posterior = Posterior(process, theta, x, factorise(process, theta, x, n).lower, y[:, np.newaxis])
    means, covariance = posterior.joint(a)
    np.testing.assert_allclose(means[:, 0], theirs["means"], atol=1e-6)
    np.testing.assert_allclose(covariance, theirs["covariance"], atol=1e-6)

    log_improvement = LogExpectedImprovement(posterior, np.array([best])).values(a)
    np.testing.assert_allclose(np.exp(log_improvement), theirs["ei"], atol=1e-6)
    np.testing.assert_allclose(log_improvement, theirs["log_ei"], atol=1e-6, rtol=1e-6)
