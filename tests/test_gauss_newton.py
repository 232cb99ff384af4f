"""Gauss-Newton steps through products with J and J^T alone, against dense algebra."""

import pytest
import torch

from lib.forward import linear_map, stylized_2d
from lib.gauss_newton import Tangent
from lib.jacobian import jacobian


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def semidefinite(d, rank, seed=0):
    factor = randn(d, rank, seed=seed)
    return factor @ factor.T


def dense_gain(slope, covariance, residual, noise_std):
    data = noise_std**2 * torch.eye(len(slope), dtype=torch.float64) + slope @ covariance @ slope.T
    return slope.T @ torch.linalg.solve(data, residual)


@pytest.mark.parametrize("noise_std", [1.0, 0.05, 1e-4])
@pytest.mark.parametrize(("m", "d", "rank"), [(1, 3, 3), (3, 8, 8), (9, 4, 4), (9, 4, 2), (6, 5, 0)])
def test_gain_is_that_of_dense_algebra_even_where_the_covariance_is_singular(m, d, rank, noise_std):
    matrix, points, d_obs = randn(m, d), randn(3, d, seed=1), randn(m, seed=2)
    covariance = semidefinite(d, rank)
    tangent = Tangent(linear_map(matrix), points, d_obs, noise_std)
    gain = tangent.gain(lambda p: p @ covariance, max_steps=60, tolerance=1e-12)
    for point, row in zip(points, gain, strict=True):
        expected = dense_gain(matrix, covariance, d_obs - matrix @ point, noise_std)
        torch.testing.assert_close(covariance @ row, covariance @ expected, rtol=1e-4, atol=1e-6)
        if noise_std > 1e-3:
            torch.testing.assert_close(row, expected, rtol=1e-6, atol=1e-8)


def test_gain_takes_the_slope_at_each_point_of_a_nonlinear_map():
    points, d_obs = randn(4, 2), torch.tensor([0.3, 0.2], dtype=torch.float64)
    gain = Tangent(stylized_2d, points, d_obs, 0.3).gain(lambda p: 0.5 * p, max_steps=10, tolerance=1e-12)
    for point, row in zip(points, gain, strict=True):
        residual = d_obs - stylized_2d(point[None])[0]
        expected = dense_gain(jacobian(stylized_2d, point), 0.5 * torch.eye(2).double(), residual, 0.3)
        torch.testing.assert_close(row, expected)


def test_a_sample_is_solved_the_same_alone_or_in_a_batch():
    matrix, points, d_obs = randn(6, 4), randn(5, 4, seed=1), randn(6, seed=2)
    points[2] = torch.linalg.lstsq(matrix, d_obs).solution  # done long before the others

    def solve(rows):
        return Tangent(linear_map(matrix), rows, d_obs, 0.1).gain(lambda p: p, max_steps=3, tolerance=1e-3)

    torch.testing.assert_close(solve(points), torch.cat([solve(point[None]) for point in points]))


def test_cut_short_it_serves_the_direction_that_the_data_see_best():
    matrix = torch.diag(torch.tensor([100.0, 1.0, 0.01], dtype=torch.float64))
    tangent = Tangent(linear_map(matrix), torch.zeros(1, 3).double(), matrix @ torch.ones(3).double(), 0.1)
    step = tangent.gain(lambda p: p, max_steps=1, tolerance=1e-12)[0]
    assert float(step[0]) == pytest.approx(1, abs=1e-3)
    assert step[1:].abs().max() < 0.01


def test_an_indefinite_covariance_ends_the_solve_instead_of_blowing_up():
    matrix = randn(5, 4)
    tangent = Tangent(linear_map(matrix), randn(2, 4, seed=1), randn(5, seed=2), 0.1)
    assert (tangent.gain(lambda p: -p, max_steps=20, tolerance=1e-8) == 0).all()


def test_steps_end_where_the_residual_has_fallen_to_the_tolerance(monkeypatch):
    """Singular values from 1 to 1000: the error follows the tolerance, and so does the number of solves."""
    scales, solves, errors = torch.logspace(0, 3, 30, dtype=torch.float64), [], []
    tangent = Tangent(linear_map(torch.diag(scales)), torch.zeros(1, 30).double(), scales * randn(30), 1.0)
    monkeypatch.setattr(tangent, "push", lambda step: solves.append(1) or step * scales)
    exact = scales * scales * randn(30) / (1 + scales**2)
    counts = []
    for tolerance in (1e-1, 1e-4, 1e-10):
        solves.clear()
        step = tangent.gain(lambda p: p, max_steps=500, tolerance=tolerance)[0]
        errors.append(float((scales * (step - exact)).norm() / (scales * exact).norm()))
        counts.append(len(solves))
    assert counts[0] < counts[1] < counts[2] < 500
    assert errors[0] < 0.2
    assert errors[1] < 2e-4
    assert errors[2] < 1e-9


def test_the_whole_step_is_taken_for_a_linear_map_and_less_where_the_map_bends():
    matrix, d_obs = randn(5, 3), randn(5, seed=2)
    tangent = Tangent(linear_map(matrix), randn(2, 3, seed=1), d_obs, 0.1)
    gain = tangent.gain(lambda p: p, max_steps=20, tolerance=1e-10)
    assert (tangent.share(gain, gain.square().sum(1, keepdim=True)) == 1).all()

    def bent(x):
        return x**3

    tangent = Tangent(bent, torch.tensor([[0.1], [2.0]]).double(), torch.tensor([8.0]).double(), 0.01)
    step = tangent.gain(lambda p: p, max_steps=5, tolerance=1e-10)
    share = tangent.share(step, step.square().sum(1, keepdim=True))
    assert 0 < float(share[0]) < 0.1  # the tangent at .1 is nearly flat: its whole step ends at 260
    assert float(share[1]) == 1  # already there
    moved = torch.tensor([[0.1], [2.0]]).double() + share * step
    assert (moved - 2).abs().max() < 1.9


def test_a_step_to_where_the_map_refuses_is_shortened_and_the_others_are_not():
    def bounded(x):
        if bool((x > 3).any()):
            raise ValueError("velocity must be at most 3")
        return x

    tangent = Tangent(bounded, torch.zeros(2, 1).double(), torch.full((1,), 2.5).double(), 0.01)
    share = tangent.share(torch.tensor([[4.0], [2.0]]).double(), torch.zeros(2, 1).double())
    assert share.flatten().tolist() == [0.5, 1.0]


def test_no_step_is_taken_where_none_helps():
    tangent = Tangent(lambda x: x, torch.zeros(1, 1).double(), torch.ones(1).double(), 0.1)
    away = torch.full((1, 1), -5.0).double()
    assert tangent.share(away, away.square()).item() == 0
