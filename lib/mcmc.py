"""The gold standard: Markov chains on p(x) p(d_obs | F(x)), several in one batch of wave solves.

Own code, after a look at the libraries: NUTS of Pyro (1.9.2) takes a black-box potential but runs its chains one after
the other or each in a process of its own, one model a wave solve; CUQIpy (1.5.1) drives one chain through NumPy and
holds NumPy below 2.2; BlackJAX wants JAX. None has the Gaussian-reference integrator used here, which makes a step
of any length exact on the Gaussian part. Convergence is judged by a library, ArviZ (`lib.convergence`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from lib import checks
from lib.checks import Forward
from lib.convergence import chain_ess, rhat
from lib.hamiltonian import QUARTER_TURN, DualAveraging, LogPrior, WhitenedPosterior, turn
from lib.reverse import normal

_JITTER = 0.2  # angles vary by so much: a fixed one can resonate


@dataclass(frozen=True)
class Chains:
    """Draws of `mcmc`.

    Attributes:
        samples: Draws after the warm-up, [chains, draws, d].
        potential: -log of the unnormalized posterior at the draws, [chains, draws], double precision.
        acceptance: Probability with which each proposal was accepted, [chains, draws].
        angle: Rotation angle of one integrator step that the warm-up arrived at.
        num_gradients: Gradients computed a chain, warm-up included.
    """

    samples: Tensor
    potential: Tensor
    acceptance: Tensor
    angle: float
    num_gradients: int

    @property
    def rhat(self) -> Tensor:
        """Rank-normalized split R-hat of every coordinate, [d] (`lib.convergence.rhat`)."""
        return rhat(self.samples)

    @property
    def ess(self) -> Tensor:
        """Bulk effective sample size of every coordinate, [d] (`lib.convergence.chain_ess`)."""
        return chain_ess(self.samples)


def mcmc(
    forward: Forward,
    d_obs: Tensor,
    noise_std: float,
    centre: Tensor,
    *,
    log_prior: LogPrior | None = None,
    num_draws: int = 100,
    num_warmup: int = 30,
    num_chains: int = 4,
    num_steps: int = 2,
    target_acceptance: float = 0.8,
    starts: Tensor | None = None,
    resume: Chains | None = None,
    generator: torch.Generator | None = None,
    callback: Callable[[dict], None] | None = None,
) -> Chains:
    """Draw from p(x) N(d_obs; F(x), noise_std^2 I) by Hamiltonian Monte Carlo around a Gaussian reference.

    With the Gauss-Newton Hessian at the centre, H = -grad^2 log p + J^T J / noise_std^2 = L^-T L^-1, and x = centre +
    L z, the posterior is close to N(0, I) in z. A step kicks the momentum by half an angle times the gradient of what
    is not Gaussian, grad U - z, turns (z, momentum) by the angle, and kicks again: where the posterior is Gaussian, no
    draw is refused however long the turn. `num_steps` of them make a proposal, about a quarter turn at the most in
    all, which is accepted or not. The warm-up tunes the angle to the acceptance wanted, by dual averaging over all
    chains.

    The law of the draws does not depend on centre and H, only the work does. But chains around one mode see one mode:
    R-hat near 1 says that they agree, not that there is no other.

    Source: Beskos et al. (2011), the integrator, here about the Laplace approximation of the posterior; Hoffman and
    Gelman (2014), dual averaging; Martin et al. (2012), Gauss-Newton preconditioning.

    Cost: d forward-mode solves for H, `num_steps` forward solves with adjoint a chain and draw. Tuning: the counts,
    the acceptance, angles drawn 20 % up and down.

    Args:
        forward: Batched map [B, d] -> [B, m], differentiable in both modes; called with all chains at once.
        d_obs: Observed data, [m].
        noise_std: Standard deviation of the noise in each datum, positive.
        centre: Where to linearize, the MAP (`lib.inversion.invert` with prior_std=1) or a mode, [d].
        log_prior: Log-density of the prior up to a constant, [B, d] -> [B], twice differentiable, as
            `MemorizedPrior.log_prob`. None (default): N(0, I).
        num_draws: Draws of each chain.
        num_warmup: Draws before them, thrown away.
        num_chains: Chains.
        num_steps: Integrator steps a proposal.
        target_acceptance: Acceptance probability that the warm-up aims at, between 0 and 1.
        starts: First states, [num_chains, d]. None: drawn from N(centre, 4 H^-1), wider than the posterior.
        resume: Chains to go on with: no warm-up, their angle, and the draws are added to theirs.
        generator: Source of random numbers, on the device of `centre`.
        callback: Called after each draw, warm-up included, with a dict of the states `x` [chains, d], `potential`
            [chains], the `acceptance` probability of the proposal [chains], `angle`, `step` and `warmup` (a bool).

    Returns:
        The chains with their samples [num_chains, num_draws, d], `.rhat`, `.ess`, acceptance and cost.

    Raises:
        TypeError, ValueError: Bad arguments, a forward map or prior of the wrong shape or not differentiable, or a
            start where the posterior is not finite.
    """
    centre = checks.tensor("centre", centre, shape=(None,)).detach()
    d_obs = checks.tensor("d_obs", d_obs, shape=(None,), like=centre).detach()
    noise_std = checks.positive("noise_std", noise_std, dtype=centre.dtype)
    num_draws, num_steps = checks.count("num_draws", num_draws), checks.count("num_steps", num_steps)
    num_warmup = checks.count("num_warmup", num_warmup, minimum=0)
    if not 0 < checks.positive("target_acceptance", target_acceptance) < 1:
        raise ValueError(f"target_acceptance must be below 1, got {target_acceptance}")
    generator = checks.random_source(generator, centre.device)
    if callback is not None:
        checks.function("callback", callback, "a dict to nothing")
    if resume is not None and not isinstance(resume, Chains):
        raise TypeError(f"resume must be Chains of an earlier run, got {type(resume).__name__}")
    target = WhitenedPosterior(forward, d_obs, noise_std, centre, _standard_normal if log_prior is None else log_prior)
    if resume is not None:
        starts, num_chains, num_warmup = resume.samples[:, -1], len(resume.samples), 0
    shape = (checks.count("num_chains", num_chains), len(centre))
    wide = centre.double()  # what random numbers are drawn like
    if starts is None:
        z = 2 * normal(shape, wide, generator)
    else:
        z = target.whiten(checks.tensor("starts", starts, shape=shape, like=centre).detach())
    energy, slope = target.start(z)
    tuner = DualAveraging(target_acceptance, QUARTER_TURN / num_steps)
    if resume is not None:
        tuner.angle = resume.angle
    draws, energies, rates = [], [], []
    for step in tqdm(range(num_warmup + num_draws), desc="MCMC", unit="draw", delay=5, leave=False):
        if step == num_warmup:
            tuner.settle()
        uniform = torch.rand(shape[0] + 1, generator=generator, dtype=torch.float64, device=centre.device)
        angle = tuner.angle * (1 + _JITTER * (2 * float(uniform[0]) - 1))
        momentum = normal(shape, wide, generator)
        proposal = turn(target, z, momentum, slope, angle, num_steps)
        gap = energy + momentum.square().sum(1) / 2 - proposal[2] - proposal[1].square().sum(1) / 2
        rate = torch.nan_to_num(gap.clamp_max(0).exp())
        taken = uniform[1:] < rate
        z, slope = (torch.where(taken[:, None], new, old) for new, old in ((proposal[0], z), (proposal[3], slope)))
        energy = torch.where(taken, proposal[2], energy)
        if step < num_warmup:
            tuner.update(float(rate.mean()))
        else:
            for kept, value in ((draws, target.to_model(z)), (energies, energy), (rates, rate)):
                kept.append(value)
        if callback is not None:
            report = {"x": target.to_model(z), "potential": energy.clone(), "acceptance": rate.clone()}
            callback({**report, "angle": angle, "step": step, "warmup": step < num_warmup})
    cost = 1 + (num_warmup + num_draws) * num_steps
    found = Chains(*(torch.stack(part, 1) for part in (draws, energies, rates)), tuner.angle, cost)
    return found if resume is None else _joined(resume, found)


def _joined(first: Chains, second: Chains) -> Chains:
    names = ("samples", "potential", "acceptance")
    parts = [torch.cat([getattr(first, name), getattr(second, name)], 1) for name in names]
    return Chains(*parts, second.angle, first.num_gradients + second.num_gradients)


def _standard_normal(x: Tensor) -> Tensor:
    return -x.square().sum(1) / 2
