"""What BoTorch says of the arrays on stdin (JSON): likelihood, its gradient, posterior and expected improvement."""

import json
import sys

import torch
from botorch.acquisition.analytic import ExpectedImprovement, LogExpectedImprovement
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ConstantMean
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.settings import cholesky_jitter, cholesky_max_tries

torch.set_default_dtype(torch.float64)
given = json.load(sys.stdin)
x, y, a = (torch.tensor(given[name]) for name in ("x", "y", "a"))
scales = torch.tensor(given["length_scales"])
likelihood = GaussianLikelihood(noise_constraint=GreaterThan(1e-9))
kernel = ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=x.shape[1]))
model = SingleTaskGP(
    x,
    y[:, None],
    likelihood=likelihood,
    covar_module=kernel,
    mean_module=ConstantMean(),
    outcome_transform=None,
)
kernel.base_kernel.lengthscale = scales
kernel.outputscale = given["scale"]
likelihood.noise = given["noise"]
model.mean_module.constant.data.fill_(given["mean"])


def by_log(parameter, value, lowest=0.0):
    """From the derivative by what softplus is applied to, to that by the logarithm."""
    return parameter.grad.reshape(-1) * value / (1 - torch.exp(-(value - lowest)))


with cholesky_jitter(double_value=0.0), cholesky_max_tries(1):
    model.train()
    likelihood.train()
    value = ExactMarginalLogLikelihood(likelihood, model)(model(x), y) * len(x)
    value.backward()
    gradient = torch.cat(
        [
            by_log(kernel.base_kernel.raw_lengthscale, scales),
            by_log(kernel.raw_outputscale, torch.tensor([given["scale"]])),
            by_log(likelihood.noise_covar.raw_noise, torch.tensor([given["noise"]]), 1e-9),
            model.mean_module.raw_constant.grad.reshape(-1),
        ]
    )
    model.eval()
    posterior = model.posterior(a)
    answer = {
        "value": value.item(),
        "gradient": gradient.tolist(),
        "means": posterior.mean[:, 0].tolist(),
        "covariance": posterior.mvn.covariance_matrix.tolist(),
        "ei": ExpectedImprovement(model, best_f=given["best"], maximize=False)(a[:, None]).tolist(),
        "log_ei": LogExpectedImprovement(model, best_f=given["best"], maximize=False)(a[:, None]).tolist(),
    }
print(json.dumps(answer))
