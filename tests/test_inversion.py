"""Classical inversion against closed forms, and on a small wave problem."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.acquisition import Acquisition
from lib.inversion import invert
from lib.seismic import AcousticForward, VelocityForward
from lib.velocity import CosineField


def linear_problem(seed, num_data, dim, dtype=torch.float64):
    """A matrix with a forward map and data."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(num_data, dim, generator=generator, dtype=torch.float64).to(dtype)
    d_obs = torch.randn(num_data, generator=generator, dtype=torch.float64).to(dtype)
    return matrix, d_obs, lambda x: x @ matrix.T


@given(seed=st.integers(0, 10_000), dim=st.integers(1, 6), noise_std=st.floats(0.1, 10))
def test_quadratic_problem_reaches_least_squares(seed, dim, noise_std):
    matrix, d_obs, forward = linear_problem(seed, 20, dim)
    result = invert(forward, d_obs, noise_std, torch.ones(dim, dtype=torch.float64), num_iterations=200)
    exact = torch.linalg.lstsq(matrix, d_obs[:, None]).solution[:, 0]
    assert (result.x - exact).norm() < 1e-2 * (1 + exact.norm())  # L-BFGS-B stops at a relative change of 2e-9
    lowest = (d_obs - matrix @ exact).square().mean() / noise_std**2
    assert result.misfits[-1] == pytest.approx(float(lowest), rel=1e-4)


@given(seed=st.integers(0, 10_000), noise_std=st.floats(0.1, 3), prior_std=st.floats(0.2, 3))
def test_map_reaches_the_ridge_solution(seed, noise_std, prior_std):
    # More unknowns than data: without the prior the minimum is not unique.
    matrix, d_obs, forward = linear_problem(seed, 4, 7)
    start = torch.zeros(7, dtype=torch.float64)
    result = invert(forward, d_obs, noise_std, start, prior_std=prior_std, num_iterations=300)
    normal = matrix.T @ matrix / noise_std**2 + torch.eye(7, dtype=torch.float64) / prior_std**2
    exact = torch.linalg.solve(normal, matrix.T @ d_obs / noise_std**2)
    assert (result.x - exact).norm() < 1e-2 * (0.1 + exact.norm())


def test_prior_pulls_towards_zero():
    _, d_obs, forward = linear_problem(0, 20, 5)
    start = torch.ones(5, dtype=torch.float64)
    norms = [float(invert(forward, d_obs, 1.0, start, prior_std=p).x.norm()) for p in (1e-3, 0.1, 1.0)]
    assert norms[0] < 1e-4
    assert norms[0] < norms[1] < norms[2]


def test_misfit_is_per_datum_and_never_rises():
    matrix, d_obs, forward = linear_problem(1, 30, 8)
    start = torch.full((8,), 3.0, dtype=torch.float64)
    result = invert(forward, d_obs, 0.5, start)
    first = (d_obs - matrix @ start).square().sum() / (30 * 0.5**2)
    assert result.misfits[0] == pytest.approx(float(first), rel=1e-12)
    assert (result.misfits.diff() <= 0).all()
    assert result.num_gradients >= len(result.misfits) - 1
    last = (d_obs - matrix @ result.x).square().sum() / (30 * 0.5**2)
    assert result.misfits[-1] == pytest.approx(float(last), rel=1e-9)
    assert result.message


def test_stops_after_the_iterations_asked_for_and_calls_back_each_time():
    _, d_obs, forward = linear_problem(2, 30, 8)
    steps = []
    result = invert(
        forward, d_obs, 1.0, torch.zeros(8, dtype=torch.float64), num_iterations=3, callback=steps.append
    )
    assert [step["step"] for step in steps] == [1, 2, 3]
    assert [step["misfit"] for step in steps] == result.misfits[1:].tolist()
    assert torch.equal(steps[-1]["x"], result.x)
    assert len({step["x"].data_ptr() for step in steps}) == 3  # copies, not one buffer


def test_start_and_data_stay_as_they_were():
    _, d_obs, forward = linear_problem(3, 10, 3)
    start = torch.ones(3, dtype=torch.float64)
    kept = start.clone(), d_obs.clone()
    invert(forward, d_obs, 1.0, start)
    assert torch.equal(start, kept[0])
    assert torch.equal(d_obs, kept[1])


FIELD = CosineField((20, 20), 12, corr_length=5.0)
# From the top to the bottom: every wave crosses the model.
COLUMNS = torch.arange(1, 20, 3)
SURVEY = Acquisition(
    (20, 20),
    grid_spacing=50.0,
    dt=0.005,
    nt=180,
    peak_freq=4.0,
    source_locations=torch.tensor([[1, 4], [1, 15]]),
    receiver_locations=torch.stack([torch.full_like(COLUMNS, 18), COLUMNS], 1).repeat(2, 1, 1),
    max_vel=4000.0,
)
FORWARD = VelocityForward(FIELD, AcousticForward(SURVEY))


