"""Thinned records: low frequencies pass, the rest goes, every k-th sample stays, derivatives agree."""

import math

import pytest
import torch

from lib.acquisition import Acquisition
from lib.diagnostics import effective_sample_size
from lib.jacobian import dot_test
from lib.posterior import lookup_weights
from lib.problem import waveform_problem
from lib.scale import scale
from lib.seismic import AcousticForward, BornForward, Thinned, VelocityForward

SURVEY = Acquisition.surface(
    (20, 20), grid_spacing=50.0, dt=0.005, nt=200, peak_freq=3.5, max_vel=4000.0, num_shots=1, num_receivers=3
)
VELOCITY = torch.full((1, 20, 20), 2000.0, dtype=torch.float64)


class Tone:
    """A wave operator whose every trace is a sine."""

    def __init__(self, frequency):
        self.acquisition, self.frequency = SURVEY, frequency

    def __call__(self, velocity):
        time = torch.arange(SURVEY.nt, dtype=velocity.dtype) * SURVEY.dt
        return torch.sin(2 * math.pi * self.frequency * time).expand(len(velocity), 1, 3, -1)


def middle(records):
    """Samples further than a filter's length from both ends."""
    return records[..., 2:-2]


@pytest.mark.parametrize(("frequency", "low", "high"), [(1.0, 0.9, 1.1), (12.0, 0.0, 0.05)])
def test_slow_waves_pass_unchanged_and_fast_ones_are_gone(frequency, low, high):
    thinned = Thinned(Tone(frequency), cutoff=4.0, every=20)(VELOCITY)
    kept = Tone(frequency)(VELOCITY)[..., ::20]
    assert thinned.shape == (1, 1, 3, 10)
    peak = middle(kept).abs().max() if low else 1.0
    assert low <= middle(thinned).abs().max() / peak <= high
    if low:
        # No delay: the filter is symmetric.
        assert (middle(thinned) - middle(kept)).abs().max() < 0.1


@pytest.mark.parametrize("wave", [AcousticForward(SURVEY), BornForward(SURVEY, VELOCITY[0])])
def test_adjoint_and_derivative_agree(wave):
    forward = VelocityForward(lambda x: VELOCITY + x.reshape(-1, 20, 20), Thinned(wave, cutoff=4.0, every=20))
    generator = torch.Generator().manual_seed(0)
    point = 50 * torch.randn(400, generator=generator, dtype=torch.float64)
    assert dot_test(forward, point, generator=generator) < 1e-9


def test_samples_that_would_alias_are_refused():
    with pytest.raises(ValueError, match=r"cutoff must be below 5 Hz, half the rate of the samples kept, got 5.0"):
        Thinned(AcousticForward(SURVEY), cutoff=5.0, every=20)
    with pytest.raises(ValueError, match="every must be"):
        Thinned(AcousticForward(SURVEY), cutoff=4.0, every=0)
    with pytest.raises(TypeError, match="wave must be an AcousticForward or a BornForward, got function"):
        Thinned(lambda velocity: velocity, cutoff=4.0, every=20)


@pytest.mark.parametrize("seed", [0, 4])
def test_with_few_data_several_models_share_the_posterior(seed):
    problem = waveform_problem(scale("quick"), seed=seed, thinned=True)
    assert len(problem.d_obs) < 100
    logs = lookup_weights(problem.examples(50), problem.forward, problem.d_obs, problem.noise_std)
    assert 3 <= effective_sample_size(logs) <= 10
    assert abs(problem.chi2(problem.truth[None]).item() - 1) < 5 * (2 / len(problem.d_obs)) ** 0.5
