"""The wave equation: physics and refusals; its derivatives are tested in test_wave_derivatives.py."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.special import hankel2

from lib.acquisition import Acquisition
from lib.checks import apply_forward
from lib.posterior import lookup_weights
from lib.seismic import AcousticForward, VelocityForward, add_noise
from lib.velocity import CosineField

SPACING, DT, FREQ, MAX_VEL = 50.0, 0.005, 3.5, 4000.0


def line_survey(source, receivers, shape=(24, 44), nt=240, **options):
    """One source and a list of receivers."""
    cells = torch.tensor([source]), torch.tensor([receivers])
    return Acquisition(shape, SPACING, DT, nt, FREQ, *cells, max_vel=MAX_VEL, **options)


def survey(**options):
    """Two shots along the surface of a 20 x 20 grid."""
    settings = {"grid_spacing": SPACING, "dt": DT, "nt": 160, "peak_freq": FREQ, "max_vel": MAX_VEL}
    return Acquisition.surface((20, 20), num_shots=2, num_receivers=10, **settings, **options)


FIELD = CosineField((20, 20), 12, corr_length=4.0)
FORWARD = VelocityForward(FIELD, AcousticForward(survey()))


def draw(n, seed=0):
    """Coefficients from the population."""
    return FIELD.sample(n, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("speed", [1600.0, 2000.0, 3000.0])
def test_direct_wave_arrives_at_distance_over_velocity(speed):
    acquisition = line_survey([12, 6], [[12, 16], [12, 26], [12, 36]])
    traces = AcousticForward(acquisition)(torch.full((1, 24, 44), speed, dtype=torch.float64))[0, 0]
    # First sample above 2 % of a trace's peak, against the same in the wavelet: two samples and 2 % of the way.
    arrival = torch.tensor([int((trace.abs() > 0.02 * trace.abs().max()).nonzero()[0]) * DT for trace in traces])
    start = int((acquisition.wavelet.abs() > 0.02).nonzero()[0]) * DT
    expected = torch.tensor([500.0, 1000.0, 1500.0]) / speed
    assert ((arrival - start - expected).abs() < 2 * DT + 0.02 * expected).all()


def test_homogeneous_record_matches_the_analytic_green_function():
    # u = -(source) * (-i/4) H0(omega r / v), times the cell's area: amplitude, sign and phase, dispersion of 1-3 %.
    acquisition = line_survey([20, 6], [[20, 16], [20, 26], [20, 36]], shape=(40, 44))
    traces = AcousticForward(acquisition)(torch.full((1, 40, 44), 2000.0, dtype=torch.float64))[0, 0]
    samples = 4 * acquisition.nt
    omega = 2 * math.pi * np.fft.rfftfreq(samples, DT)[1:]
    source = np.fft.rfft(acquisition.wavelet.numpy(), samples)
    for distance, trace in zip((500, 1000, 1500), traces, strict=True):
        spectrum = np.concatenate([[0], source[1:] * 0.25j * hankel2(0, omega * distance / 2000.0)])
        exact = SPACING**2 * np.fft.irfft(spectrum, samples)[: acquisition.nt]
        assert np.linalg.norm(trace.numpy() - exact) < 0.04 * np.linalg.norm(exact)


def test_reciprocity():
    velocity = FIELD(draw(1))
    there = line_survey([2, 3], [[15, 16]], shape=(20, 20))
    back = line_survey([15, 16], [[2, 3]], shape=(20, 20))
    a, b = AcousticForward(there)(velocity), AcousticForward(back)(velocity)
    # Exact but for the absorbing layer, whose difference equations are not quite symmetric.
    assert (a - b).norm() < 1e-4 * a.norm()


def test_boundaries_absorb():
    small = line_survey([10, 10], [[10, 15]], shape=(20, 20), pml_width=20)
    large = line_survey([60, 60], [[60, 65]], shape=(120, 120))
    thin = dataclasses.replace(small, pml_width=1)
    near, far, bad = (AcousticForward(s)(torch.full((1, *s.shape), 2500.0)) for s in (small, large, thin))
    assert (near - far).norm() < 0.01 * far.norm()
    assert (bad - far).norm() > 0.1 * far.norm()


def test_models_in_a_batch_do_not_interact():
    velocities = FIELD(draw(3))
    acoustic = AcousticForward(survey())
    together = acoustic(velocities)
    for i in range(3):
        torch.testing.assert_close(together[i], acoustic(velocities[i : i + 1])[0], rtol=1e-12, atol=1e-9)
    # A fast model in the batch must not move the time step or the absorbing layer of the others.
    fast = torch.cat([velocities[:1], torch.full_like(velocities[:1], MAX_VEL)])
    assert torch.equal(acoustic(fast)[0], acoustic(velocities[:1])[0])


def test_shots_in_a_batch_keep_their_order():
    velocity, both = FIELD(draw(2)), survey()
    shot = dataclasses.replace(
        both, source_locations=both.source_locations[1:], receiver_locations=both.receiver_locations[1:]
    )
    second = AcousticForward(shot)(velocity)[:, 0]
    torch.testing.assert_close(AcousticForward(both)(velocity)[:, 1], second, rtol=1e-12, atol=1e-9)
    assert FORWARD(draw(2)).shape == (2, both.num_data)


def test_noise_has_its_standard_deviation_and_seed():
    data = torch.zeros(3, 40_000, dtype=torch.float64)
    noisy = add_noise(data, 2.5, generator=torch.Generator().manual_seed(1))
    assert abs(noisy.std() - 2.5) < 0.05  # ten standard errors
    assert torch.equal(noisy, add_noise(data, 2.5, generator=torch.Generator().manual_seed(1)))
    assert not data.any()


def test_refuses_noise_that_is_not_positive():
    for value in (0, -0.1, float("nan"), 1e-30):
        with pytest.raises(ValueError, match=r"noise_std must .*, got"):
            add_noise(torch.ones(3), value)
    with pytest.raises(TypeError, match="data must have a floating dtype, got torch.int64"):
        add_noise(torch.ones(3, dtype=torch.int64), 1.0)
    with pytest.raises(TypeError, match="generator must be a torch.Generator or None, got int"):
        add_noise(torch.ones(3), 1.0, generator=0)


def test_float32_and_float64_agree_and_do_not_mix():
    x = draw(1)
    double, single = FORWARD(x), FORWARD(x.float())
    assert single.dtype == torch.float32
    assert (double - single).norm() < 1e-4 * double.norm()
    with pytest.raises(TypeError, match="d_obs must have dtype torch.float32"):
        lookup_weights(x.float(), FORWARD, double[0], 1.0)


def bad_velocities():
    """What the wave equation must refuse: the tensor, the error, the message."""
    good = torch.full((1, 20, 20), 2000.0)
    nan, slow = good.clone(), good.clone()
    nan[0, 3, 4], slow[0, 0, 0] = float("nan"), 0.5
    return [
        (good[0], ValueError, r"velocity must have shape \[\*, 20, 20\], got \[20, 20\]"),
        (good[:, :, :19], ValueError, r"velocity must have shape \[\*, 20, 20\], got \[1, 20, 19\]"),
        (good[:0], ValueError, "velocity must not be empty"),
        (nan, ValueError, "velocity must be finite, got 1 NaN"),
        (slow, ValueError, r"velocity must lie in \[1, max_vel = 4000\] m/s, got 0.5 to 2000"),
        (good * 3, ValueError, r"velocity must lie in \[1, max_vel = 4000\] m/s, got 6000 to 6000"),
        (good.int(), TypeError, "velocity must have a floating dtype, got torch.int32"),
        (good.half(), TypeError, "velocity must have dtype torch.float32 or torch.float64, got torch.float16"),
        (good.numpy(), TypeError, "velocity must be a torch.Tensor, got ndarray"),
    ]


@pytest.mark.parametrize(("velocity", "error", "message"), bad_velocities())
def test_refuses_bad_velocities(velocity, error, message):
    with pytest.raises(error, match=message):
        AcousticForward(survey())(velocity)


def test_refuses_an_unbatched_or_wrong_forward():
    with pytest.raises(ValueError, match=r"coefficients must have shape \[\*, 12\], got \[12\]"):
        FORWARD(draw(1)[0])
    with pytest.raises(ValueError, match=r"forward must map a batch \[B, d\] to \[B, m\]"):
        apply_forward(lambda x: FORWARD(x[:1])[0], draw(2))
    with pytest.raises(TypeError, match="acquisition must be an Acquisition, got dict"):
        AcousticForward({})
    with pytest.raises(TypeError, match="acoustic must be an AcousticForward, got function"):
        VelocityForward(FIELD, lambda v: v)
    with pytest.raises(TypeError, match="to_velocity must be callable, got Tensor"):
        VelocityForward(draw(1), AcousticForward(survey()))
