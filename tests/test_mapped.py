"""Examples on the disk give what examples in memory give, and never come into memory as a whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.mapped import map_examples
from lib.mixture import MemorizedPrior
from lib.neighbours import nearest_distances

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("mean", [0.0, 2500.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mapped_examples_give_bitwise_what_loaded_ones_give(tmp_path, dtype, mean):
    examples = np.random.default_rng(0).normal(mean, 1.0, (3000, 400)).astype(dtype)
    np.save(tmp_path / "x.npy", examples)
    mapped, loaded = map_examples(tmp_path / "x.npy"), torch.from_numpy(examples)
    assert mapped.dtype == loaded.dtype
    x = loaded[:4] + 0.5
    for function in (
        lambda e: MemorizedPrior(e, 0.3).score(x),
        lambda e: MemorizedPrior(e, 0.3).log_prob(x),
        lambda e: nearest_distances(x, e, 3)[0],
    ):
        assert torch.equal(function(mapped), function(loaded))


def test_what_is_written_to_mapped_examples_stays_out_of_the_file(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 3), dtype=np.float32))
    map_examples(tmp_path / "x.npy").fill_(7.0)
    assert (np.load(tmp_path / "x.npy") == 1).all()


MEMORY = """
import sys
import torch
from lib.mapped import map_examples
from lib.mixture import MemorizedPrior
from lib.neighbours import nearest_distances

def own():  # memory of this process alone: pages of the mapped file do not count
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

torch.set_num_threads(1)
small = torch.randn(5000, 256)
MemorizedPrior(small, 0.1).score(small[:8]), nearest_distances(small[:8], small, 2)  # libraries are loaded
before, examples = own(), map_examples(sys.argv[1])
x = examples[:8] + 0.1
prior = MemorizedPrior(examples, 0.1)
prior.score(x), prior.denoise(x, 0.5), nearest_distances(x, examples, 2)
print(own() - before, examples.nbytes / 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mean", [0.0, 2500.0])
def test_mapped_examples_never_take_their_own_size_of_memory(tmp_path, mean):
    examples = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (200_000, 256))
    rng = np.random.default_rng(0)
    for block in np.array_split(np.arange(len(examples)), 20):
        examples[block] = mean + rng.standard_normal((len(block), 256), dtype=np.float32)
    examples.flush()
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "x.npy")]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    beyond, data = map(float, printed.split())
    assert data > 190
    assert beyond < 0.5 * data  # a copy would take all of it; blocks and a number an example take a part


def bad(folder):
    """Files that are no examples."""
    np.save(folder / "cube.npy", np.ones((2, 3, 4), dtype=np.float32))
    np.save(folder / "empty.npy", np.ones((0, 3), dtype=np.float32))
    np.save(folder / "whole.npy", np.ones((2, 3), dtype=np.int64))
    np.save(folder / "swapped.npy", np.ones((2, 3), dtype=">f4" if sys.byteorder == "little" else "<f4"))
    np.save(folder / "fortran.npy", np.asfortranarray(np.ones((2, 3), dtype=np.float32)))
    np.save(folder / "objects.npy", np.array([[object()]]), allow_pickle=True)
    np.savez(folder / "many.npy.npz", np.ones((2, 3)))
    (folder / "many.npy.npz").rename(folder / "many.npy")
    (folder / "text.npy").write_text("no numbers")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cube", r"\[N, d\]"),
        ("empty", r"\[N, d\]"),
        ("many", r"\[N, d\]"),
        ("whole", "float32 or float64"),
        ("swapped", "byte order"),
        ("fortran", "row by row"),
        ("objects", "not a readable"),
        ("text", "not a readable"),
    ],
)
def test_a_file_without_examples_is_refused_by_name(tmp_path, name, said):
    bad(tmp_path)
    with pytest.raises(ValueError, match=said) as error:
        map_examples(tmp_path / f"{name}.npy")
    assert f"{name}.npy" in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none at .*away.npy"):
        map_examples(tmp_path / "away.npy")
