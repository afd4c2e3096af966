"""The fit of ``fit.py`` with BoTorch; run by it with an interpreter that has BoTorch. Data come in on standard input, as JSON."""

from __future__ import annotations

import json
import math
import sys
import time

import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior


def fitted(x: torch.Tensor, y: torch.Tensor) -> ExactMarginalLogLikelihood:
    """A Matern-5/2 process with scale, noise and mean, at the most probable hyperparameters."""
    d = x.shape[1]
    prior = LogNormalPrior(math.sqrt(2.0) + math.log(d) / 2, math.sqrt(3.0))
    kernel = ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=d, lengthscale_prior=prior))
    model = SingleTaskGP(x, y, covar_module=kernel, outcome_transform=None)
    return fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))


def main() -> None:
    """Print CPU milliseconds, the smallest of some."""
    torch.set_num_threads(1)
    given = json.load(sys.stdin)
    x, y = torch.tensor(given["x"], dtype=torch.double), torch.tensor(given["y"], dtype=torch.double)[:, None]
    times: list[float] = []
    fitted(x[:10], y[:10])  # what is only done once
    for _ in range(given["repeats"]):
        start = time.process_time()
        fitted(x, y)
        times.append(time.process_time() - start)
    print(1000 * min(times))


if __name__ == "__main__":
    main()
