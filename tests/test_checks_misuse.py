"""Odd values and misbehaving maps: refused by name, or harmless; nothing fails without a word."""

import math

import numpy as np
import pytest
import torch

from lib import checks
from lib.diagnostics import memorization_rate, nearest_ratio
from lib.forward import stylized_2d
from lib.jacobian import dot_test, jacobian
from lib.mixture import MemorizedPrior
from lib.posterior import ConditionalDenoiser, linearized_posterior, lookup_weights
from lib.samplers import dps, sample
from lib.schedule import karras_sigmas

X = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PRIOR, SIGMAS, Y = MemorizedPrior(X, 0.1), karras_sigmas(6, 20.0, 0.1), X[0].clone()


def run_dps(denoise=PRIOR.denoise, forward=stylized_2d, generator=None, **options):
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    return dps(denoise, forward, Y, 0.3, SIGMAS, (3, 2), generator=generator, **options)


def run_sample(denoise=PRIOR.denoise, generator=None, **options):
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    return sample(denoise, SIGMAS, (3, 2), generator=generator, **options)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (X.to("meta"), ValueError, "x must hold values, got a tensor on device meta"),
        (X.to_sparse(), TypeError, "x must be a dense tensor, got torch.sparse_coo"),
        (X.half(), TypeError, "x must have dtype torch.float32 or torch.float64, got torch.float16"),
        (X.to(torch.float8_e4m3fn), TypeError, "x must have dtype torch.float32 or torch.float64, got torch.float8"),
    ],
)
def test_tensors_without_usable_values(value, error, message):
    with pytest.raises(error, match=message):
        checks.tensor("x", value, shape=(6, 2))


@pytest.mark.parametrize("value", [np.bool_(True), torch.tensor(True), np.array([0.5]), torch.ones(1), "1", 1j])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match="b must be one positive number, got"):
        checks.positive("b", value)
    with pytest.raises(TypeError, match="n must be a whole number, got"):
        checks.count("n", value)


def test_numbers_beyond_every_range():
    with pytest.raises(ValueError, match="b must be positive and finite, got inf"):
        checks.positive("b", 10**400)
    with pytest.raises(ValueError, match=r"n must be below 2\^63, got 1000"):
        checks.count("n", 10**30)
    for value in (2.0, torch.tensor(2.0), np.float64(2)):
        with pytest.raises(TypeError, match="n must be a whole number, got float"):
            checks.count("n", value)
    for check in (checks.positive, checks.count):
        with pytest.raises(ValueError, match="b must hold values, got a tensor on device meta"):
            check("b", torch.tensor(1, device="meta"))
    assert checks.positive("b", np.array(0.5)) == 0.5
    assert checks.count("n", torch.tensor(3)) == 3


@pytest.mark.parametrize("generator", [0, np.random.default_rng(0)])
def test_a_seed_is_no_generator(generator):
    for call in (run_sample, run_dps, lambda generator: PRIOR.sample(3, generator=generator),
                 lambda generator: linearized_posterior(X, 0.1, stylized_2d, Y, 0.3).sample(3, generator=generator),
                 lambda generator: dot_test(stylized_2d, Y, generator=generator),
                 lambda generator: memorization_rate(X, X + 1, X + 2, generator=generator)):  # fmt: skip
        with pytest.raises(TypeError, match="generator must be a torch.Generator or None, got"):
            call(generator=generator)


@pytest.mark.parametrize("run", [run_sample, run_dps])
def test_what_cannot_be_called(run):
    with pytest.raises(TypeError, match="denoise must be a callable from .* got MemorizedPrior"):
        run(denoise=PRIOR)
    with pytest.raises(TypeError, match="callback must be a callable .* got int"):
        run(callback=3)
    with pytest.raises(ValueError, match=r"denoise must map .* failed on shape \[3, 2\]: mat1 and mat2"):
        run(denoise=lambda x, sigma: torch.nn.Linear(5, 2).double()(x))
    with pytest.raises(TypeError, match="denoise's output must be a torch.Tensor, got tuple"):
        run(denoise=lambda x, sigma: (x, sigma))
    with pytest.raises(TypeError, match="guidance_variance must be a callable .* got float"):
        run_dps(guidance_variance=1.0)


