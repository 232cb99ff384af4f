import pytest
import torch

from lib.problem import outside_truth, waveform_problem
from lib.scale import scale


def test_truth_explains_its_data_down_to_the_noise():
    problem = waveform_problem(scale("quick"))
    # The mean of m squared normal numbers has the standard error sqrt(2 / m).
    assert abs(problem.chi2(problem.truth[None]).item() - 1) < 5 * (2 / len(problem.d_obs)) ** 0.5


def test_a_larger_training_set_contains_the_smaller_and_never_a_fresh_draw():
    problem = waveform_problem(scale("quick"))
    large = problem.examples(6)
    assert torch.equal(problem.examples(3), large[:3])
    draws = torch.cat([large, problem.fresh(5), problem.truth[None]])
    assert len(torch.unique(draws, dim=0)) == len(draws)


def test_truths_differ_by_seed_and_repeat_for_one_seed():
    first, again, other = (waveform_problem(scale("quick"), seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.d_obs, again.d_obs)
    assert not torch.equal(first.truth, other.truth)


def test_examples_are_the_same_in_both_precisions():
    single, double = (waveform_problem(scale("quick"), dtype=dtype) for dtype in (torch.float32, torch.float64))
    torch.testing.assert_close(single.examples(2).double(), double.examples(2), rtol=1e-6, atol=1e-6)


def test_a_truth_from_outside_explains_its_data_and_no_model_of_the_field_is_like_it():
    preset = scale("quick")
    velocity = outside_truth(preset)
    problem = waveform_problem(preset, seed=9, velocity=velocity)
    assert problem.truth is None
    clean = problem.forward.acoustic(problem.velocity[None])[0].flatten()
    chi2 = ((clean - problem.d_obs) / problem.noise_std).square().mean().item()
    assert abs(chi2 - 1) < 5 * (2 / len(problem.d_obs)) ** 0.5
    # The best fit of the field's modes to the velocities leaves the edges: more than 50 m/s on average.
    linear = (problem.velocity - problem.field.background.float()).flatten()
    modes = problem.field.basis.float().flatten(1).T
    left = linear - modes @ torch.linalg.lstsq(modes, linear[:, None]).solution[:, 0]
    assert left.square().mean().sqrt() > 50


def test_errors_are_root_mean_squares_above_a_depth():
    problem = waveform_problem(scale("quick"))
    assert torch.equal(problem.errors(problem.truth[None]), torch.zeros(1))
    x = problem.fresh(2)
    difference = problem.field(x) - problem.velocity
    torch.testing.assert_close(problem.errors(x), difference.square().mean((1, 2)).sqrt())
    shallow = difference[:, :10].square().mean((1, 2)).sqrt()
    torch.testing.assert_close(problem.errors(x, max_depth=500.0), shallow)
    with pytest.raises(ValueError, match=r"max_depth must be positive and finite, got -1.0"):
        problem.errors(x, max_depth=-1.0)


def test_a_truth_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"velocity must have shape \[32, 32\], got \[8, 8\]"):
        waveform_problem(scale("quick"), velocity=torch.full((8, 8), 2000.0))
