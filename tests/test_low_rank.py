"""Singular triplets of a Jacobian that is never formed, against the decomposition of the whole matrix."""

import pytest
import torch

from lib.forward import linear_map
from lib.jacobian import jacobian, low_rank_jacobian


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrix(m, d, values):
    """A matrix with the given singular values."""
    left, right = (torch.linalg.qr(randn(n, len(values), seed=n)).Q for n in (m, d))
    return left * values @ right.T


def decaying(m, d):
    return matrix(m, d, 10 * 0.8 ** torch.arange(min(m, d), dtype=torch.float64))


class Rows:
    """A map that counts the rows it is given."""

    def __init__(self, forward):
        self.forward, self.count = forward, 0

    def __call__(self, x):
        self.count += len(x)
        return self.forward(x)


@pytest.mark.parametrize(("m", "d"), [(120, 80), (80, 120), (5, 200), (200, 5)])
def test_it_is_the_best_approximation_of_its_rank(m, d, generator):
    a = decaying(m, d)
    exact = torch.linalg.svdvals(a)
    for rank in (1, 4, 5):
        left, s, right = low_rank_jacobian(linear_map(a), randn(d), rank, generator=generator)
        assert (left.shape, s.shape, right.shape) == ((m, rank), (rank,), (rank, d))
        torch.testing.assert_close(s, exact[:rank], rtol=1e-6, atol=0)
        torch.testing.assert_close(left.T @ left, torch.eye(rank, dtype=torch.float64))
        torch.testing.assert_close(right @ right.T, torch.eye(rank, dtype=torch.float64))
        error = torch.linalg.matrix_norm(a - left * s @ right, 2)
        missing = exact[rank] if rank < min(m, d) else torch.zeros(())
        assert abs(float(error - missing)) < 1e-3 * float(missing) + 1e-12  # Eckart and Young


def test_power_iterations_find_singular_values_that_fall_slowly():
    a = matrix(300, 200, 1 / torch.arange(1, 201, dtype=torch.float64))
    exact = torch.linalg.svdvals(a)[:40]
    errors = {}
    for most in (0, 10):
        generator = torch.Generator().manual_seed(0)
        found = low_rank_jacobian(linear_map(a), randn(200), 40, generator=generator, power_iterations=most)[1]
        errors[most] = float(((found - exact) / exact).abs().max())
    assert errors[0] > 0.05
    assert errors[10] < 1e-3


def test_a_curved_map_is_decomposed_at_the_point():
    a, b = decaying(60, 40), decaying(60, 40).flip(0)
    forward = lambda x: torch.sin(x @ a.T) + (x @ b.T) ** 2  # noqa: E731
    for x in (randn(40), randn(40, seed=1)):
        exact = jacobian(forward, x)
        left, s, right = low_rank_jacobian(forward, x, 30, generator=torch.Generator().manual_seed(0))
        assert torch.linalg.matrix_norm(exact - left * s @ right, 2) < 1.01 * torch.linalg.svdvals(exact)[30]


def test_few_directions_are_enough_and_j_is_never_formed():
    forward = Rows(linear_map(decaying(300, 2000)))
    _, s, _ = low_rank_jacobian(forward, randn(2000), 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(s, 10 * 0.8 ** torch.arange(5, dtype=torch.float64))
    assert forward.count < 150  # of 2000


@pytest.mark.parametrize("max_rows", [1, 8, 20])
def test_blocks_do_not_change_the_result(max_rows):
    a, x = decaying(30, 20), randn(20)
    one, two = (
        low_rank_jacobian(linear_map(a), x, 4, generator=torch.Generator().manual_seed(0), max_rows=rows)
        for rows in (256, max_rows)
    )
    for left, right in zip(one, two, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-8)


def test_single_precision_repeats_and_leaves_its_input_alone():
    a, x = decaying(60, 40).float(), randn(40).float()
    before = x.clone()
    results = [low_rank_jacobian(linear_map(a), x, 8, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert all(map(torch.equal, results[0], results[1]))
    assert not torch.equal(results[0][2], results[2][2])
    assert all(part.dtype == torch.float32 for part in results[0])
    torch.testing.assert_close(results[0][1].double(), torch.linalg.svdvals(a.double())[:8], rtol=1e-5, atol=0)
    assert torch.equal(x, before)
    torch.manual_seed(5)
    first = low_rank_jacobian(linear_map(a), x, 8)
    torch.manual_seed(5)
    assert all(map(torch.equal, first, low_rank_jacobian(linear_map(a), x, 8)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": randn(2, 20)}, ValueError, r"x must have shape \[\*\], got \[2, 20\]"),
        ({"x": [1.0]}, TypeError, "x must be a torch.Tensor, got list"),
        ({"rank": 21}, ValueError, "rank must be at most d = 20, got 21"),
        ({"rank": 11}, ValueError, "rank must be at most m = 10, the number of data, got 11"),
        ({"rank": 0}, ValueError, "rank must be at least 1, got 0"),
        ({"rank": 2.5}, TypeError, "rank must be a whole number, got float"),
        ({"oversampling": -1}, ValueError, "oversampling must be at least 0, got -1"),
        ({"power_iterations": -1}, ValueError, "power_iterations must be at least 0, got -1"),
        ({"max_rows": 0}, ValueError, "max_rows must be at least 1, got 0"),
        ({"generator": 3}, TypeError, "generator must be a torch.Generator or None, got int"),
        ({"forward": "F"}, TypeError, "forward must be a callable .* got str"),
        ({"forward": lambda x: x[0]}, ValueError, r"forward must map a batch \[B, d\] to \[B, m\]"),
        ({"forward": lambda x: x * torch.nan}, ValueError, "forward's output must be finite"),
        ({"forward": lambda x: x.detach()}, ValueError, "forward must be differentiable"),
    ],
)
def test_bad_arguments_are_refused(change, error, message):
    arguments = {"forward": linear_map(decaying(10, 20)), "x": randn(20), "rank": 3} | change
    with pytest.raises(error, match=message):
        low_rank_jacobian(arguments.pop("forward"), arguments.pop("x"), arguments.pop("rank"), **arguments)
