"""Misuse of `fit` gives an error that names the argument, the rule and the value, before a step is taken."""

import math

import numpy as np
import pytest
import torch
from small_networks import BAD_WEIGHTS, mlp
from torch import nn

from lib.network import ResidualMLP, fit
from lib.training_input import checked_settings

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
NAN = torch.where(X == X[0, 0], math.nan, X)
META = torch.empty(6, 4, device="meta")


def train(network=None, examples=X, **options):
    return fit(mlp() if network is None else network, examples, **{"steps": 2, "batch_size": 4, **options})


@pytest.fixture
def no_steps(monkeypatch):
    """Nothing may be trained before an error."""

    def refuse(*arguments, **options):
        raise AssertionError("a step was taken")

    monkeypatch.setattr(torch.optim.Adam, "step", refuse)


def test_the_calls_below_succeed_when_nothing_is_wrong():
    train(held_out=X, patience=2, callback=lambda report: None, ema=np.float32(0.5))
    train(log_sigma=[0, 1], seed=np.int64(3), learning_rate=torch.tensor(1e-3))


BAD_MODELS = [
    (X[0], ValueError, r"{} must have shape \[\*, 4\], got \[4\]"),
    (X[:, :3], ValueError, r"{} must have shape \[\*, 4\], got \[6, 3\]"),
    (X[:0], ValueError, r"{} must not be empty, got shape \[0, 4\]"),
    (NAN, ValueError, "{} must be finite, got 1 NaN or infinite of 24"),
    (X / 0, ValueError, "{} must be finite, got 24"),
    (X.double(), TypeError, "{} must have dtype torch.float32 .* got torch.float64"),
    (X.half(), TypeError, "{} must have dtype torch.float32 or torch.float64, got torch.float16"),
    (X.long(), TypeError, "{} must have a floating dtype, got torch.int64"),
    (X.to_sparse(), TypeError, "{} must be a dense tensor"),
    (META, ValueError, "{} must be on device cpu .* got meta"),
    (X.numpy(), TypeError, "{} must be a torch.Tensor, got ndarray; torch.as_tensor converts"),
    (X.tolist(), TypeError, "{} must be a torch.Tensor, got list"),
    (100 * X, ValueError, r"{} must be centred and scaled .* sigma_data \(1\), got "),
    (X / 100, ValueError, r"{} must be centred and scaled .* sigma_data \(1\), got 0.0"),
    (X + 3000, ValueError, r"{} must be centred and scaled .* sigma_data \(1\), got 3000"),
    (0 * X[:1], ValueError, r"{} must be centred and scaled .* sigma_data \(1\), got 0"),
    (1e30 * X, ValueError, r"{} must be centred and scaled .* sigma_data \(1\), got [\d.]+e[+]"),
]


@pytest.mark.parametrize("name", ["examples", "held_out"])
@pytest.mark.parametrize(("value", "error", "message"), BAD_MODELS)
def test_bad_models(name, value, error, message, no_steps):
    with pytest.raises(error, match=message.replace("{}", name)):
        train(**{name: value})


def test_examples_that_are_all_equal_are_refused_but_one_is_not(no_steps):
    with pytest.raises(ValueError, match="examples must differ, got 5 copies of one model"):
        train(examples=X[:1].expand(5, 4))
    with pytest.raises(TypeError, match="examples must be a torch.Tensor, got NoneType"):
        train(examples=None)
    with pytest.raises(AssertionError, match="a step was taken"):
        train(examples=X[:1])


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        ("net", TypeError, "network must be a denoiser of lib.network, got str"),
        (ResidualMLP, TypeError, "network must be a denoiser of lib.network, got type"),
        (lambda x, sigma: x, TypeError, "network must be a denoiser of lib.network, got function"),
        (nn.Linear(4, 4), TypeError, "network must be a denoiser of lib.network, got Linear"),
        (nn.MSELoss(), TypeError, "network must be a denoiser of lib.network, got MSELoss"),
        *BAD_WEIGHTS,
        (mlp().double(), TypeError, "examples must have dtype torch.float64 like the other tensors"),
        (mlp(sigma_data=100.0), ValueError, r"examples must be centred .* sigma_data \(100\), got"),
    ],
)
def test_bad_networks(network, error, message, no_steps):
    with pytest.raises(error, match=message):
        train(network)


BAD_COUNTS = [
    (0, ValueError, "{} must be at least 1, got 0"),
    (-1, ValueError, "{} must be at least 1, got -1"),
    (2**70, ValueError, "{} must be below 2\\^63, got"),
    (8.0, TypeError, "{} must be a whole number, got float"),
    (math.inf, TypeError, "{} must be a whole number, got float"),
    (True, TypeError, "{} must be a whole number, got bool"),
    ("8", TypeError, "{} must be a whole number, got str"),
    (np.array([8]), TypeError, "{} must be a whole number, got ndarray"),
    (torch.ones(1), TypeError, "{} must be a whole number, got Tensor"),
]


