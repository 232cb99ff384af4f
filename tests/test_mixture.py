"""The memorized prior against formulas, quadrature and sampling."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib import point_masses
from lib.jacobian import jacobian
from lib.mixture import MemorizedPrior, WeightedExamples


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def overlapping(n=20, d=3, bandwidth=0.7):
    return MemorizedPrior(randn(n, d), bandwidth), randn(9, d, seed=1)


@pytest.fixture(params=["direct", "product", "streamed"])
def path(request, monkeypatch):
    if request.param != "direct":
        monkeypatch.setattr(point_masses, "_DIRECT", 0)
    if request.param == "streamed":
        monkeypatch.setattr(point_masses, "_BLOCK", 30)


def brute_force_denoise(examples, x, sigma, bandwidth=0.0):
    total = bandwidth**2 + sigma**2
    rows = []
    for point in x:
        weights = torch.softmax(-(point - examples).square().sum(1) / (2 * total), 0)
        rows.append(weights @ (examples + bandwidth**2 / total * (point - examples)))
    return torch.stack(rows)


def test_score_is_gradient_of_log_prob(path):
    prior, x = overlapping()
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(prior.log_prob(leaf).sum(), leaf)
    assert (prior.responsibilities(x, 0.7).max(1).values < 0.9).any(), "without overlap nothing is tested"
    assert (prior.score(x) - gradient).norm() / gradient.norm() < 1e-10


def test_log_prob_is_the_mean_of_gaussians(path):
    prior, x = overlapping()
    components = torch.distributions.MultivariateNormal(prior.examples, 0.49 * torch.eye(3, dtype=torch.float64))
    expected = torch.logsumexp(components.log_prob(x[:, None]), 1) - math.log(20)
    torch.testing.assert_close(prior.log_prob(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.05, 0.7, 5.0])
def test_denoise_is_the_softmax_mean(path, sigma):
    prior, x = overlapping()
    torch.testing.assert_close(prior.denoise(x, sigma), brute_force_denoise(prior.examples, x, sigma))
    expected = brute_force_denoise(prior.examples, x, sigma, bandwidth=0.7)
    torch.testing.assert_close(prior.denoise(x, sigma, include_bandwidth=True), expected)


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_denoise_with_bandwidth_is_the_posterior_mean_by_quadrature(sigma):
    examples = torch.tensor([[-1.5], [-0.4], [0.4], [1.2], [2.5]], dtype=torch.float64)
    prior = MemorizedPrior(examples, 0.4)
    grid = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    x = torch.tensor([[-3.0], [0.1], [0.9], [4.0]], dtype=torch.float64)
    weights = torch.softmax(prior.log_prob(grid[:, None]) - (x - grid).square() / (2 * sigma**2), 1)
    found = prior.denoise(x, sigma, include_bandwidth=True)[:, 0]
    torch.testing.assert_close(found, weights @ grid, rtol=0, atol=1e-9)


def test_tweedie_holds_at_every_level(path):
    prior, x = overlapping()
    for sigma in (0.2, 1.0, 3.0):
        for include, total in ((False, sigma), (True, math.hypot(sigma, 0.7))):
            expected = x + sigma**2 * MemorizedPrior(prior.examples, total).score(x)
            torch.testing.assert_close(prior.denoise(x, sigma, include_bandwidth=include), expected)


def test_bandwidth_zero_is_the_limit_of_the_mixture():
    examples, x = randn(20, 3), randn(9, 3, seed=1)
    priors = [MemorizedPrior(examples, bandwidth) for bandwidth in (1e-1, 1e-2, 1e-3)]
    gaps = [float((p.denoise(x, 0.5, include_bandwidth=True) - p.denoise(x, 0.5)).norm()) for p in priors]
    assert [gaps[1] / gaps[0], gaps[2] / gaps[1]] == pytest.approx([1e-2, 1e-2], rel=0.1)


@pytest.mark.parametrize("centre", [0.0, 1e3])
@pytest.mark.parametrize("name", ["denoise", "log_prob"])
def test_derivatives_are_those_of_the_formula(path, centre, name):
    examples, x, w = centre + randn(20, 3), centre + randn(4, 3, seed=1), randn(4, 3, seed=2)
    prior = MemorizedPrior(examples, 0.7)

    def log_prob(z):  # up to a constant
        return torch.logsumexp(-(z[:, None] - examples).square().sum(2) / (2 * 0.7**2), 1)

    plain = {"denoise": lambda z: brute_force_denoise(examples, z, 0.7), "log_prob": log_prob}[name]
    ours = {"denoise": lambda z: prior.denoise(z, 0.7), "log_prob": prior.log_prob}[name]

    def slope(f, z):
        return torch.func.grad(lambda u: (f(u).reshape(len(u), -1) * w).sum())(z)

    def forward_mode(f, z):
        return torch.func.jvp(f, (z,), (w,))[1]

    def curvature(f, z):
        return torch.func.grad(lambda u: slope(f, u).square().sum())(z)

    for derivative in (slope, forward_mode, curvature):
        torch.testing.assert_close(derivative(ours, x), derivative(plain, x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_near_example_of_hardly_any_weight_does_not_hide_a_far_one(path, dtype):
    examples = torch.tensor([[0.0], [50.0], [51.0]], dtype=dtype)  # 1250 nats away from x, at level 1, and 1300.5
    weighted = WeightedExamples(examples, torch.tensor([-3000.0, 0.0, 52.0], dtype=dtype))
    x, variance = torch.zeros(15, 1, dtype=dtype, requires_grad=True), torch.ones(1, 1, dtype=dtype)
    expected = torch.softmax(torch.tensor([-3000.0, -1250.0, -1248.5], dtype=torch.float64), 0) @ examples.double()
    for point in (x, x.detach()):
        torch.testing.assert_close(weighted.mean(point, variance)[3].double(), expected, rtol=1e-4, atol=0)
        total = weighted.log_sum(point, variance)[3]  # weights are normalized: 52 is taken off
        assert total.item() == pytest.approx(-1300.5 + math.log1p(math.exp(-1.5)), rel=1e-6)


def test_level_and_weights_may_be_differentiated(path):
    examples, x = randn(20, 3), randn(9, 3, seed=1)
    sigma = torch.linspace(0.3, 2, 9).double().requires_grad_()
    logs = randn(20, seed=2).requires_grad_()

    def mean(level, weights):
        return WeightedExamples(examples, weights).mean(x, level.square()[:, None])

    def log_sum(level, weights):
        return WeightedExamples(examples, weights).log_sum(x, level.square()[:, None])

    def logits(level, weights):
        return torch.log_softmax(weights, 0) - torch.cdist(x, examples).square() / (2 * level.square()[:, None])

    for ours, plain in (
        (mean, lambda *a: torch.softmax(logits(*a), 1) @ examples),
        (log_sum, lambda *a: torch.logsumexp(logits(*a), 1)),
    ):
        found, expected = (torch.autograd.grad(f(sigma, logs).sum(), (sigma, logs)) for f in (ours, plain))
        torch.testing.assert_close(found, expected)


def test_one_level_for_all_may_be_differentiated():
    prior, x = overlapping()
    one, each = torch.tensor(0.6).double().requires_grad_(), torch.full((9,), 0.6).double().requires_grad_()
    slopes = [torch.autograd.grad(prior.denoise(x, sigma).sum(), sigma)[0] for sigma in (one, each)]
    torch.testing.assert_close(slopes[0], slopes[1].sum())


def test_examples_are_constants():
    examples = randn(20, 3).requires_grad_()
    assert not MemorizedPrior(examples, 0.7).log_prob(randn(9, 3, seed=1)).requires_grad


def test_memory_of_a_mean_does_not_grow_with_the_examples():
    """Peaks of what torch allocates, by its own record: blocks are summed as they come."""
    x, peaks = randn(1024, 256, seed=1), []
    for n in (2**12, 2**14):
        prior = MemorizedPrior(randn(n, 256), 0.5)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as record:
            prior.denoise(x, 0.5)
        held = [e.nbytes() for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
        peaks.append(max(torch.tensor(held).cumsum(0)).item())
    assert peaks[1] < 1.1 * peaks[0]


def test_no_share_is_a_denormal_number():
    examples, x = randn(3000, 16).float(), randn(8, 16, seed=1).float()
    variance = torch.full((1, 1), 0.06)
    prior = WeightedExamples(examples)
    tiny = torch.finfo(torch.float32).tiny
    exponents = -torch.cdist(x.double(), examples.double()).square() / 0.12
    plain = torch.softmax(exponents, 1)
    assert ((plain > 1e-45) & (plain < tiny)).sum() > 100, "without such shares nothing is tested"
    for point in (x, x.clone().requires_grad_()):
        ((_, shares, _, _),) = prior._shares(point, variance)
        assert ((shares == 0) | (shares >= tiny)).all()
        torch.testing.assert_close(shares.double(), plain, rtol=1e-3, atol=1e-30)


def test_point_mass_jacobian_dies_and_mixture_jacobian_does_not():
    prior = MemorizedPrior(10 * randn(5, 3), 0.1)
    x = prior.examples[:1] + 0.01
    dead = jacobian(lambda z: prior.denoise(z, 0.1), x[0])
    alive = jacobian(lambda z: prior.denoise(z, 0.1, include_bandwidth=True), x[0])
    assert dead.abs().max() == 0
    torch.testing.assert_close(alive, 0.5 * torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("form", [float, torch.tensor, lambda s: torch.full((9,), s, dtype=torch.float64)])
def test_sigma_may_be_a_float_a_scalar_or_one_a_sample(form):
    prior, x = overlapping()
    for include in (False, True):
        expected = brute_force_denoise(prior.examples, x, 0.6, 0.7 * include)
        found = prior.denoise(x, form(0.6), include_bandwidth=include)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_each_sample_gets_its_own_sigma(path):
    prior, x = overlapping()
    sigma = torch.linspace(0.1, 3, 9, dtype=torch.float64)
    one_by_one = [prior.denoise(x[i : i + 1], float(sigma[i])) for i in range(9)]
    torch.testing.assert_close(prior.denoise(x, sigma), torch.cat(one_by_one))


def test_float32_is_close_to_float64(path):
    examples, x = randn(50, 16), randn(9, 16, seed=1)
    double, single = MemorizedPrior(examples, 0.7), MemorizedPrior(examples.float(), 0.7)
    for one, two in ((single.score(x.float()), double.score(x)), (single.log_prob(x.float()), double.log_prob(x))):
        torch.testing.assert_close(one, two.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dtype", "sigma"), list(product([torch.float32, torch.float64], [1e-15, 1.0, 1e6])))
def test_far_points_and_tiny_levels_stay_finite(path, dtype, sigma):
    prior = MemorizedPrior(randn(20, 3).to(dtype), 1e-3)
    x = torch.cat([1e6 * randn(3, 3, seed=1), randn(3, 3, seed=2), randn(20, 3)[:3]]).to(dtype)
    for found in (prior.denoise(x, sigma), prior.denoise(x, sigma, include_bandwidth=True), prior.score(x),
                  prior.responsibilities(x, sigma), prior.log_prob(x)):  # fmt: skip
        assert torch.isfinite(found).all()


def test_one_example_is_one_gaussian():
    centre, x = randn(1, 3), randn(5, 3, seed=1)
    prior = MemorizedPrior(centre, 0.5)
    torch.testing.assert_close(prior.score(x), (centre - x) / 0.25)
    torch.testing.assert_close(prior.denoise(x, 2.0), centre.expand(5, 3))
    assert (prior.responsibilities(x, 1.0) == 1).all()


def test_samples_have_the_moments_of_the_mixture(generator):
    prior, _ = overlapping(n=4, d=2, bandwidth=0.5)
    samples = prior.sample(200_000, generator=generator)
    covariance = prior.examples.T.cov(correction=0) + 0.25 * torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(samples.mean(0), prior.examples.mean(0), rtol=0, atol=0.01)  # 4 standard errors
    torch.testing.assert_close(samples.T.cov(), covariance, rtol=0, atol=0.02)


def test_generator_fixes_the_samples_and_none_is_the_global_one():
    prior, _ = overlapping()
    first, second = (prior.sample(5, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    third = (torch.manual_seed(3), prior.sample(5))[1]
    assert torch.equal(first, second)
    assert torch.equal(first, third)


def test_inputs_are_not_modified(path):
    prior, x = overlapping()
    before = prior.examples.clone(), x.clone()
    prior.score(x), prior.log_prob(x), prior.denoise(x, 0.1, include_bandwidth=True), prior.responsibilities(x, 1.0)
    assert all(map(torch.equal, (prior.examples, x), before))


@st.composite
def problems(draw):
    n, d, seed = draw(st.integers(1, 12)), draw(st.integers(1, 4)), draw(st.integers(0, 2**31))
    spread, sigma = (10 ** draw(st.floats(-k, k)) for k in (1, 2))
    return spread * randn(n, d, seed=seed), randn(5, d, seed=seed + 1), sigma


@given(problems())
def test_responsibilities_sum_to_one_and_denoised_points_lie_in_the_hull(problem):
    examples, x, sigma = problem
    prior = MemorizedPrior(examples, 1.0)
    shares = prior.responsibilities(x, sigma)
    torch.testing.assert_close(shares.sum(1), torch.ones(5).double())
    torch.testing.assert_close(prior.denoise(x, sigma), shares @ examples)
    direction = randn(examples.shape[1], seed=7)  # a hull is the intersection of its half-spaces
    low, high = torch.aminmax(examples @ direction)
    reach = prior.denoise(x, sigma) @ direction
    assert ((low - 1e-9 <= reach) & (reach <= high + 1e-9)).all()


@given(problems(), st.floats(0.1, 10))
def test_denoise_moves_turns_and_scales_with_the_problem(problem, scale):
    examples, x, sigma = problem
    shift, order = randn(examples.shape[1], seed=8), torch.randperm(len(examples))
    expected = MemorizedPrior(examples, 1.0).denoise(x, sigma)
    moved = MemorizedPrior(scale * examples[order] + shift, 1.0).denoise(scale * x + shift, scale * sigma)
    torch.testing.assert_close(moved, scale * expected + shift, rtol=1e-6, atol=1e-6)


@given(st.integers(1, 8), st.floats(0.05, 2))
def test_density_integrates_to_one(n, bandwidth):
    prior = MemorizedPrior(randn(n, 1, seed=n), bandwidth)
    grid = torch.linspace(-20, 20, 20001).double()
    assert float(torch.trapezoid(prior.log_prob(grid[:, None]).exp(), grid)) == pytest.approx(1, abs=1e-9)
