"""One step of the reverse process against Bayes' rule, and its memory of the level before."""

import pytest
import torch
from torch.distributions import Normal

from lib.reverse import Extrapolation, transition


def value(number):
    return torch.tensor(number, dtype=torch.float64)


@pytest.mark.parametrize(("sigma", "following"), [(2.0, 1.5), (0.3, 0.1)])
def test_transition_is_bayes_rule_for_the_less_noisy_state(sigma, following):
    x, x0 = value([[0.7]]), value([[-0.4]])
    grid = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    # x_s = x_0 + s e, then x_sigma = x_s + sqrt(sigma^2 - s^2) e'.
    logs = Normal(x0, following).log_prob(grid) + Normal(grid, (sigma**2 - following**2) ** 0.5).log_prob(x)
    mass = torch.softmax(logs[0], 0)
    mean, std = transition(x, x0, value(sigma), value(following))
    assert float(mean) == pytest.approx(float(mass @ grid), abs=1e-6)
    assert float(std) == pytest.approx(float((mass @ grid**2 - (mass @ grid) ** 2).sqrt()), abs=1e-6)


def test_extrapolation_is_exact_where_x0_moves_evenly_in_log_sigma():
    levels, extrapolate = [value(s) for s in (8.0, 4.0, 2.0, 1.0)], Extrapolation()
    path = [value([[1.0 - 0.5 * k]]) for k in range(4)]  # one unit of log 2 a level
    assert torch.equal(extrapolate(path[0], levels[0], levels[1]), path[0])
    for k in (1, 2):
        found = extrapolate(path[k], levels[k], levels[k + 1])
        torch.testing.assert_close(found, (path[k] + path[k + 1]) / 2)  # the middle of the step


def test_extrapolation_follows_rows_that_are_copied():
    rows, extrapolate, other = torch.tensor([2, 2, 0]), Extrapolation(), Extrapolation()
    before, now = value([[0.0], [1.0], [5.0]]), value([[1.0], [2.0], [3.0]])
    extrapolate.select(rows)  # nothing to remember yet
    for memory, first in ((extrapolate, before), (other, before[rows])):
        memory(first, value(4.0), value(2.0))
    extrapolate.select(rows)
    found, expected = (memory(now, value(2.0), value(1.0)) for memory in (extrapolate, other))
    assert torch.equal(found, expected)
