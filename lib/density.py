"""How well a prior predicts models it has not seen: held-out likelihood, the bandwidth it asks for, and a bound."""

from __future__ import annotations

import math
from collections.abc import Callable

import scipy
import torch
from torch import Tensor

from lib import checks
from lib.checks import Denoiser


def kernel_log_prob(points: Tensor, examples: Tensor | None, bandwidth: float) -> Tensor:
    """Log-density of a Gaussian kernel density at each point, [M].

    log p(x) = log (1/N) sum_n N(x; x_n, b^2 I). Without `examples` each point is judged by all the *other* points
    (leave one out): log p_{-m}(x_m) = log 1/(M-1) sum_{n != m} N(x_m; x_n, b^2 I).

    Source: Silverman (1986), section 3.4.4.

    Args:
        points: Where the density is asked for, [M, d].
        examples: Centres of the kernels, [N, d]; None leaves one out of `points`.
        bandwidth: Standard deviation b of a kernel, in units of the points, positive.

    Raises:
        TypeError, ValueError: Bad tensors or bandwidth; a single point to leave out.
    """
    points = checks.tensor("points", points, shape=(None, None))
    if examples is not None:
        examples = checks.tensor("examples", examples, shape=(None, points.shape[1]), like=points)
    bandwidth = checks.positive("bandwidth", bandwidth, dtype=torch.float64)
    return _from_squares(_squared_distances("points", points, examples), points.shape[1], bandwidth)


def fit_bandwidth(examples: Tensor, held_out: Tensor | None = None) -> float:
    """The bandwidth of largest held-out likelihood: the b that maximizes the mean of `kernel_log_prob`.

    There b^2 d is the mean squared distance from a held-out point to the examples, each weighted by its
    responsibility, so that b grows with the distance to what has not been seen.

    Source: Silverman (1986), section 3.4.4 (likelihood cross-validation).

    Args:
        examples: Training set, [N, d].
        held_out: Models to be predicted, [M, d]; None predicts each example by the others (leave one out).

    Returns:
        The bandwidth, in units of the examples.

    Raises:
        TypeError, ValueError: Bad tensors; a single example to leave out; held-out models that are all examples, which
            ask for the bandwidth 0.
    """
    d = checks.tensor("examples", examples, shape=(None, None)).shape[1]
    if held_out is None:
        squares = _squared_distances("examples", examples, None)
    else:
        held_out = checks.tensor("held_out", held_out, shape=(None, d), like=examples)
        squares = _squared_distances("held_out", held_out, examples)
    nearest = squares.amin(1)
    if not bool((nearest > 0).any()):
        raise ValueError("held_out (or the other examples) must differ from the examples: the bandwidth would be 0")

    def loss(log_bandwidth: float) -> float:
        return -float(_from_squares(squares, d, math.exp(log_bandwidth)).mean())

    # At a maximum b^2 d lies between the mean squares of the nearest and of the farthest distance.
    farthest = squares.masked_fill(squares.isinf(), 0).amax(1)
    low, high = (0.5 * math.log(float(edges.mean()) / d) for edges in (nearest, farthest))
    grid = torch.linspace(low - 0.01, high + 0.01, 60, dtype=torch.float64).tolist()
    best = min(range(60), key=lambda k: loss(grid[k]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, 59)]
    return math.exp(scipy.optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)


def cross_validated(fit: Callable[[Tensor], Callable[[Tensor], Tensor]], examples: Tensor, *, folds: int = 5) -> float:
    """Mean log-density of each example under a prior fitted without its fold: held-out likelihood at no cost in data.

    Args:
        fit: From examples [N, d] to a log-density [M, d] -> [M], such as
            `lambda train: MemorizedPrior(train, 0.3).log_prob`.
        examples: Training set, [N, d]; every `folds`-th example forms a fold.
        folds: Parts, 2 to N.

    Returns:
        Nats per example.

    Raises:
        TypeError, ValueError: Bad examples, folds outside 2..N, or a log-density that is not finite and [M].
    """
    examples, folds = checks.tensor("examples", examples, shape=(None, None)), checks.count("folds", folds, minimum=2)
    if folds > len(examples):
        raise ValueError(f"folds must be at most the number of examples ({len(examples)}), got {folds}")
    member = torch.arange(len(examples), device=examples.device) % folds
    total = 0.0
    for fold in range(folds):
        held_out = examples[member == fold]
        log_prob = fit(examples[member != fold])(held_out)
        total += float(checks.tensor("fit's log-density", log_prob, shape=(len(held_out),)).double().sum())
    return total / len(examples)


