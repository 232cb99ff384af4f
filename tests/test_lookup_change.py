"""The posterior without its nearest example."""

import pytest
import torch

from lib.lookup_change import lookup_change
from lib.posterior import lookup_weights


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def forward(x):
    return torch.cat([x[:, :2], x[:, :1] ** 2], 1)


def test_change_is_that_of_a_lookup_over_the_other_examples():
    examples, d_obs = randn(12, 4), randn(3, seed=1)
    found = lookup_change(examples, forward, d_obs, 0.8)
    weights = lookup_weights(examples, forward, d_obs, 0.8).exp()
    top = int(weights.argmax())
    others = torch.cat([examples[:top], examples[top + 1 :]])
    rest = lookup_weights(others, forward, d_obs, 0.8).exp()
    mean = weights @ examples
    prior = float((examples - examples.mean(0)).square().sum(1).mean().sqrt())
    assert (found.top, found.num_examples) == (top, 12)
    assert found.effective_size == pytest.approx(float(1 / weights.square().sum()))
    assert (found.top_weight, found.total_variation) == pytest.approx((float(weights[top]),) * 2)
    assert found.mean_change == pytest.approx(float((mean - rest @ others).norm()) / prior)
    assert found.spread == pytest.approx(float((weights @ (examples - mean).square().sum(1)).sqrt()) / prior)
    order = weights.sort(descending=True).values
    assert found.log_evidence_lost == pytest.approx(float((order[0] / order[1]).log()))


def test_precise_data_leave_one_example_and_it_matters():
    examples = randn(12, 4).float()
    found = lookup_change(examples, forward, forward(examples[3:4])[0], 1e-3)
    assert (found.top, found.top_weight, found.effective_size) == (3, 1, 1)
    assert found.mean_change > 0.5
    assert found.log_evidence_lost > 1e4


def test_data_without_information_leave_every_example_its_weight():
    found = lookup_change(randn(12, 4), forward, randn(3, seed=1), 1e6)
    assert found.effective_size == pytest.approx(12)
    assert found.total_variation == pytest.approx(1 / 12)
    assert found.spread == pytest.approx(1)
