"""The stylized maps are the paper's; each row of a batch is mapped by itself."""

import pytest
import torch

from lib.forward import STYLIZED_EXAMPLES_1D, STYLIZED_NOISE_STD, linear_map, stylized_1d, stylized_2d


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_the_written_formulas(dtype):
    found = stylized_1d(torch.tensor([[2.0], [-1.0]], dtype=dtype))
    torch.testing.assert_close(found, torch.tensor([[4.4], [-1.3]], dtype=dtype))
    found = stylized_2d(torch.tensor([[2.0, 3.0], [-1.0, 0.5]], dtype=dtype))
    torch.testing.assert_close(found, torch.tensor([[3.8, 3.8], [-1.15, 0.7]], dtype=dtype))
    matrix = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.0]], dtype=dtype)
    found = linear_map(matrix)(torch.tensor([[1.0, 1.0], [0.0, 2.0]], dtype=dtype))
    torch.testing.assert_close(found, torch.tensor([[3.0, -1.0, 3.0], [4.0, -2.0, 0.0]], dtype=dtype))


def test_the_stylized_problem_is_the_papers():
    assert STYLIZED_EXAMPLES_1D.flatten().tolist() == [-1.5, -0.4, 0.4, 1.2, 2.5]
    assert STYLIZED_EXAMPLES_1D.shape == (5, 1)
    assert STYLIZED_NOISE_STD == 0.3


def test_stylized_1d_is_monotone_but_its_slope_varies():
    values = stylized_1d(torch.linspace(-3, 3, 601, dtype=torch.float64)[:, None])[:, 0]
    slopes = values.diff()
    assert (slopes > 0).all()
    assert slopes.max() / slopes.min() > 5


@pytest.mark.parametrize(("forward", "d"), [(stylized_1d, 1), (stylized_2d, 2), (linear_map(torch.eye(3)[:2]), 3)])
def test_rows_do_not_mix_and_input_stays(forward, d, generator):
    x = torch.randn(6, d, generator=generator)
    before = x.clone()
    torch.testing.assert_close(forward(x), torch.cat([forward(row[None]) for row in x]))
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("forward", "x", "error", "message"),
    [
        (stylized_1d, torch.zeros(3), ValueError, r"x must have shape \[\*, 1\], got \[3\]"),
        (stylized_1d, torch.zeros(3, 2), ValueError, r"x must have shape \[\*, 1\], got \[3, 2\]"),
        (stylized_2d, torch.zeros(3, 1), ValueError, r"x must have shape \[\*, 2\], got \[3, 1\]"),
        (stylized_2d, torch.full((3, 2), float("nan")), ValueError, "x must be finite, got 6"),
        (stylized_2d, torch.zeros(3, 2).long(), TypeError, "x must have a floating dtype"),
        (linear_map(torch.ones(2, 3)), torch.zeros(3), ValueError, r"x must have shape \[\*, 3\], got \[3\]"),
        (linear_map(torch.ones(2, 3)), torch.zeros(1, 3).double(), TypeError, "x must have dtype torch.float32"),
        (linear_map, torch.zeros(3), ValueError, r"matrix must have shape \[\*, \*\], got \[3\]"),
        (linear_map, [[1.0]], TypeError, "matrix must be a torch.Tensor, got list"),
    ],
)
def test_bad_input_is_refused(forward, x, error, message):
    with pytest.raises(error, match=message):
        forward(x)
