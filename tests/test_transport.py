"""The Wasserstein distance against closed forms."""

import math

import pytest
import torch

from lib.diagnostics import wasserstein


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def test_in_one_dimension_it_is_the_area_between_the_distribution_functions():
    first, second = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[5.0], [6.0], [8.0]])
    assert wasserstein(first, second) == pytest.approx(5)
    assert wasserstein(first, first) == 0
    assert wasserstein(randn(600, 1), randn(600, 1) + 2, method="exact") == pytest.approx(2)
    weights = torch.tensor([0.5, 0.0, 0.5]), torch.tensor([1.0, 0.0, 0.0])
    assert wasserstein(first, second, first_weights=weights[0], second_weights=weights[1]) == pytest.approx(3.5)
    grid = torch.linspace(-9, 9, 20_001).double()
    one, two = randn(400, 1), 0.5 + 2 * randn(300, 1, seed=1)
    gap = ((one < grid).double().mean(0) - (two < grid).double().mean(0)).abs()
    assert wasserstein(one, two) == pytest.approx(float(torch.trapezoid(gap, grid)), abs=1e-3)


@pytest.mark.parametrize("method", ["sliced", "exact"])
def test_in_more_it_is_symmetric_and_zero_for_the_same_points_in_another_order(method):
    first, second = randn(30, 3), randn(40, 3, seed=1)
    there, back = (
        wasserstein(*pair, method=method, generator=seeded(0)) for pair in ((first, second), (second, first))
    )
    assert there == pytest.approx(back, rel=1e-6)
    assert wasserstein(first, first.flip(0), method=method) == pytest.approx(0, abs=1e-9)


def test_a_shift_scores_its_length_exactly_and_a_known_share_of_it_sliced():
    first, shift = randn(60, 4), torch.tensor([1.0, 2.0, 0.0, -2.0]).double()
    assert wasserstein(first, first + shift, method="exact") == pytest.approx(3, rel=1e-6)
    sliced = wasserstein(first, first + shift, num_projections=4000, generator=seeded(0))
    mean_cosine = math.gamma(2) / math.gamma(2.5) / math.sqrt(math.pi)  # of a direction on the sphere of R^4
    assert sliced == pytest.approx(3 * mean_cosine, rel=0.05)
    assert sliced == pytest.approx(3 * math.sqrt(2 / (math.pi * 4)), rel=0.1)


def test_weights_stand_for_copies():
    first, second = randn(20, 2), randn(10, 2, seed=1)
    weights = torch.arange(1, 11).double()
    copies = second.repeat_interleave(torch.arange(1, 11), 0)
    for method in ("sliced", "exact"):
        weighted, copied = (wasserstein(first, points, second_weights=w, method=method, generator=seeded(0))
                            for points, w in ((second, weights), (copies, None)))  # fmt: skip
        assert weighted == pytest.approx(copied, rel=1e-6)


POINTS, ONES = randn(4, 2), torch.ones(4).double()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: wasserstein(POINTS, POINTS[:, :1]), ValueError, r"second must have shape \[\*, 2\], got \[4, 1\]"),
        (lambda: wasserstein(POINTS, POINTS.float()), TypeError, "second must have dtype torch.float64"),
        (lambda: wasserstein(POINTS, POINTS, method="w2"), ValueError, "method must be 'sliced' or 'exact', got 'w2'"),
        (
            lambda: wasserstein(POINTS, POINTS, num_projections=0),
            ValueError,
            "num_projections must be at least 1, got 0",
        ),
        (
            lambda: wasserstein(POINTS, POINTS, first_weights=-torch.ones(4).double()),
            ValueError,
            "first_weights must not be",
        ),
        (
            lambda: wasserstein(POINTS, POINTS, second_weights=torch.ones(3).double()),
            ValueError,
            r"shape \[4\], got \[3\]",
        ),
        (
            lambda: wasserstein(randn(501, 2), POINTS, method="exact"),
            ValueError,
            "at most 500 points a set, got 501 and 4",
        ),
    ],
)
def test_misuse_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