def test_waveform_inversion_finds_the_truth_from_a_near_start_and_not_from_a_far_one():
    truth = FIELD.sample(1, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    d_obs = FORWARD(truth)[0]
    noise_std = float(0.1 * d_obs.std())
    near, far = torch.zeros(12), torch.zeros(12)
    far[0] = -12.0  # everywhere near the lower bound: half a period late and more
    good, skipped = (invert(FORWARD, d_obs, noise_std, start, num_iterations=25) for start in (near, far))
    assert good.x.dtype == torch.float32
    assert good.misfits[-1] < 0.05
    assert (FIELD(good.x[None]) - FIELD(truth)).abs().mean() < 0.7 * (FIELD(near[None]) - FIELD(truth)).abs().mean()
    assert skipped.misfits[-1] > 100 * good.misfits[-1]


def refused():
    """Arguments of `invert` that break a rule: changes, error, message."""
    def one(x):
        return x[0]

    return [
        ({"start": torch.zeros(2, 3)}, ValueError, r"start must have shape \[\*\], got \[2, 3\]"),
        ({"start": torch.zeros(3)}, TypeError, "d_obs must have dtype torch.float32 like"),
        ({"start": torch.zeros(3).long()}, TypeError, "start must have a floating dtype, got torch.int64"),
        ({"d_obs": torch.full((10,), float("nan")).double()}, ValueError, "d_obs must be finite, got 10 NaN"),
        ({"d_obs": torch.zeros(9).double()}, ValueError, r"as many data as d_obs has \(9\), got 10"),
        ({"noise_std": 0.0}, ValueError, "noise_std must be positive and finite, got 0.0"),
        ({"noise_std": -1.0}, ValueError, "noise_std must be positive and finite, got -1.0"),
        ({"prior_std": 0.0}, ValueError, "prior_std must be positive and finite, got 0.0"),
        ({"num_iterations": 0}, ValueError, "num_iterations must be at least 1, got 0"),
        ({"num_iterations": 1.5}, TypeError, "num_iterations must be a whole number, got float"),
        ({"forward": one}, ValueError, r"forward must map a batch \[B, d\] to \[B, m\] \(is it written for a single"),
        ({"forward": None}, TypeError, "forward must be a callable"),
        ({"forward": lambda x: x.detach().repeat(1, 4)[:, :10]}, ValueError, "forward must be differentiable"),
        ({"forward": lambda x: x.repeat(1, 4)[:, :10] / 0}, ValueError, "forward's output must be finite, got"),
        ({"forward": lambda x: x.float().repeat(1, 4)[:, :10]}, TypeError, "forward's output must have dtype"),
    ]


@pytest.mark.parametrize(("changes", "error", "message"), refused())
def test_refuses_bad_arguments(changes, error, message):
    _, d_obs, forward = linear_problem(0, 10, 3)
    arguments = {"forward": forward, "d_obs": d_obs, "noise_std": 1.0, "start": torch.zeros(3).double(), **changes}
    with pytest.raises(error, match=message):
        invert(**arguments)


def test_a_map_that_is_flat_to_autograd_is_refused_with_a_prior_too():
    with pytest.raises(ValueError, match="forward must be differentiable"):
        invert(lambda x: x.detach(), torch.ones(3).double(), 1.0, torch.zeros(3).double(), prior_std=1.0)


@pytest.mark.parametrize("prior_std", [None, 1.0])
def test_a_map_whose_weights_alone_have_gradients_is_refused(prior_std):
    network = torch.nn.Linear(3, 3).double()
    with pytest.raises(ValueError, match="forward must be differentiable"):
        invert(lambda x: network(x.detach()), torch.ones(3).double(), 1.0, torch.zeros(3).double(), prior_std=prior_std)


def test_a_caller_without_gradients_changes_nothing():
    matrix, d_obs, forward = linear_problem(4, 10, 3)
    expected = invert(forward, d_obs, 1.0, torch.zeros(3).double(), prior_std=2.0)
    with torch.no_grad():
        found = invert(forward, d_obs, 1.0, torch.zeros(3).double(), prior_std=2.0)
    assert torch.equal(found.x, expected.x)
    weights = matrix.clone().requires_grad_()  # nor do data and maps with gradients of their own
    traced = invert(lambda x: x @ weights.T, d_obs.requires_grad_(), 1.0, torch.zeros(3).double(), prior_std=2.0)
    assert torch.equal(traced.x, expected.x)
    assert weights.grad is None


def test_callback_and_prior_are_refused_by_name():
    _, d_obs, forward = linear_problem(0, 20, 5)
    start = torch.ones(5, dtype=torch.float64)
    with pytest.raises(TypeError, match="callback must be a callable .* got int"):
        invert(forward, d_obs, 1.0, start, callback=3)
    with pytest.raises(ValueError, match="prior_std must have a square .* got 1e-300"):
        invert(forward, d_obs, 1.0, start, prior_std=1e-300)
