"""Jacobians against autograd and closed forms; the dot test sees a wrong adjoint; unbatched maps are refused."""

import pytest
import torch

from lib.forward import linear_map, stylized_1d, stylized_2d
from lib.jacobian import dot_test, jacobian, jacobians, jvp, vjp


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wavy(x):
    return torch.stack([x.sin().sum(1), (x * x.roll(1, 1)).sum(1), x.exp().prod(1), x[:, 0]], 1)


class WrongAdjoint(torch.autograd.Function):
    """Doubles; its adjoint forgets the first entry, as an adjoint without that of the padding would."""

    @staticmethod
    def forward(x):
        return 2 * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return 2 * torch.cat([torch.zeros_like(grad[:, :1]), grad[:, 1:]], 1)

    @staticmethod
    def jvp(ctx, tangent):
        return 2 * tangent


@pytest.mark.parametrize("max_rows", [1, 2, 3, 7, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_jacobian_is_that_of_reverse_mode(max_rows, dtype):
    x = randn(5).to(dtype)
    expected = torch.func.jacrev(lambda z: wavy(z[None])[0])(x)
    found = jacobian(wavy, x, max_rows=max_rows)
    assert found.shape == (4, 5)
    torch.testing.assert_close(found, expected)


def test_jacobians_of_the_stylized_maps_are_the_written_ones():
    torch.testing.assert_close(jacobian(stylized_1d, torch.tensor([2.0])), torch.tensor([[1 + 0.9 * 4]]))
    found = jacobian(stylized_2d, torch.tensor([0.5, -2.0]))
    torch.testing.assert_close(found, torch.tensor([[1 - 0.6, 0.15], [0.2, 1.0]]))


def test_many_points_at_once_are_the_same_as_one_by_one():
    points = randn(6, 5)
    values, slopes = jacobians(wavy, points, max_rows=7)
    torch.testing.assert_close(values, wavy(points))
    torch.testing.assert_close(slopes, torch.stack([jacobian(wavy, x) for x in points]))


def test_forward_mode_agrees_with_central_differences():
    x, t, h = randn(3, 5), randn(3, 5, seed=1), 1e-5
    values, tangents = jvp(wavy, x, t)
    torch.testing.assert_close(values, wavy(x))
    torch.testing.assert_close(tangents, (wavy(x + h * t) - wavy(x - h * t)) / (2 * h), rtol=1e-8, atol=1e-8)


def test_pullback_is_the_transposed_jacobian_and_can_be_used_twice():
    x, w = randn(3, 5), randn(3, 4, seed=1)
    data, pullback = vjp(wavy, x)
    expected = torch.stack([jacobian(wavy, point).T @ row for point, row in zip(x, w, strict=True)])
    torch.testing.assert_close(data, wavy(x))
    torch.testing.assert_close(pullback(w), expected)
    torch.testing.assert_close(pullback(2 * w), 2 * expected)
    pullback = vjp(wavy, x, once=True)[1]
    torch.testing.assert_close(pullback(w), expected)
    with pytest.raises(RuntimeError, match="second time"):
        pullback(w)


@pytest.mark.parametrize("forward", [wavy, linear_map(randn(7, 5))])
def test_dot_test_of_an_exact_pair_is_rounding(forward, generator):
    mismatch = dot_test(forward, randn(5), generator=generator)
    assert isinstance(mismatch, float)
    assert mismatch < 1e-14


def test_dot_test_sees_an_adjoint_that_is_wrong_in_one_entry():
    mismatches = [
        dot_test(WrongAdjoint.apply, randn(100), generator=torch.Generator().manual_seed(s)) for s in range(20)
    ]
    assert sorted(mismatches)[10] > 1e-4


def test_dot_test_repeats_with_its_generator():
    x = randn(100)
    first, second, other = (
        dot_test(WrongAdjoint.apply, x, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert first == second
    assert first != other
    torch.manual_seed(5)
    third = dot_test(WrongAdjoint.apply, x)
    torch.manual_seed(5)
    assert dot_test(WrongAdjoint.apply, x) == third


def test_input_is_not_modified_and_a_network_may_be_the_map(generator):
    x = randn(5).requires_grad_()
    before = x.detach().clone()
    network = torch.nn.Linear(5, 3).double()
    torch.testing.assert_close(jacobian(network, x), network.weight)
    assert dot_test(network, x, generator=generator) < 1e-14
    assert torch.equal(x, before)
    assert x.grad is None


@pytest.mark.parametrize("call", [jacobian, dot_test])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (randn(2, 5), ValueError, r"x must have shape \[\*\], got \[2, 5\]"),
        (torch.tensor(1.0), ValueError, r"x must have shape \[\*\], got \[\]"),
        (randn(0), ValueError, "x must not be empty"),
        (torch.tensor([1.0, float("nan")]), ValueError, "x must be finite, got 1 NaN"),
        (torch.tensor([1, 2]), TypeError, "x must have a floating dtype, got torch.int64"),
        ([1.0, 2.0], TypeError, "x must be a torch.Tensor, got list"),
    ],
)
def test_bad_points_are_refused(call, x, error, message):
    with pytest.raises(error, match=message):
        call(wavy, x)


@pytest.mark.parametrize("call", [jacobian, dot_test])
@pytest.mark.parametrize(
    ("forward", "error", "message"),
    [
        ("F", TypeError, "forward must be a callable .* got str"),
        (lambda x: randn(4, 5) @ x, ValueError, r"forward must map a batch \[B, d\] to \[B, m\]"),
        (lambda x: x[0], ValueError, r"forward must map a batch .* single model"),
        (lambda x: x.sum(1), ValueError, "forward must map a batch"),
        (lambda x: x.float(), TypeError, "forward's output must have dtype torch.float64 .* got torch.float32"),
        (lambda x: x / 0, ValueError, "forward's output must be finite"),
        (lambda x: x.tolist(), TypeError, "forward must return a torch.Tensor, got list"),
        (lambda x: x[:, 9], ValueError, "forward must map a batch .* it failed on shape"),
    ],
)
def test_bad_maps_are_refused(call, forward, error, message):
    with pytest.raises(error, match=message):
        call(forward, randn(5))


def test_a_map_that_mixes_the_rows_of_a_batch_is_refused():
    matrix = randn(5, 5)
    with pytest.raises(ValueError, match="forward must map each row of a batch .* by itself"):
        jacobian(lambda x: matrix @ x, randn(5))  # square, so that its shapes look right


def test_a_map_without_a_derivative_is_refused():
    with pytest.raises(ValueError, match="forward must depend on x for a dot test"):
        dot_test(lambda x: 0 * x, randn(5))
    with pytest.raises(ValueError, match="forward must be differentiable"):
        vjp(lambda x: x.detach(), randn(2, 5))
    with pytest.raises(ValueError, match="max_rows must be at least 1, got 0"):
        jacobian(wavy, randn(5), max_rows=0)