@pytest.mark.parametrize("name", ["steps", "batch_size", "every", "patience"])
@pytest.mark.parametrize(("value", "error", "message"), BAD_COUNTS)
def test_bad_counts(name, value, error, message, no_steps):
    with pytest.raises(error, match=message.format(name)):
        train(held_out=X, **{name: value})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be positive and finite, got 0.0"),
        ({"learning_rate": -1}, ValueError, "learning_rate must be positive and finite, got -1.0"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate must be positive and finite, got nan"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be one positive number, got str"),
        ({"learning_rate": None}, TypeError, "learning_rate must be one positive number, got NoneType"),
        ({"schedule": "linear"}, ValueError, r"schedule must be one of \['cosine', 'constant'\], got 'linear'"),
        ({"schedule": None}, ValueError, "schedule must be one of .* got None"),
        ({"schedule": np.array(["cosine", "x"])}, ValueError, "schedule must be one of .* got array"),
        ({"precision": "float16"}, ValueError, r"precision must be one of \['float32', 'bf16'\], got 'float16'"),
        ({"precision": torch.float32}, ValueError, "precision must be one of .* got torch.float32"),
        ({"precision": "bf16"}, ValueError, "precision must be 'float32' on a cpu device, got 'bf16'"),
        ({"ema": 1}, ValueError, r"ema must lie in \[0, 1\), got 1"),
        ({"ema": -0.1}, ValueError, r"ema must lie in \[0, 1\), got -0.1"),
        ({"ema": math.nan}, ValueError, r"ema must lie in \[0, 1\), got nan"),
        ({"ema": None}, TypeError, "ema must be a number, got NoneType"),
        ({"ema": False}, TypeError, "ema must be a number, got bool"),
        ({"log_sigma": -0.6}, ValueError, r"log_sigma must be \(mean, standard deviation\), got -0.6"),
        ({"log_sigma": (0, 1, 2)}, ValueError, r"log_sigma must be \(mean, standard deviation\), got \(0, 1, 2\)"),
        ({"log_sigma": ("a", 1)}, TypeError, "log_sigma must have a number as its mean, got str"),
        ({"log_sigma": (0, 0)}, ValueError, "log_sigma's standard deviation must be positive and finite, got 0.0"),
        ({"log_sigma": (0, -1)}, ValueError, "log_sigma's standard deviation must be positive and finite, got -1.0"),
        ({"log_sigma": (0, "b")}, TypeError, "log_sigma's standard deviation must be one positive number, got str"),
        ({"log_sigma": (44, 1)}, ValueError, r"log_sigma must keep sigma\^2 in the range of float32, .* got \(44.0"),
        ({"log_sigma": (math.nan, 1)}, ValueError, r"log_sigma must keep sigma\^2 in the range of float32"),
        ({"log_sigma": (0, 100)}, ValueError, r"log_sigma must keep sigma\^2 in the range of float32"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": 0.0}, TypeError, "seed must be a whole number, got float"),
        ({"seed": None}, TypeError, "seed must be a whole number, got NoneType"),
        ({"patience": 2}, ValueError, "patience must be None without held_out models, got 2"),
        ({"callback": "print"}, TypeError, "callback must be a callable from a dict .* got str"),
        ({"checkpoint": 3}, TypeError, "checkpoint must be a str or a pathlib.Path, got int"),
        ({"checkpoint": True}, TypeError, "checkpoint must be a str or a pathlib.Path, got bool"),
        ({"checkpoint": b"a"}, TypeError, "checkpoint must be a str or a pathlib.Path, got bytes"),
    ],
)
def test_bad_settings(change, error, message, no_steps):
    with pytest.raises(error, match=message):
        train(**change)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("rate", [1e30, 1e37])
def test_steps_too_long_for_a_finite_loss_are_an_error_even_at_the_last_step(rate, every):
    """The loss is that before a step: without a look at the weights the last step would go unseen."""
    for held_out in (None, X):
        for steps in (1, 2, 5):
            with pytest.raises(ValueError, match=r"learning_rate must be small enough for a finite loss, got 1e\+3"):
                train(learning_rate=rate, steps=steps, every=every, held_out=held_out)


def test_settings_come_back_as_plain_numbers():
    given = {
        "steps": torch.tensor(5), "batch_size": np.int32(4), "learning_rate": np.float32(0.5), "schedule": "cosine",
        "ema": np.float64(0.9), "log_sigma": (np.float32(0.5), torch.tensor(1.0)), "patience": None, "every": 2,
        "precision": "float32", "seed": np.int64(3),
    }  # fmt: skip
    found = checked_settings(**given)
    assert found == {
        "steps": 5, "batch_size": 4, "learning_rate": 0.5, "schedule": "cosine", "ema": 0.9, "log_sigma": [0.5, 1.0],
        "patience": None, "every": 2, "precision": "float32", "seed": 3,
    }  # fmt: skip
    assert {type(value) for value in found.values()} == {int, float, str, list, type(None)}
