"""Distances between weights, effective sizes, neighbours and memorization rates with their null."""

import math

import pytest
import torch

from lib.diagnostics import (
    MemorizationRate,
    effective_sample_size,
    memorization_rate,
    nearest_distances,
    nearest_ratio,
    total_variation,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_total_variation_is_half_the_absolute_difference():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.25, 0.5])
    assert total_variation(p, q) == pytest.approx(0.5)
    assert total_variation(p, p) == 0
    assert total_variation(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])) == 1


def test_total_variation_is_a_metric():
    p, q, r = (torch.softmax(randn(6, seed=s), 0) for s in range(3))
    assert total_variation(p, q) == total_variation(q, p)
    assert total_variation(p, r) <= total_variation(p, q) + total_variation(q, r)
    largest_event = max(float((p - q)[list(map(bool, map(int, f"{k:06b}")))].sum()) for k in range(64))
    assert total_variation(p, q) == pytest.approx(largest_event)


def test_effective_sample_size_counts_equal_weights():
    logs = torch.full((8,), -math.inf)
    logs[:3] = -1e5
    assert effective_sample_size(logs) == pytest.approx(3)
    assert effective_sample_size(torch.tensor([0.0, -1e6])) == 1
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    assert effective_sample_size(weights.log() + 7) == pytest.approx(1 / 0.38)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (7, 3), (200, 40)])
def test_nearest_distances_are_those_of_brute_force(n, d, offset):
    examples, samples = randn(n, d) + offset, randn(9, d, seed=1) + offset
    k = min(5, n)
    table = torch.stack([(examples - s).square().sum(1).sqrt() for s in samples])
    found, indices = nearest_distances(samples, examples, k, block=4)
    torch.testing.assert_close(found, table.sort(1).values[:, :k])
    torch.testing.assert_close(table.gather(1, indices), found)


def test_exact_copies_are_at_distance_zero_however_far_from_the_origin():
    examples = (randn(100, 40) + 1e5).float()
    distances, indices = nearest_distances(examples.clone(), examples, 2)
    assert (distances[:, 0] == 0).all()
    assert torch.equal(indices[:, 0], torch.arange(100))
    assert (nearest_ratio(examples, examples, 5) == 0).all()


def test_nearest_ratio_is_first_over_mean_of_the_next():
    examples = torch.tensor([[0.0], [3.0], [5.0], [9.0]])
    ratios = nearest_ratio(torch.tensor([[1.0], [4.0]]), examples, 3)
    torch.testing.assert_close(ratios, torch.tensor([1 / 3, 1 / 2.5]))
    torch.testing.assert_close(nearest_ratio(torch.tensor([[1.0]]), examples, 2), torch.tensor([0.5]))


def test_duplicates_among_the_examples():
    examples = torch.tensor([[0.0, 0.0], [0.0, 0.0], [5.0, 0.0]])
    ratios = nearest_ratio(torch.tensor([[0.0, 0.0], [0.0, 0.1]]), examples, 2)
    assert ratios.tolist() == [0, 1]  # a copy of a duplicate is a copy; near one, d1 = d2


def test_near_duplicates_are_told_apart_in_single_precision():
    """In float32 |x|^2 + |y|^2 - 2 x.y cannot order distances of 1e-4; the differences x - y can."""
    cluster = 3 * randn(1, 40) + torch.tensor([1e-4, 2e-4, 3e-4, 4e-4]).double()[:, None] * randn(4, 40, seed=1)
    examples = torch.cat([cluster, 3 * randn(60, 40, seed=2)]).float()
    for seed in range(20):
        sample = (cluster[:1] + 1e-5 * randn(1, 40, seed=seed)).float()
        distances, indices = nearest_distances(sample, examples, 1)
        assert indices.item() == 0
        assert float(distances) == pytest.approx(float((sample - examples[:1]).double().norm()), rel=1e-5)


def test_metrics_about_neighbours_refuse_one_example():
    one = randn(1, 3)
    with pytest.raises(ValueError, match=r"k must be at most the number of examples \(1\), got 2"):
        nearest_ratio(one, one, 2)
    with pytest.raises(ValueError, match="examples must hold at least 2 models .* got 1"):
        memorization_rate(one, one, one)


@pytest.mark.parametrize(("rule", "k", "threshold"), [("d1/d2", 2, 1 / 3), ("nearest-ratio", 20, 0.7)])
def test_rates_are_the_shares_below_the_threshold(rule, k, threshold):
    examples, fresh = randn(20, 12), randn(300, 12, seed=1)
    samples = torch.cat([examples + 1e-3, randn(60, 12, seed=2)])
    found = memorization_rate(samples, examples, fresh, rule=rule, generator=seeded(0))
    assert found.rate == float((nearest_ratio(samples, examples, k) < threshold).double().mean())
    assert found.null_rate == float((nearest_ratio(fresh, examples, k) < threshold).double().mean())
    assert (found.rule, found.threshold, found.num_samples, found.num_fresh) == (rule, threshold, 80, 300)
    low, high = found.interval
    assert low < found.rate - found.null_rate < high


def test_nearest_ratio_rule_uses_at_most_fifty_neighbours():
    examples, fresh = randn(120, 2), randn(200, 2, seed=1)
    found = memorization_rate(fresh, examples, fresh, rule="nearest-ratio")
    assert found.null_rate == float((nearest_ratio(fresh, examples, 50) < 0.7).double().mean())


