"""What all posterior samplers share: arguments, report, randomness, stability; and what sets PiGDM and TMPD apart."""

import inspect
import math

import pytest
import torch

from lib.forward import STYLIZED_EXAMPLES_1D, linear_map, stylized_1d, stylized_2d
from lib.mixture import MemorizedPrior
from lib.samplers import daps, dps, pigdm, sample, tmpd, twisted_smc
from lib.schedule import karras_sigmas

EXAMPLES, NOISE = STYLIZED_EXAMPLES_1D, 0.3
SIGMAS = karras_sigmas(12, 10.0, 0.05)
Y = torch.tensor([1.0], dtype=torch.float64)
PRIOR = MemorizedPrior(EXAMPLES, 0.05)
LEAGUE = [pigdm, tmpd, daps, twisted_smc]
league = pytest.mark.parametrize("sampler", LEAGUE, ids=lambda f: f.__name__)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def run(sampler, **changes):
    arguments = dict(denoise=PRIOR.denoise, forward=stylized_1d, d_obs=Y, noise_std=NOISE, sigmas=SIGMAS, shape=(6, 1))
    return sampler(**(arguments | changes))


@league
def test_arguments_are_those_of_dps(sampler):
    parameters = inspect.signature(sampler).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == ["denoise", "forward", "d_obs", "noise_std", "sigmas", "shape"]
    assert [p.name for p in parameters][-3:] == ["generator", "callback", "denoise_last"]
    assert all(p.default is not p.empty for p in parameters if p.kind is p.KEYWORD_ONLY)


@league
def test_generator_fixes_the_samples_and_none_is_the_global_one(sampler):
    first, second, other = (run(sampler, generator=seeded(s), denoise_last=False) for s in (1, 1, 2))
    torch.manual_seed(1)
    assert torch.equal(first, second)
    assert torch.equal(first, run(sampler, denoise_last=False))
    assert not torch.equal(first, other)


@league
def test_callback_sees_every_level_and_changes_nothing(sampler):
    reports = []

    def spoil(report):
        reports.append(
            {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in report.items()}
        )
        for value in report.values():
            if isinstance(value, torch.Tensor):
                value.fill_(7.0)

    state = run(sampler, generator=seeded(1))
    assert torch.equal(state, run(sampler, generator=seeded(1), callback=spoil))
    assert [r["step"] for r in reports] == list(range(12))
    assert [r["sigma"] for r in reports] == SIGMAS.tolist()
    assert all({"x", "x0", "sigma", "step"} <= set(r) and r["x"].shape == r["x0"].shape == (6, 1) for r in reports)
    assert all(r["misfit"].shape == (6,) for r in reports[:-1])
    if sampler is not daps:
        torch.testing.assert_close(reports[3]["x0"], PRIOR.denoise(reports[3]["x"], reports[3]["sigma"]))
        misfit = (Y - stylized_1d(reports[3]["x0"])).square().sum(1) / NOISE**2
        torch.testing.assert_close(reports[3]["misfit"], misfit)
    if sampler is not twisted_smc:
        assert torch.equal(reports[-1]["x0"], state)


@league
def test_under_point_masses_it_lands_on_examples(sampler):
    samples = run(sampler, shape=(50, 1), generator=seeded(0), sigmas=karras_sigmas(30, 10.0, 0.01))
    assert (samples - EXAMPLES.T).abs().min(1).values.median() < 1e-3


def conditioned(d, condition):
    left, right = (torch.linalg.qr(randn(d, d, seed=k)).Q for k in (0, 1))
    return left * torch.logspace(0, -math.log10(condition), d, dtype=torch.float64) @ right


