"""R-hat and effective sample size on chains whose answers are known."""

import sys

import pytest
import torch

from lib.diagnostics import chain_ess, rhat


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def autoregressive(correlation, chains=4, draws=4000, d=2):
    noise, states = randn(chains, draws, d), [randn(chains, d, seed=1)]
    for step in range(draws):
        states.append(correlation * states[-1] + (1 - correlation**2) ** 0.5 * noise[:, step])
    return torch.stack(states[1:], 1)


def test_independent_draws_agree_and_count_in_full():
    chains = randn(4, 1000, 3)
    assert rhat(chains).shape == chain_ess(chains).shape == (3,)
    assert (rhat(chains) < 1.01).all()
    assert (chain_ess(chains) / 4000 - 1).abs().max() < 0.15


def test_chains_apart_in_place_or_in_spread_show():
    apart, wide, drifting = (randn(4, 500, 1, seed=s) for s in range(3))
    apart[0] += 1
    wide[0] *= 3  # plain R-hat, of means alone, would pass this
    drifting += torch.linspace(-1, 1, 500)[:, None]  # and this needs the split
    assert all(float(rhat(chains)) > 1.05 for chains in (apart, wide, drifting))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, -0.5])
def test_effective_sample_size_of_an_autoregression_is_its_closed_form(correlation):
    exact = 16_000 * (1 - correlation) / (1 + correlation)
    for kind in ("bulk", "mean"):
        assert float(chain_ess(autoregressive(correlation), kind).mean()) == pytest.approx(exact, rel=0.15)
    assert 0 < float(chain_ess(autoregressive(correlation), "tail").min()) < 2 * exact


def test_dtype_is_kept_and_one_chain_has_an_effective_sample_size():
    assert rhat(randn(2, 50, 1).float()).dtype == torch.float32
    assert 0 < chain_ess(randn(1, 50, 1)).item() < 200


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rhat(randn(5, 2)), ValueError, r"chains must have shape \[\*, \*, \*\], got \[5, 2\]"),
        (lambda: rhat(randn(1, 50, 2)), ValueError, "chains must hold at least 2 chains of 4 draws"),
        (lambda: chain_ess(randn(2, 3, 2)), ValueError, r"at least 1 chains of 4 draws, .* got \[2, 3, 2\]"),
        (lambda: chain_ess(randn(2, 9, 2), "all"), ValueError, "kind must be 'bulk', 'tail' or 'mean', got 'all'"),
        (lambda: rhat(randn(2, 9, 2) / 0), ValueError, "chains must be finite"),
    ],
)
def test_misuse_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_without_arviz_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz_stats.base", None)
    with pytest.raises(ImportError, match="pip install 'arviz-stats>=0.8'"):
        rhat(randn(2, 9, 2))
