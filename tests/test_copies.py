"""Duplicates, leaks, leave-one-out neighbours, and rates whose null they spoil."""

import pytest
import torch

from lib import copies
from lib.copies import Neighbourhood, distinct, leave_one_out, touching
from lib.diagnostics import RULES, memorization_rate


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def test_exact_and_near_duplicates_are_counted_once():
    examples = randn(40, 8)
    examples[7], examples[20], examples[30] = examples[3], examples[3], examples[11] + 1e-3
    numbers, found = distinct(examples, 0.05)
    assert (found.exact, found.near, found.checked) == (2, 1, 38)
    assert sorted(set(range(40)) - set(numbers.tolist())) == [7, 20, 30]
    assert [pair[:2] for pair in found.pairs] == [(3, 7), (3, 20), (11, 30)]
    assert found.pairs[2][2] == pytest.approx(1e-3 * 8**0.5)


def test_distinct_models_all_stay():
    numbers, found = distinct(randn(500, 8), 0.05)
    assert len(numbers) == 500
    assert (found.exact, found.near, found.pairs) == (0, 0, ())


def test_minus_zero_is_zero():
    examples = torch.stack([torch.zeros(3), -torch.zeros(3), torch.ones(3), 2 * torch.ones(3), torch.eye(3)[0]])
    assert distinct(examples, 0.05)[1].exact == 1


def test_chain_of_near_duplicates_leaves_one():
    examples = torch.cat([randn(30, 6), randn(1, 6, seed=1) + 1e-4 * torch.arange(4.0)[:, None]])
    numbers, found = distinct(examples, 0.05)
    assert found.near >= 2
    assert 1 <= int((numbers >= 30).sum()) <= 2
    assert bool((numbers < 30).sum() == 30)


def test_leave_one_out_is_the_table_without_its_diagonal(monkeypatch):
    examples = randn(30, 4)
    table = torch.cdist(examples, examples).fill_diagonal_(torch.inf).sort(1)
    distances, numbers, own = leave_one_out(examples, 5)
    torch.testing.assert_close(distances, table.values[:, :5])
    assert torch.equal(numbers, table.indices[:, :5])
    assert torch.equal(own, torch.arange(30))
    monkeypatch.setattr(copies, "_MOST_CHECKED", 10)
    some, _, own = leave_one_out(examples, 5, generator=seeded(0))
    assert len(own) == len(set(own.tolist())) == 10
    torch.testing.assert_close(some, table.values[own, :5])


def test_touching_finds_exact_and_near_copies():
    examples = randn(20, 4)
    points = torch.cat([examples[:1], examples[1:2] + 1e-6, randn(1, 4, seed=1)])
    assert touching(points, examples, 1e-3).tolist() == [True, True, False]
    assert touching(points, examples, 0.0).tolist() == [True, False, False]


def test_rates_are_those_of_memorization_rate():
    examples, fresh = randn(60, 6), randn(800, 6, seed=1)
    samples = torch.cat([examples.repeat(5, 1) + 1e-2, randn(300, 6, seed=2)])
    around = Neighbourhood.measured(samples, examples, fresh, generator=None)
    for found, rule in zip(around.rates(0.95, generator=seeded(0)), RULES, strict=True):
        expected = memorization_rate(samples, examples, fresh, rule, generator=seeded(0))
        assert (found.rate, found.null_rate, found.rule) == (expected.rate, expected.null_rate, rule)
        assert found.confidence == 0.975
        width, other = (r.interval[1] - r.interval[0] for r in (found, expected))
        assert width > other  # two rules share 5 %


def test_leave_one_out_null_counts_for_half():
    examples, samples = randn(60, 3), randn(400, 3, seed=2)
    alone = Neighbourhood.measured(samples, examples, None, generator=None)
    assert alone.null.shape == (60, 50)
    assert alone.independent == 30
    few = Neighbourhood.measured(samples, examples[:5], None, generator=None)
    assert few.null.shape == (5, 4)


@pytest.mark.parametrize("d", [2, 8])
def test_leave_one_out_null_agrees_with_fresh_draws(d):
    """Rates of 400 and 4000 outcomes at the same threshold; the bound is four standard errors of 200 outcomes."""
    examples, fresh = randn(400, d), randn(4000, d, seed=1)
    for rule in RULES:
        around = [Neighbourhood.measured(fresh[:2], examples, null, generator=None) for null in (None, fresh)]
        rates = [float((found.ratios(rule)[1] < 0.7).double().mean()) for found in around]
        assert abs(rates[0] - rates[1]) < 4 * (0.25 / 200) ** 0.5
