"""Many directions in one call: shared by a torch map, repeated for one that refuses, and no row touches another."""

import pytest
import torch

from lib.autodiff import jvp, pull, push
from lib.jacobian import jacobian


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MATRIX = randn(4, 5, seed=9)


def wavy(x):
    return torch.sin(x @ MATRIX.T) + x[:, :1] ** 2


class Compiled(torch.autograd.Function):
    """`wavy` by rules that torch cannot vectorize, as of a solver in C."""

    @staticmethod
    def forward(x):
        return wavy(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx, grad):
        with torch.enable_grad():
            x = ctx.saved_tensors[0].detach().requires_grad_()
            return torch.autograd.grad(wavy(x), x, grad)[0]

    @staticmethod
    def jvp(ctx, tangent):
        (x,) = ctx.saved_tensors
        outer = torch.cos(x @ MATRIX.T) * (tangent @ MATRIX.T)
        return outer + 2 * x[:, :1] * tangent[:, :1]


class Rows:
    """A map that counts the rows it is given."""

    def __init__(self, forward):
        self.forward, self.count = forward, 0

    def __call__(self, x):
        self.count += len(x)
        return self.forward(x)


@pytest.mark.parametrize("max_rows", [1, 2, 3, 7, 256])
@pytest.mark.parametrize("forward", [wavy, Compiled.apply])
def test_push_and_pull_are_products_with_the_jacobian(forward, max_rows):
    x, tangents, cotangents = randn(3, 5), randn(3, 6, 5, seed=1), randn(3, 7, 4, seed=2)
    slopes = torch.stack([torch.func.jacrev(lambda z: wavy(z[None])[0])(point) for point in x])
    values, pushed = push(forward, x, tangents, max_rows=max_rows)
    torch.testing.assert_close(values, wavy(x))
    torch.testing.assert_close(pushed, tangents @ slopes.mT)
    torch.testing.assert_close(pull(forward, x, cotangents, max_rows=max_rows), cotangents @ slopes)


def test_a_torch_map_is_evaluated_once_for_all_directions():
    shared, repeated = Rows(wavy), Rows(Compiled.apply)
    for forward in (shared, repeated):
        push(forward, randn(2, 5), randn(2, 50, 5, seed=1))
    assert shared.count <= 4  # two points, and two rows to compare
    assert repeated.count >= 100


@pytest.mark.parametrize(
    "forward", [lambda x: x - x.mean(0), lambda x: randn(5, 5) @ x, lambda x: x + torch.rand_like(x)]
)
def test_a_map_that_mixes_or_randomizes_the_rows_of_a_batch_is_refused(forward):
    with pytest.raises(ValueError, match="forward must map"):
        push(forward, randn(5, 5), randn(5, 3, 5, seed=1))


def test_a_map_that_leaves_torch_is_refused_both_ways():
    detached = lambda x: wavy(x.detach())  # noqa: E731
    with pytest.raises(ValueError, match="forward must be differentiable"):
        push(detached, randn(2, 5), randn(2, 3, 5, seed=1))
    with pytest.raises(ValueError, match="forward must be differentiable"):
        pull(detached, randn(2, 5), randn(2, 3, 4, seed=1))
    network = torch.nn.Linear(5, 4).double()  # its output requires gradients, those of its weights
    with pytest.raises(ValueError, match="forward must be differentiable"):
        pull(lambda x: network(x.detach()), randn(2, 5), randn(2, 3, 4, seed=1))


def test_names_stay_where_they_were():
    torch.testing.assert_close(
        jacobian(wavy, randn(5)) @ randn(5, seed=1), jvp(wavy, randn(1, 5), randn(1, 5, seed=1))[1][0]
    )
