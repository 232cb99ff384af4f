"""Misuse of any closed-form room gives an error that names the argument, the rule and the value."""

import math

import numpy as np
import pytest
import torch

from lib import checks
from lib.forward import stylized_1d, stylized_2d
from lib.mixture import GaussianMixture, MemorizedPrior
from lib.posterior import ConditionalDenoiser, linearized_posterior, lookup_weights
from lib.samplers import dps, sample
from lib.schedule import karras_sigmas

X = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PRIOR, SIGMAS, Y = MemorizedPrior(X, 0.1), karras_sigmas(4, 20.0, 0.1), X[0].clone()
NAN = torch.where(X == X[0, 0], math.nan, X)
META = torch.empty(6, 2, dtype=torch.float64, device="meta")


def lookup(examples=X, forward=stylized_2d, d_obs=Y, noise_std=0.3, **options):
    return lookup_weights(examples, forward, d_obs, noise_std, **options)


def linearized(examples=X, bandwidth=0.1, forward=stylized_2d, d_obs=Y, noise_std=0.3):
    return linearized_posterior(examples, bandwidth, forward, d_obs, noise_std)


def guided(denoise=PRIOR.denoise, forward=stylized_2d, d_obs=Y, noise_std=0.3, sigmas=SIGMAS, shape=(3, 2)):
    return dps(denoise, forward, d_obs, noise_std, sigmas, shape)


def unguided(denoise=PRIOR.denoise, sigmas=SIGMAS, shape=(3, 2)):
    return sample(denoise, sigmas, shape)


def prior(examples=X, bandwidth=0.1):
    return MemorizedPrior(examples, bandwidth)


def mixture(x=X, sigma=1.0):
    return GaussianMixture(X, torch.eye(2).double().expand(6, 2, 2), torch.zeros(6).double()).denoise(x, sigma)


def denoised(x=X, sigma=1.0):
    return PRIOR.denoise(x, sigma)


def conditional(examples=X, log_weights=torch.zeros(6).double(), x=X, sigma=1.0):  # noqa: B008
    return ConditionalDenoiser(examples, log_weights)(x, sigma)


def test_the_calls_below_succeed_when_nothing_is_wrong():
    for call in (lookup, linearized, guided, unguided, prior, mixture, denoised, conditional):
        call()


BAD_TENSORS = [
    (X[0], ValueError, r"{} must have shape \[.*\], got \[2\]"),
    (X[:0], ValueError, r"{} must not be empty, got shape \[0, 2\]|{} must have shape"),
    (NAN, ValueError, "{} must be finite, got 1 NaN or infinite of 12"),
    (X / 0, ValueError, "{} must be finite, got 12"),
    (X.long(), TypeError, "{} must have a floating dtype, got torch.int64"),
    (X + 1j, TypeError, "{} must have a floating dtype, got torch.complex128"),
    (X.numpy(), TypeError, "{} must be a torch.Tensor, got ndarray; torch.as_tensor converts"),
    (X.tolist(), TypeError, "{} must be a torch.Tensor, got list"),
    (None, TypeError, "{} must be a torch.Tensor, got NoneType"),
]


@pytest.mark.parametrize(
    ("call", "name"),
    [(prior, "examples"), (lookup, "examples"), (linearized, "examples"), (conditional, "examples"),
     (denoised, "x"), (mixture, "x"), (conditional, "x")],
)  # fmt: skip
@pytest.mark.parametrize(("value", "error", "message"), BAD_TENSORS)
def test_bad_tensors(call, name, value, error, message):
    with pytest.raises(error, match=message.replace("{}", name)):
        call(**{name: value})


@pytest.mark.parametrize("call", [denoised, mixture, conditional])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [(X[:, :1], ValueError, r"x must have shape \[\*, 2\], got \[6, 1\]"),
     (X.float(), TypeError, "x must have dtype torch.float64 like the other tensors, got torch.float32"),
     (META, ValueError, "x must be on device cpu like the other tensors, got meta")],
)  # fmt: skip
def test_points_that_do_not_fit_the_examples(call, value, error, message):
    with pytest.raises(error, match=message):
        call(x=value)


BAD_NUMBERS = [
    (0.0, ValueError, "{} must be positive and finite, got 0.0"),
    (-0.1, ValueError, "{} must be positive and finite, got -0.1"),
    (math.nan, ValueError, "{} must be positive and finite, got nan"),
    (math.inf, ValueError, "{} must be positive and finite, got inf"),
    (torch.tensor(-2.0), ValueError, "{} must be positive and finite, got -2.0"),
    (1e-200, ValueError, "{} must have a square that torch.float64 can hold .* got 1e-200"),
    (1e200, ValueError, "{} must have a square that torch.float64 can hold .* got 1e[+]200"),
    ("0.1", TypeError, "{} must be one positive number, got str"),
    (None, TypeError, "{} must be one positive number, got NoneType"),
    (True, TypeError, "{} must be one positive number, got bool"),
    (1j, TypeError, "{} must be one positive number, got complex"),
]


@pytest.mark.parametrize(
    ("call", "name"),
    [(prior, "bandwidth"), (linearized, "bandwidth"), (lookup, "noise_std"), (linearized, "noise_std"),
     (guided, "noise_std"), (denoised, "sigma"), (mixture, "sigma"), (conditional, "sigma")],
)  # fmt: skip
@pytest.mark.parametrize(("value", "error", "message"), BAD_NUMBERS)
def test_bad_scales(call, name, value, error, message):
    with pytest.raises(error, match=message.replace("{}", name)):
        call(**{name: value})


