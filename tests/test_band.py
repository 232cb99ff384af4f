"""Sampled gradients: data lie in the wavelet's band, residuals are made quiet, the error stays below its limit."""

from dataclasses import replace

import pytest
import torch

from lib.band import Band
from lib.jacobian import dot_test, vjp
from lib.problem import waveform_problem
from lib.scale import scale
from lib.seismic import AcousticForward, BornForward, VelocityForward

QUICK = scale("quick")
SURVEY = QUICK.acquisition(num_shots=2, num_receivers=8)
FIELD = QUICK.velocity_field()
BAND = Band(SURVEY)


def draw(n, seed=0):
    return FIELD.sample(n, generator=torch.Generator().manual_seed(seed))


def forward_map(interval, survey=SURVEY):
    return VelocityForward(FIELD, AcousticForward(replace(survey, gradient_interval=interval)))


def test_records_of_any_model_lie_in_the_span_of_the_wavelet():
    records = AcousticForward(SURVEY)(FIELD(draw(3)))
    across = records - records @ BAND.basis @ BAND.basis.T
    assert across.norm() < 1e-5 * records.norm()
    # Few numbers a trace: two for each period of the highest frequency, and a few for the ends.
    assert len(BAND.basis.T) < 2 * 3 * SURVEY.peak_freq * SURVEY.nt * SURVEY.dt + 10
    noise = torch.randn(200, SURVEY.nt, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (noise @ BAND.basis).norm() < 0.4 * noise.norm()


def test_quiet_residuals_have_the_same_exact_gradient_and_less_energy_above_the_rate():
    kept = BAND.basis.T @ BAND.quiet
    torch.testing.assert_close(kept, torch.eye(len(kept), dtype=torch.float64), rtol=0, atol=1e-9)
    r = torch.randn(50, SURVEY.nt, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def high(signals):
        spectrum = torch.fft.rfft(signals, 4 * SURVEY.nt)
        frequency = torch.fft.rfftfreq(4 * SURVEY.nt, SURVEY.dt)
        rate = 1 / (SURVEY.gradient_interval * SURVEY.dt)
        return spectrum[:, frequency > rate / 2].abs().square().sum()

    assert high(r @ BAND.basis @ BAND.quiet.T) < 0.5 * high(r @ BAND.basis @ BAND.basis.T) < 0.2 * high(r)


@pytest.mark.parametrize("seed", [0, 1])
def test_sampled_gradient_of_noisy_data_is_within_a_ten_thousandth(seed):
    problem = waveform_problem(QUICK, seed=seed, dtype=torch.float64)
    survey, x = problem.forward.acoustic.acquisition, problem.fresh(2)
    assert survey.gradient_interval > 1

    def gradient(forward):
        data, pullback = vjp(forward, x)
        return pullback(data - problem.d_obs)

    full, sampled = gradient(forward_map(1, survey)), gradient(problem.forward)
    untouched = forward_map(survey.gradient_interval, survey)
    untouched.acoustic._band.limit = lambda records: records
    errors = [((found - full).norm(dim=1) / full.norm(dim=1)).max() for found in (sampled, gradient(untouched))]
    assert 0 < errors[0] < 1e-4 < errors[1] / 5


def test_adjoint_is_exact_without_sampling_and_near_with_it():
    generator = torch.Generator().manual_seed(0)
    exact, near = (dot_test(forward_map(k), draw(1)[0], generator=generator) for k in (1, SURVEY.gradient_interval))
    assert exact < 1e-15 < near < 1e-4


def test_a_sampled_born_operator_keeps_to_the_band_too():
    born = BornForward(SURVEY, FIELD(draw(1))[0])
    full = BornForward(replace(SURVEY, gradient_interval=1), born.background)
    w = torch.randn(1, 2, 8, SURVEY.nt, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pulled = []
    for operator in (full, born):
        p = torch.zeros(1, *SURVEY.shape, dtype=torch.float64, requires_grad=True)
        pulled.append(torch.autograd.grad(operator(p), p, w)[0])
    assert 0 < (pulled[1] - pulled[0]).norm() < 0.05 * pulled[0].norm()  # white noise: the hardest residual there is


def test_values_and_their_dtype_are_untouched():
    acoustic, velocity = AcousticForward(SURVEY), FIELD(draw(1)).float()
    with torch.no_grad():
        plain = acoustic(velocity)
    traced = acoustic(velocity.clone().requires_grad_())
    assert torch.equal(plain, traced.detach())
    assert traced.dtype == torch.float32
