import torch

from lib.problem import waveform_problem
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