def test_fresh_draws_against_fresh_draws_show_no_memorization():
    """The null of the rule r < .7 is far from zero at small N, so a rate alone says nothing."""
    examples = randn(50, 8)
    found = memorization_rate(randn(500, 8, seed=1), examples, randn(500, 8, seed=2), rule="nearest-ratio")
    assert 0.5 < found.null_rate < 1
    assert found.interval[0] < 0 < found.interval[1]


def test_a_rate_cannot_be_had_without_its_null():
    with pytest.raises(TypeError, match="fresh"):
        memorization_rate(randn(5, 2), randn(5, 2))
    text = str(memorization_rate(randn(5, 2), randn(5, 2), randn(9, 2, seed=1)))
    assert "100.0% of 5 samples" in text
    assert "null" in text
    assert list(MemorizationRate.__dataclass_fields__)[:3] == ["rate", "null_rate", "interval"]


def test_exact_copies_are_all_memorized_and_the_threshold_counts():
    examples, fresh = randn(20, 2), randn(50, 2, seed=1)
    copies = memorization_rate(examples.repeat(3, 1), examples, fresh)
    assert copies.rate == 1
    assert memorization_rate(fresh, examples, fresh, threshold=1.01).null_rate == 1
    assert memorization_rate(fresh, examples, fresh, threshold=1e-9).null_rate == 0
    edge = torch.tensor([[0.0], [4.0]])
    assert memorization_rate(torch.tensor([[1.0]]), edge, edge, threshold=1 / 3).rate == 0  # below, not at


def test_interval_covers_the_true_difference():
    """A 95 % interval over 200 repeated experiments: binomial(200, .95) leaves [.88, .99] once in a thousand."""
    examples, hits = torch.tensor([[0.0], [1.0]]), 0
    for seed in range(200):
        # Uniform on [0, .5]: d1/d2 < 1/3 holds on [0, 1/4], a half; on [0, 1/3] three quarters.
        samples, fresh = (torch.rand(100, 1, generator=seeded(2 * seed + k)) for k in (0, 1))
        found = memorization_rate(samples / 3, examples, fresh / 2, generator=seeded(seed))
        hits += found.interval[0] <= 0.25 <= found.interval[1]
    assert 0.88 <= hits / 200 <= 0.99


def test_no_copies_among_few_samples_still_leave_an_interval_of_some_width():
    examples = torch.eye(8, dtype=torch.float64)
    far = 10 * torch.ones(20, 8, dtype=torch.float64)
    none, every = (
        memorization_rate(samples, examples, far, generator=torch.Generator().manual_seed(0))
        for samples in (far, examples.repeat(4, 1))
    )
    assert none.rate == none.null_rate == 0
    assert none.interval[0] < -0.01
    assert none.interval[1] > 0.01
    assert every.rate == 1
    assert 0.8 < every.interval[0] < 0.99


def test_generator_fixes_the_interval_and_inputs_stay():
    samples, examples, fresh = (randn(40, 2, seed=s) for s in range(3))
    before = samples.clone(), examples.clone(), fresh.clone()
    first, second = (memorization_rate(samples, examples, fresh, generator=seeded(4)) for _ in range(2))
    assert first == second
    torch.manual_seed(4)
    assert memorization_rate(samples, examples, fresh) == first
    assert all(map(torch.equal, (samples, examples, fresh), before))


X = randn(4, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: total_variation([1.0], [1.0]), TypeError, "p must be a torch.Tensor, got list"),
        (lambda: total_variation(torch.ones(1), torch.ones(2) / 2), ValueError, r"q must have shape \[1\], got \[2\]"),
        (lambda: total_variation(torch.ones(2), torch.ones(2) / 2), ValueError, "p must hold .* a sum of 2"),
        (lambda: total_variation(torch.tensor([1.5, -0.5]), torch.ones(2) / 2), ValueError, "minimum of -0.5"),
        (lambda: effective_sample_size([0.0]), TypeError, "log_weights must be a torch.Tensor, got list"),
        (lambda: effective_sample_size(torch.zeros(0)), ValueError, r"log_weights must have shape \[N\].* got \[0\]"),
        (lambda: effective_sample_size(torch.tensor([math.nan])), ValueError, "log_weights must not hold NaN"),
        (lambda: effective_sample_size(torch.tensor([-math.inf])), ValueError, "all are -inf"),
        (lambda: nearest_ratio(X, X, 1), ValueError, "k must be at least 2, got 1"),
        (lambda: nearest_ratio(X, X, 5), ValueError, r"k must be at most .* \(4\), got 5"),
        (lambda: nearest_ratio(X, X, 2.0), TypeError, "k must be a whole number, got float"),
        (lambda: nearest_ratio(X[:, :1], X, 2), ValueError, r"samples must have shape \[\*, 2\], got \[4, 1\]"),
        (lambda: nearest_ratio(X.float(), X, 2), TypeError, "samples must have dtype torch.float64"),
        (lambda: memorization_rate(X, X[:0], X), ValueError, "examples must not be empty"),
        (lambda: memorization_rate(X, X, X / 0), ValueError, "fresh must be finite"),
        (lambda: memorization_rate(X, X, X.float()), TypeError, "fresh must have dtype torch.float64"),
        (lambda: memorization_rate(X, X, X, rule="d1"), ValueError, "rule must be one of .* got 'd1'"),
        (lambda: memorization_rate(X, X, X, threshold=0), ValueError, "threshold must be positive .* got 0.0"),
    ],
)
def test_misuse_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