@pytest.mark.parametrize("run", [run_sample, run_dps])
def test_denoiser_that_works_in_place_changes_nothing(run):
    def in_place(x, sigma):
        return x.mul_(0.1)

    assert torch.equal(run(denoise=in_place, denoise_last=False), run(denoise=lambda x, s: 0.1 * x, denoise_last=False))


@pytest.mark.parametrize("run", [run_sample, run_dps])
def test_callback_that_rescales_its_report_changes_nothing(run):
    def rescale(report):
        report["x"].mul_(100)
        report["x0"].zero_()

    assert torch.equal(run(callback=rescale), run())

    def stop(report):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(callback=stop)


def test_forward_that_works_in_place_changes_nothing():
    def in_place(x):
        return x.mul_(3)

    examples, before = X.clone(), X.clone()
    logs = lookup_weights(examples, in_place, Y, 0.3)
    torch.testing.assert_close(logs, lookup_weights(X, lambda x: 3 * x, Y, 0.3))
    torch.testing.assert_close(jacobian(in_place, examples[0]), 3 * torch.eye(2).double())
    assert dot_test(in_place, examples[0]) < 1e-12
    linearized_posterior(examples, 0.1, in_place, Y, 0.3)
    assert torch.equal(run_dps(forward=in_place), run_dps(forward=lambda x: 3 * x))
    assert torch.equal(examples, before)


@pytest.mark.parametrize("forward", [lambda x: x.detach() ** 2, torch.ones_like])
def test_a_map_that_leaves_the_graph_is_not_taken_for_a_flat_one(forward):
    for call in (lambda: jacobian(forward, Y), lambda: linearized_posterior(X, 0.1, forward, Y, 0.3),
                 lambda: dot_test(forward, Y), lambda: run_dps(forward=forward)):  # fmt: skip
        with pytest.raises(ValueError, match="forward must be differentiable"):
            call()


@pytest.mark.parametrize("guidance", ["likelihood", "normalized"])
def test_a_denoiser_that_leaves_the_graph_does_not_lose_the_data(guidance):
    with pytest.raises(ValueError, match="denoise must be differentiable for guidance"):
        run_dps(denoise=torch.no_grad()(PRIOR.denoise), guidance=guidance)


def test_schedule_and_data_that_require_a_gradient_start_no_graph():
    reports = []
    found = dps(PRIOR.denoise, stylized_2d, Y.clone().requires_grad_(), 0.3, SIGMAS.clone().requires_grad_(), (3, 2),
                callback=reports.append, denoise_last=False)  # fmt: skip
    assert not found.requires_grad
    assert not any(isinstance(v, torch.Tensor) and v.requires_grad for report in reports for v in report.values())


def test_overflow_is_refused_not_returned_as_nan():
    far = torch.full((6, 2), 1e200, dtype=torch.float64)
    for call in (PRIOR.log_prob, PRIOR.score, lambda x: PRIOR.denoise(x, 0.3), lambda x: PRIOR.responsibilities(x, 1)):
        with pytest.raises(ValueError, match=r"x must be so near the examples .* overflow"):
            call(far)
    with pytest.raises(ValueError, match="d_obs must be so near some F"):
        lookup_weights(X, stylized_2d, far[0], 0.3)
    with pytest.raises(ValueError, match="noise_std must not be so small .* got 1e-160"):
        linearized_posterior(X, 0.1, stylized_2d, Y, 1e-160)
    with pytest.raises(ValueError, match="distance from samples to examples must be finite"):
        nearest_ratio(far, X, 2)


def test_conditional_denoiser_needs_its_weights_and_rules_have_names():
    with pytest.raises(TypeError, match="log_weights must be a torch.Tensor, got NoneType"):
        ConditionalDenoiser(X, None)
    with pytest.raises(ValueError, match="rule must be one of"):
        memorization_rate(X, X + 1, X + 2, rule=["d1/d2"])
    by_position = memorization_rate(X, X + 1, X + 2, "nearest-ratio", 0.5)
    assert (by_position.rule, by_position.threshold) == ("nearest-ratio", 0.5)
    assert math.isfinite(by_position.rate)