@torch.no_grad()
def likelihood_bound(
    denoise: Denoiser,
    x: Tensor,
    *,
    sigma_min: float = 0.02,
    sigma_max: float = 80.0,
    num_levels: int = 128,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Lower bound on the log-likelihood of models under the diffusion model of any denoiser, [M], in nats.

    -log p(x) <= |x|^2 / (2 sigma_max^2) + int R(sigma)^2 / sigma^2 d log sigma
    + R(sigma_min)^2 / (2 sigma_min^2) + d/2 log(2 pi sigma_min^2), with R(sigma)^2 = E |x - D(x + sigma e, sigma)|^2,
    the evidence bound of a reverse process that starts from N(0, sigma_max^2 I), has infinitely many steps and ends
    with noise of variance sigma_min^2 about the last D. On average over models of the prior it is tight for an exact
    denoiser up to KL(p at sigma_max | start) and details below sigma_min; for a network it is all there is. A bound is
    not a likelihood: compare bounds with bounds.

    Source: Kingma et al. (2021), the continuous-time bound, in the variance-exploding form; the relation of denoising
    error and likelihood goes back to Guo, Shamai and Verdu (2005).

    Args:
        denoise: Posterior mean D(x, sigma) of the prior, [B, d] and a 0-d level to [B, d].
        x: Models, [M, d].
        sigma_min: Last noise level.
        sigma_max: First noise level, far above the models' spread.
        num_levels: Levels of the integral, spread evenly in log sigma, each at a random place of its cell.
        generator: Source of levels and noise.

    Raises:
        TypeError, ValueError: Bad tensors or levels, or a denoiser that does not return finite values of x's shape.
    """
    x, num_levels = checks.tensor("x", x, shape=(None, None)), checks.count("num_levels", num_levels)
    low, high = (checks.positive(*pair, dtype=x.dtype) for pair in (("sigma_min", sigma_min), ("sigma_max", sigma_max)))
    if low >= high:
        raise ValueError(f"sigma_min must be below sigma_max ({high}), got {low}")
    generator = checks.random_source(generator, x.device)

    def error(sigma: Tensor) -> Tensor:
        noise = torch.empty_like(x).normal_(generator=generator)
        return (x - checks.apply_denoiser(denoise, x + sigma * noise, sigma)).double().square().sum(1) / sigma**2

    width = math.log(high / low) / num_levels
    places = torch.rand(num_levels, generator=generator, dtype=x.dtype, device=x.device)
    sigmas = low * torch.exp(width * (torch.arange(num_levels, device=x.device) + places))
    integral = width * sum(error(sigma) for sigma in sigmas)
    last = 0.5 * error(sigmas.new_tensor(low)) + 0.5 * x.shape[1] * math.log(2 * math.pi * low**2)
    return -x.double().square().sum(1) / (2 * high**2) - integral - last


def _squared_distances(name: str, points: Tensor, examples: Tensor | None) -> Tensor:
    """Squared distances [M, N] in double precision; infinite from a point to itself where one is left out."""
    others = points if examples is None else examples
    if examples is None and len(points) < 2:
        raise ValueError(f"{name} must hold at least 2 models to leave one out, got {len(points)}")
    squares = torch.cdist(points.double(), others.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    return squares.fill_diagonal_(math.inf) if examples is None else squares


def _from_squares(squares: Tensor, d: int, bandwidth: float) -> Tensor:
    count = int(squares[0].isfinite().sum())
    total = torch.logsumexp(-squares / (2 * bandwidth**2), 1)
    return total - math.log(count) - 0.5 * d * math.log(2 * math.pi * bandwidth**2)