def test_a_scale_that_underflows_in_single_precision_only():
    MemorizedPrior(X, 1e-30)
    with pytest.raises(ValueError, match="bandwidth must have a square that torch.float32 can hold .* got 1e-30"):
        MemorizedPrior(X.float(), 1e-30)
    with pytest.raises(ValueError, match="noise_std must have a square that torch.float32 can hold"):
        lookup(X.float(), d_obs=Y.float(), noise_std=1e-30)
    with pytest.raises(ValueError, match="sigma must have a square that torch.float32 can hold"):
        MemorizedPrior(X.float(), 0.1).denoise(X.float(), torch.tensor([1e-30] + [1.0] * 5))


@pytest.mark.parametrize("call", [denoised, mixture, conditional])
def test_bad_levels_of_a_batch(call):
    for sigma, message in [(torch.ones(5), r"sigma must have shape \[6\], got \[5\]"),
                           (torch.tensor([1.0, 1, 1, 1, 1, 0]), "sigma must be positive, got a minimum of 0.0"),
                           (torch.full((6,), math.nan), "sigma must be finite, got 6"),
                           (torch.logspace(-9, 200, 6, dtype=torch.float64), "sigma must have a square")]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call(sigma=sigma.double())
    with pytest.raises(TypeError, match="sigma must have dtype torch.float64"):
        call(sigma=torch.ones(6))


@pytest.mark.parametrize("call", [lookup, linearized, guided])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"forward": "F"}, TypeError, r"forward must be a callable from \[B, d\] to \[B, m\], got str"),
        ({"forward": lambda x: x[0]}, ValueError, "forward must map a batch .* single model"),
        ({"forward": lambda x: torch.ones(5, 7).double() @ x}, ValueError, "forward must map a batch .* it failed on"),
        ({"forward": stylized_1d}, ValueError, r"x must have shape \[\*, 1\]"),
        ({"forward": lambda x: x[:, :1]}, ValueError, r"forward must return as many data as d_obs has \(2\), got 1"),
        ({"forward": lambda x: x[:, :, None]}, ValueError, "forward must map a batch"),
        ({"forward": lambda x: x / 0}, ValueError, "forward's output must be finite, got"),
        ({"forward": lambda x: x.float()}, TypeError, "forward's output must have dtype torch.float64"),
        ({"forward": lambda x: x.to("meta")}, ValueError, "forward's output must be on device cpu .* got meta"),
        ({"forward": lambda x: x.detach().tolist()}, TypeError, "forward must return a torch.Tensor, got list"),
        ({"d_obs": X}, ValueError, r"d_obs must have shape \[\*\], got \[6, 2\]"),
        ({"d_obs": Y.float()}, TypeError, "d_obs must have dtype torch.float64 .* got torch.float32"),
        ({"d_obs": Y / 0}, ValueError, "d_obs must be finite"),
        ({"d_obs": torch.zeros(2, device="meta").double()}, ValueError, "d_obs must be on device cpu"),
        ({"d_obs": torch.zeros(3).double()}, ValueError, r"forward must return as many data as d_obs has \(3\), got 2"),
    ],
)
def test_bad_maps_and_data(call, change, error, message):
    with pytest.raises(error, match=message):
        call(**change)


@pytest.mark.parametrize("call", [guided, unguided])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sigmas": SIGMAS.flip(0)}, ValueError, "sigmas must hold .* positive, strictly falling levels, got 0.1"),
        ({"sigmas": SIGMAS[:1]}, ValueError, "sigmas must hold at least two"),
        ({"sigmas": torch.tensor([20.0, 1, 1]).double()}, ValueError, "strictly falling levels, got 20, 1, 1"),
        ({"sigmas": torch.tensor([20.0, 0.0]).double()}, ValueError, "positive, strictly falling"),
        ({"sigmas": torch.tensor([20.0, 1e-170], dtype=torch.float64)}, ValueError, r"sigmas\[-1\] must have a square"),
        ({"sigmas": [20.0, 1.0]}, TypeError, "sigmas must be a torch.Tensor, got list"),
        ({"sigmas": SIGMAS.float()}, TypeError, "must have dtype torch.float"),
        ({"shape": (3,)}, ValueError, r"shape must be \(number of samples, d\), got \(3,\)"),
        ({"shape": 3}, (TypeError, ValueError), "shape must"),
        ({"shape": (0, 2)}, ValueError, "shape must be at least 1, got 0"),
        ({"shape": (3.0, 2)}, TypeError, "shape must be a whole number, got float"),
        ({"shape": (3, 5)}, ValueError, r"x must have shape \[\*, 2\], got \[3, 5\]"),
        ({"denoise": lambda x, s: x * math.nan}, ValueError, "must be finite, got 6"),
        ({"denoise": lambda x, s: x[0]}, ValueError, r"must have shape .* got \[2\]"),
    ],
)
def test_bad_schedules_shapes_and_denoisers(call, change, error, message):
    with pytest.raises(error, match=message):
        call(**change)


def test_numbers_of_other_libraries_are_fine():
    assert checks.positive("b", np.float32(0.5)) == 0.5
    assert checks.positive("b", torch.tensor(0.5)) == 0.5
    assert checks.count("n", np.int64(3)) == 3
