"""A posterior that was interrupted goes on from its file; a file of something else is refused and left alone."""

import pytest
import torch

from lib import checkpoints
from lib.forward import linear_map, stylized_2d
from lib.posterior import linearized_posterior, relinearized_posterior


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


EXAMPLES, Y = 0.5 * randn(7, 2), torch.tensor([0.3, 0.2], dtype=torch.float64)
WIDE = linear_map(randn(30, 60, seed=3) * 0.8 ** torch.arange(60))
WIDE_EXAMPLES, WIDE_Y = randn(7, 60, seed=1), randn(30, seed=2)


def dense(forward=stylized_2d, **options):
    return linearized_posterior(EXAMPLES, 0.3, forward, Y, 0.3, max_rows=4, **options)


def low_rank(forward=WIDE, **options):
    options = {"generator": torch.Generator().manual_seed(options.pop("seed", 0))} | options
    return linearized_posterior(WIDE_EXAMPLES, 0.3, forward, WIDE_Y, 0.3, 6, max_rows=32, **options)


def at_modes(forward=stylized_2d, **options):
    return relinearized_posterior(EXAMPLES, 0.5, forward, Y, 0.1, max_rows=4, **options)


class Interrupted:
    """A map that fails once it has seen so many different models."""

    def __init__(self, forward, limit):
        self.forward, self.limit, self.seen = forward, limit, set()

    def __call__(self, x):
        self.seen.add(x.detach()[0, 0].item())
        if len(self.seen) > self.limit:
            raise KeyboardInterrupt
        return self.forward(x)


CASES = [(dense, stylized_2d), (low_rank, WIDE), (at_modes, stylized_2d)]


@pytest.mark.parametrize(("compute", "forward"), CASES)
def test_an_interrupted_computation_goes_on_and_ends_the_same(compute, forward, tmp_path):
    path, whole = tmp_path / "posterior.safetensors", compute()
    with pytest.raises(KeyboardInterrupt):
        compute(Interrupted(forward, 3 if compute is not at_modes else 12), checkpoint=path)
    held, _ = checkpoints.read(path, kind=compute_kind(compute))
    done = len(held["means"])
    assert 0 < done < 7
    seen = Interrupted(forward, 10**6)
    # Another generator: the directions are those of the file, as if nothing had happened.
    resumed = compute(seen, checkpoint=path, **({"seed": 9} if compute is low_rank else {}))
    for name in ("means", "covariances", "log_weights"):
        torch.testing.assert_close(getattr(resumed, name), getattr(whole, name), rtol=1e-12, atol=1e-12)
    examples = WIDE_EXAMPLES if compute is low_rank else EXAMPLES
    assert not seen.seen & set(examples[1:done, 0].tolist())  # the first is asked for again, to know the map
    assert seen.seen >= set(examples[done:, 0].tolist()[::2])


def compute_kind(compute):
    return "relinearized posterior" if compute is at_modes else "linearized posterior"


@pytest.mark.parametrize(("compute", "forward"), CASES)
def test_a_finished_file_is_the_posterior_for_one_evaluation(compute, forward, tmp_path):
    path = tmp_path / "posterior.safetensors"
    whole = compute(checkpoint=path)
    content, rows = path.read_bytes(), []

    def counted(x):
        rows.append(len(x))
        return forward(x)

    again = compute(counted, checkpoint=path)
    assert sum(rows) == 1
    assert torch.equal(again.means, whole.means)
    assert torch.equal(again.log_weights, whole.log_weights)
    assert torch.equal(again.covariances, whole.covariances)
    assert path.read_bytes() == content


def bad_files(path):
    """What a file may be instead of that of this problem, and what is said of it."""
    dense(checkpoint=path)
    held, facts = checkpoints.read(path, kind="linearized posterior")
    content = path.read_bytes()
    short = {name: value[:5] if name == "means" else value for name, value in held.items()}
    nan = held | {"precisions": held["precisions"] * float("nan")}

    def other(tensors, facts):
        checkpoints.write(path, tensors, facts)
        return path.read_bytes()

    yield content[:-20], "checkpoint must be an intact safetensors file"
    yield b"nonsense", "checkpoint must be an intact safetensors file"
    yield other(held, facts | {"kind": "training"}), "checkpoint must be a file of kind 'linearized posterior'"
    yield other(held, facts | {"noise_std": 0.2}), "written with another noise_std: 0.2 there, 0.3 here"
    yield other(held, facts | {"bandwidth": 0.2}), "written with another bandwidth: 0.2 there, 0.3 here"
    yield other(held, facts | {"rank": 3}), "written with another rank: 3 there, None here"
    yield other(held, facts | {"data": "0"}), "written with another data: '0' there"
    yield other(short, facts), r"checkpoint must be complete, but .* is not: \['log_weights', 'misfits', 'decrements"
    yield other({k: v for k, v in held.items() if k != "misfits"}, facts), r"is not: \['misfits'\]"
    yield other({}, facts), "checkpoint must be complete"
    yield other(nan, facts), "checkpoint must be complete, but .* its numbers are no result"
    yield other(held, {k: v for k, v in facts.items() if k != "seed"}), r"is not: \['seed'\]"


def test_a_foreign_or_corrupt_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "posterior.safetensors"
    for content, message in list(bad_files(path)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message) as caught:
            dense(checkpoint=path)
        assert str(path) in str(caught.value)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]


def test_examples_data_and_settings_of_another_problem_are_noticed(tmp_path):
    path = tmp_path / "posterior.safetensors"
    at_modes(checkpoint=path)
    content = path.read_bytes()
    for examples, y, options in (
        (EXAMPLES + 1e-9, Y, {}),
        (EXAMPLES, Y + 1e-9, {}),
        (EXAMPLES[:6], Y, {}),
        (EXAMPLES, Y, {"tolerance": 0.02}),
        (EXAMPLES, Y, {"max_iterations": 7}),
    ):
        with pytest.raises(ValueError, match="checkpoint must belong to this run, but .* written with another"):
            relinearized_posterior(examples, 0.5, stylized_2d, y, 0.1, checkpoint=path, **options)
    with pytest.raises(ValueError, match="checkpoint must belong to this forward map, but .* squared misfit was"):
        at_modes(lambda x: 1.01 * stylized_2d(x), checkpoint=path)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_said_before_any_wave(tmp_path):
    def never(x):
        raise AssertionError

    with pytest.raises(FileNotFoundError, match="checkpoint must lie in an existing folder, got"):
        dense(never, checkpoint=tmp_path / "none" / "posterior.safetensors")


def test_batches_whose_tangents_need_another_form_join(tmp_path):
    # |bandwidth J / noise|^2 is beyond what a normal matrix holds for the second example only.
    cubic = lambda x: x + x**3  # noqa: E731
    examples = torch.tensor([[0.1], [3e3], [0.2]], dtype=torch.float64)
    y = cubic(examples[1:2])[0]
    one = linearized_posterior(examples, 0.1, cubic, y, 0.1, max_rows=1)
    two = linearized_posterior(examples[:1], 0.1, cubic, y, 0.1)
    torch.testing.assert_close(one.covariances[:1], two.covariances)
    assert one.covariances[1] == pytest.approx(0.01 / (1 + (1 + 27e6) ** 2))
    path = tmp_path / "posterior.safetensors"
    linearized_posterior(examples, 0.1, cubic, y, 0.1, max_rows=1, checkpoint=path)
    again = linearized_posterior(examples, 0.1, cubic, y, 0.1, checkpoint=path)
    torch.testing.assert_close(again.covariances, one.covariances)
