"""Neighbours are found across blocks of both sets, without a copy of the examples."""

import pytest
import torch

from lib import neighbours
from lib.neighbours import nearest_distances


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cut_into_blocks(monkeypatch, numbers):
    monkeypatch.setattr(neighbours, "_BLOCK", numbers)
    monkeypatch.setattr(neighbours, "_LONG", numbers)


def same_as_the_whole_table(samples, examples, k, **options):
    table = torch.cdist(samples, examples, compute_mode="donot_use_mm_for_euclid_dist").sort(1)
    distances, indices = nearest_distances(samples, examples, k, **options)
    torch.testing.assert_close(distances, table.values[:, :k])
    assert torch.equal(indices, table.indices[:, :k])


@pytest.mark.parametrize("k", [1, 7, 40])
def test_blocks_of_any_size_find_the_same_neighbours(k, monkeypatch):
    examples, samples = randn(40, 3) + 50, randn(23, 3, seed=1) + 50
    cut_into_blocks(monkeypatch, 27)  # nine examples of three numbers
    monkeypatch.setattr(neighbours, "_TABLE", 20)
    for block in (1, 5, 100):
        same_as_the_whole_table(samples, examples, k, block=block)


@pytest.mark.parametrize("farthest_first", [True, False])
def test_many_neighbours_in_one_late_block_are_all_found(farthest_first, monkeypatch):
    cut_into_blocks(monkeypatch, 50 * 3)
    examples, samples = randn(400, 3), 0.1 * randn(6, 3, seed=1)
    examples = examples[examples.norm(dim=1).argsort(descending=farthest_first)]
    same_as_the_whole_table(samples, examples, 40)


@pytest.mark.parametrize("farthest_first", [True, False])
@pytest.mark.parametrize("rows", [700, 5000])
def test_folded_blocks_find_the_same_neighbours(rows, farthest_first, monkeypatch):
    cut_into_blocks(monkeypatch, rows * 3)
    monkeypatch.setattr(neighbours, "_FOLD", 9)  # some values are left over in each block
    examples, samples = randn(4000, 3), 0.1 * randn(11, 3, seed=1)
    examples = examples[examples.norm(dim=1).argsort(descending=farthest_first)]
    same_as_the_whole_table(samples, examples, 30)


def test_distances_near_and_far_are_right_in_single_precision():
    examples = (1e-4 * 2.0 ** torch.arange(40)[:, None] * randn(40, 30) + 100).float()  # from copies to far away
    samples = examples[::7] + 1e-3 * randn(6, 30, seed=1).float()
    exact = torch.cdist(samples.double(), examples.double(), compute_mode="donot_use_mm_for_euclid_dist").sort(1).values
    torch.testing.assert_close(nearest_distances(samples, examples, 40)[0].double(), exact, rtol=2e-6, atol=0)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_copies_amid_many_that_are_nearly_copies_are_found(offset):
    model = randn(1, 1000)
    examples = (torch.cat([randn(200, 1000, seed=1), model + 1e-3 * randn(40, 1000, seed=2)]) + offset).float()
    exact = torch.cdist(examples[200:].double(), examples.double(), compute_mode="donot_use_mm_for_euclid_dist").sort(1)
    distances, indices = nearest_distances(examples[200:], examples, 3)
    assert (distances[:, 0] == 0).all()
    assert torch.equal(indices, exact.indices[:, :3])
    torch.testing.assert_close(distances.double(), exact.values[:, :3], rtol=1e-5, atol=0)


def test_distances_keep_no_gradient():
    assert not nearest_distances(randn(3, 2).requires_grad_(), randn(9, 2, seed=1), 2)[0].requires_grad


def test_a_copy_in_the_last_block_is_at_distance_zero(monkeypatch):
    cut_into_blocks(monkeypatch, 64)
    examples = (1000 * randn(100, 8) + 1e5).float()
    distances, indices = nearest_distances(examples[[3, 99]], examples, 2)
    assert (distances[:, 0] == 0).all()
    assert indices[:, 0].tolist() == [3, 99]


def test_block_must_be_a_count():
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        nearest_distances(randn(2, 3), randn(4, 3), 1, block=0)