@league
@pytest.mark.parametrize("noise_std", [1e-3, 1e-6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precise_data_do_not_make_it_diverge(sampler, noise_std, dtype):
    matrix = conditioned(10, 30).to(dtype)
    samples = sampler(lambda x, sigma: x / (1 + sigma**2), linear_map(matrix), matrix @ randn(10, seed=5).to(dtype),
                      noise_std, karras_sigmas(30, 10.0, 0.02, dtype=dtype), (50, 10), generator=seeded(0))  # fmt: skip
    assert samples.dtype == dtype
    assert samples.abs().max() < 5


@league
def test_inputs_stay_and_a_network_starts_no_graph(sampler):
    network, states, y, sigmas = torch.nn.Linear(2, 2).double(), [], torch.zeros(2).double(), SIGMAS.clone()
    found = sampler(lambda x, sigma: network(x) / (1 + sigma**2), stylized_2d, y, 0.3, sigmas, (3, 2),
                    callback=states.append, denoise_last=False)  # fmt: skip
    assert not found.requires_grad
    assert not any(v.requires_grad for s in states for v in s.values() if isinstance(v, torch.Tensor))
    assert network.weight.grad is None
    assert torch.equal(sigmas, SIGMAS)
    assert torch.equal(y, torch.zeros(2).double())


def linear_problem(variances, noise_std=0.3):
    """Denoiser of N(0, diag(variances)), map, data, exact mean and covariance."""
    matrix, scales = randn(6, 4, seed=1), variances.sqrt()
    y = matrix @ (scales * randn(4, seed=3)) + noise_std * randn(6, seed=4)
    covariance = torch.linalg.inv(torch.diag(1 / variances) + matrix.T @ matrix / noise_std**2)
    mean = covariance @ matrix.T @ y / noise_std**2
    return lambda x, sigma: x * variances / (variances + sigma**2), linear_map(matrix), y, mean, covariance


@pytest.mark.parametrize("sampler", [pigdm, tmpd])
def test_the_step_heads_for_the_exact_conditional_mean_of_a_gaussian(sampler):
    """One step from sigma to s: its mean is (1 - q) E[x_0 | x, y] + q x, in closed form for N(0, I) and linear F."""
    denoise, forward, y, _, _ = linear_problem(torch.ones(4).double())
    matrix, states = forward(torch.eye(4).double()).T, []
    sigmas = torch.tensor([4.0, 1.0], dtype=torch.float64)
    end = sampler(denoise, forward, y, 0.3, sigmas, (4000, 4), generator=seeded(0), callback=states.append,
                  denoise_last=False, tolerance=1e-10)  # fmt: skip
    x, share = states[0]["x"], 1 / 16
    precision = torch.eye(4).double() * (1 + 1 / 16) + matrix.T @ matrix / 0.09
    conditional = torch.linalg.solve(precision, (x / 16 + y @ matrix / 0.09).T).T
    left = end - (1 - share) * conditional - share * x
    assert left.mean(0).abs().max() < 4 * (15 / 16 / 4000) ** 0.5
    torch.testing.assert_close(left.var(0), torch.full((4,), 15 / 16).double(), rtol=0.1, atol=0)


def test_tmpd_leaves_the_prior_alone_where_it_has_decided():
    """C = sigma^2 J_D = 0 once one example holds all the weight; the pull is then exactly 0."""
    examples, states = 10 * randn(4, 2), []
    denoise = MemorizedPrior(examples, 0.1).denoise
    for sampler in (tmpd, pigdm):
        states.clear()
        sampler(denoise, stylized_2d, torch.zeros(2).double(), 0.3, karras_sigmas(40, 80.0, 0.1), (20, 2),
                generator=seeded(0), callback=states.append)  # fmt: skip
        assert states[0]["gradient_norm"].abs().max() > 0
        assert states[-2]["gradient_norm"].abs().max() == 0


def test_covariance_of_tmpd_is_the_symmetric_part_of_the_denoisers_jacobian(monkeypatch):
    seen, slope, sigma = [], randn(4, 4), 2.0

    def spy(tangent, covariance, **options):
        seen.append(torch.cat([covariance(row[None]) for row in torch.eye(4).double()]))
        return torch.zeros(1, 4).double()

    monkeypatch.setattr("lib.gauss_newton.Tangent.gain", spy)
    _, forward, y, _, _ = linear_problem(torch.ones(4).double())
    tmpd(lambda x, sigma: 0.1 * x @ slope.T, forward, y, 0.3, torch.tensor([sigma, 1.0]).double(), (1, 4))
    torch.testing.assert_close(seen[0], sigma**2 * 0.1 * (slope + slope.T) / 2)


@pytest.mark.parametrize(("sampler", "variance"), [(pigdm, 1e6), (daps, 1e-8)])
def test_model_variance_sets_the_pull(sampler, variance):
    """PiGDM trusts the data less the wider x_0 is said to be, DAPS stays at its guess the narrower."""
    denoise, forward, y, mean, _ = linear_problem(torch.ones(4).double())
    weak = sampler(denoise, forward, y, 0.3, karras_sigmas(30, 10.0, 0.02), (100, 4), generator=seeded(0),
                   model_variance=lambda sigma: variance)  # fmt: skip
    assert weak.mean(0).norm() < 0.4 * mean.norm()


def test_a_model_variance_far_too_small_stays_stable():
    """PiGDM then takes the data for surer than they are, as DPS does: whole steps would diverge."""
    denoise, forward, y, mean, _ = linear_problem(torch.ones(4).double())
    samples = pigdm(denoise, forward, y, 0.3, karras_sigmas(30, 10.0, 0.02), (100, 4), generator=seeded(0),
                    model_variance=lambda sigma: 1e-8)  # fmt: skip
    assert (samples.mean(0) - mean).norm() < 0.5 * mean.norm()
    assert samples.abs().max() < 5


def test_steps_shorten_where_a_whole_one_would_leave_the_data():
    """x^3 is flat at 0, where the chain starts: the tangent's step from there ends thousands of times too far."""
    states = []
    samples = pigdm(lambda x, sigma: x / (1 + sigma**2), lambda x: x**3, torch.tensor([1.0]).double(), 0.01,
                    karras_sigmas(60, 10.0, 0.01), (200, 1), generator=seeded(0), callback=states.append)  # fmt: skip
    assert min(float(s["share"].min()) for s in states[:-1]) < 0.1
    assert float((samples - 1).abs().median()) < 0.05
    assert samples.abs().max() < 5


def test_no_data_weight_gives_back_the_prior():
    reference = sample(PRIOR.denoise, SIGMAS, (6, 1), generator=seeded(3))
    for sampler in (pigdm, tmpd, dps):
        torch.testing.assert_close(run(sampler, noise_std=1e6, generator=seeded(3)), reference)


@pytest.mark.parametrize(
    ("sampler", "changes", "error", "message"),
    [
        *[(s, {"d_obs": Y[:0]}, ValueError, "d_obs must not be empty") for s in LEAGUE],
        *[(s, {"d_obs": Y.float()}, TypeError, "d_obs must have dtype torch.float64") for s in LEAGUE],
        *[(s, {"noise_std": 0.0}, ValueError, "noise_std must be positive and finite, got 0.0") for s in LEAGUE],
        *[(s, {"sigmas": SIGMAS.flip(0)}, ValueError, "sigmas must hold .* strictly falling") for s in LEAGUE],
        *[(s, {"shape": (6,)}, ValueError, r"shape must be \(number of samples, d\), got \(6,\)") for s in LEAGUE],
        *[(s, {"forward": lambda x: x[0]}, ValueError, "forward must map a batch") for s in LEAGUE],
        *[(s, {"forward": lambda x: x.detach()}, ValueError, "forward must be differentiable") for s in LEAGUE],
        *[(s, {"callback": 3}, TypeError, "callback must be a callable from a dict") for s in LEAGUE],
        *[(s, {"generator": 3}, TypeError, "generator must be a torch.Generator") for s in LEAGUE],
        (pigdm, {"max_steps": 0}, ValueError, "max_steps must be at least 1, got 0"),
        (tmpd, {"tolerance": 0.0}, ValueError, "tolerance must be positive and finite, got 0.0"),
        (pigdm, {"model_variance": 1.0}, TypeError, "model_variance must be a callable from sigma to a variance"),
        (pigdm, {"model_variance": lambda s: -1.0}, ValueError, "model_variance must be positive .* got -1.0"),
        (tmpd, {"denoise": lambda x, s: torch.zeros_like(x)}, ValueError, "denoise must be differentiable"),
        (daps, {"num_ode_steps": 0}, ValueError, "num_ode_steps must be at least 1, got 0"),
        (daps, {"num_langevin_steps": 1.5}, TypeError, "num_langevin_steps must be a whole number, got float"),
        (daps, {"step_share": 2.0}, ValueError, "step_share must be below 2, .* got 2.0"),
        (daps, {"model_variance": lambda s: 0.0}, ValueError, "model_variance must be positive .* got 0.0"),
        (twisted_smc, {"threshold": 1.5}, ValueError, "threshold must be a share from 0 to 1, got 1.5"),
        (twisted_smc, {"guidance_variance": lambda s: 0.0}, ValueError, "guidance_variance must be positive"),
    ],
)
def test_misuse_is_named(sampler, changes, error, message):
    with pytest.raises(error, match=message):
        run(sampler, **changes)


@pytest.mark.parametrize("sampler", [pigdm, tmpd, twisted_smc], ids=lambda f: f.__name__)
def test_a_denoiser_whose_weights_alone_have_gradients_is_refused(sampler):
    network = torch.nn.Linear(1, 1).double()
    with pytest.raises(ValueError, match="denoise must be differentiable for guidance"):
        run(sampler, denoise=lambda x, sigma: network(x.detach()))
