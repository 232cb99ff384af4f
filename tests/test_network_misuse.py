"""Misuse of a network or its file gives an error that names the argument or the file, the rule and the value."""

import math
import sys

import numpy as np
import pytest
import torch
from small_networks import BAD_WEIGHTS, mlp
from torch import nn

from lib.checkpoints import read, write
from lib.network import Denoiser, ResidualMLP, UNet, load_network, save_network

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
NET = ResidualMLP(4, width=8, depth=1)


def unet(shape=(8, 8), **options):
    return UNet(shape, **{"channels": 8, "levels": 2, **options})


def test_the_calls_below_succeed_when_nothing_is_wrong():
    assert mlp()(X, 1.0).shape == (6, 4)
    assert unet()(torch.zeros(2, 64), torch.ones(2)).shape == (2, 64)
    assert mlp(np.int64(4), width=torch.tensor(8), sigma_data=np.float32(0.5)).config["dim"] == 4


BAD_COUNTS = [
    (0, ValueError, "{} must be at least 1, got 0"),
    (-1, ValueError, "{} must be at least 1, got -1"),
    (2**70, ValueError, "{} must be below 2\\^63, got"),
    (8.0, TypeError, "{} must be a whole number, got float"),
    (True, TypeError, "{} must be a whole number, got bool"),
    (None, TypeError, "{} must be a whole number, got NoneType"),
    ("8", TypeError, "{} must be a whole number, got str"),
    (np.array([8]), TypeError, "{} must be a whole number, got ndarray"),
    (torch.tensor(8, device="meta"), ValueError, "{} must hold values, got a tensor on device meta"),
]


@pytest.mark.parametrize(
    ("call", "name"),
    [(mlp, "dim"), (mlp, "width"), (mlp, "depth"), (unet, "channels"), (unet, "levels"), (unet, "patch")],
)
@pytest.mark.parametrize(("value", "error", "message"), BAD_COUNTS)
def test_bad_counts(call, name, value, error, message):
    with pytest.raises(error, match=message.format(name)):
        call(**{name: value})


@pytest.mark.parametrize("call", [mlp, unet])
def test_bad_seeds_and_scales(call):
    for value, error in ((-1, ValueError), (1.5, TypeError), (None, TypeError), (True, TypeError)):
        with pytest.raises(error, match="seed must be"):
            call(seed=value)
    for value, error in ((0, ValueError), (-1.0, ValueError), (math.nan, ValueError), (1e-30, ValueError),
                         (1e30, ValueError), ("1", TypeError), (None, TypeError), (True, TypeError)):  # fmt: skip
        with pytest.raises(error, match="sigma_data must"):
            call(sigma_data=value)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"shape": 64}, ValueError, r"shape must be \(nz, nx\), got 64"),
        ({"shape": (8,)}, ValueError, r"shape must be \(nz, nx\), got \(8,\)"),
        ({"shape": "88"}, ValueError, r"shape must be \(nz, nx\), got '88'"),
        ({"shape": (8, 0)}, ValueError, "shape must be at least 1, got 0"),
        ({"shape": (8, 8.0)}, TypeError, "shape must be a whole number, got float"),
        ({"shape": (8, 9)}, ValueError, r"multiples of patch 2\^\(levels - 1\) = 2, got \(8, 9\)"),
        ({"patch": 8}, ValueError, r"= 16, got \(8, 8\)"),
        ({"levels": 2**40}, ValueError, r"multiples of patch 2\^\(levels - 1\) = \d+, got \(8, 8\)"),
        ({"levels": 4}, ValueError, "shape must leave more than one cell at the coarsest of 4 levels"),
        ({"channels": 12}, ValueError, "channels must be a multiple of 8, got 12"),
    ],
)
def test_bad_shapes(change, error, message):
    with pytest.raises(error, match=message):
        unet(**change)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (X.numpy(), TypeError, "x must be a torch.Tensor, got ndarray; torch.as_tensor converts"),
        (X.tolist(), TypeError, "x must be a torch.Tensor, got list"),
        (None, TypeError, "x must be a torch.Tensor, got NoneType"),
        (X[0], ValueError, r"x must have shape \[\*, 4\], got \[4\]"),
        (X[:, :3], ValueError, r"x must have shape \[\*, 4\], got \[6, 3\]"),
        (X[:0], ValueError, "x must not be empty"),
        (X.double(), TypeError, "x must have dtype torch.float32 .* got torch.float64"),
        (X.half(), TypeError, "x must have dtype torch.float32 or torch.float64, got torch.float16"),
        (X.long(), TypeError, "x must have a floating dtype, got torch.int64"),
        (X / 0, ValueError, "x must be finite, got 24"),
        (X.to("meta"), ValueError, "x must be on device cpu .* got meta"),
        (X.to_sparse(), TypeError, "x must be a dense tensor"),
    ],
)
def test_bad_states(x, error, message):
    with pytest.raises(error, match=message):
        NET(x, 1.0)


@pytest.mark.parametrize(
    ("sigma", "error", "message"),
    [
        (0.0, ValueError, "sigma must be positive and finite, got 0.0"),
        (math.nan, ValueError, "sigma must be positive and finite, got nan"),
        (None, TypeError, "sigma must be one positive number, got NoneType"),
        ("1", TypeError, "sigma must be one positive number, got str"),
        (torch.ones(5), ValueError, r"sigma must have shape \[6\], got \[5\]"),
        (torch.ones(6, 1), ValueError, r"sigma must have shape \[6\], got \[6, 1\]"),
        (torch.ones(6).double(), TypeError, "sigma must have dtype torch.float32"),
        (torch.tensor([1.0, 1, 1, 1, 1, 0]), ValueError, "sigma must be positive, got a minimum of 0.0"),
        (1e-30, ValueError, "sigma must have a square that torch.float32 can hold"),
    ],
)
def test_bad_levels(sigma, error, message):
    with pytest.raises(error, match=message):
        NET(X, sigma)


def test_levels_of_a_loss_are_a_column():
    """[B] would spread over a batch of B = d examples without a word."""
    with pytest.raises(ValueError, match=r"must be \[B, 4\], \[B, 1\], \[B, 4\], got \[4, 4\], \[4\], \[4, 4\]"):
        NET.loss(X[:4], torch.ones(4), X[:4])
    with pytest.raises(ValueError, match=r"got \[6, 4\], \[6, 1\], \[1, 4\]"):
        NET.loss(X, torch.ones(6, 1), X[:1])
    with pytest.raises(ValueError, match=r"got \[6, 3\]"):
        NET.loss(X[:, :3], torch.ones(6, 1), X[:, :3])


class Mine(ResidualMLP):
    """A class that a file could not name."""


def replaced():
    network = mlp()
    network.leave = nn.Linear(8, 5)
    return network


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        ("net", TypeError, "network must be a ResidualMLP or a UNet, got str"),
        (nn.Linear(4, 4), TypeError, "network must be a ResidualMLP or a UNet, got Linear"),
        (Mine(4), TypeError, "network must be a ResidualMLP or a UNet, got Mine"),
        (Denoiser(4, 1.0, {}), TypeError, "got Denoiser"),
        *BAD_WEIGHTS,
        (replaced(), ValueError, r"network must have torch.float32 \[4\] at leave.bias, got torch.float32 \[5\]"),
    ],
)
def test_what_could_not_be_loaded_again_is_not_saved(network, error, message, tmp_path):
    with pytest.raises(error, match=message):
        save_network(network, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", [load_network, lambda path: save_network(NET, path)], ids=["load", "save"])
@pytest.mark.parametrize("path", [None, 3, True, b"a", ["a"], torch.tensor(0)])
def test_a_path_is_a_string_or_a_path(call, path):
    with pytest.raises(TypeError, match=f"path must be a str or a pathlib.Path, got {type(path).__name__}"):
        call(path)


def test_a_folder_or_a_missing_one_is_no_file(tmp_path):
    with pytest.raises(ValueError, match=f"path must be a file, got the folder {tmp_path}"):
        save_network(NET, tmp_path)
    with pytest.raises(FileNotFoundError, match=f"path must lie in an existing folder, got {tmp_path}/no/a"):
        save_network(NET, tmp_path / "no" / "a")
    for path in (tmp_path, tmp_path / "a", tmp_path / "no" / "a"):
        with pytest.raises(FileNotFoundError, match=f"path must be an existing file, got {path}"):
            load_network(path)


def config(**changes):
    return {**NET.config, **changes}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({}, "'network'"),
        ({"network": None}, "not iterable"),
        ({"network": [1, 2]}, ""),
        ({"network": "MLP"}, ""),
        ({"network": config(**{"class": "os.system"})}, "'os.system'"),
        ({"network": config(**{"class": ["ResidualMLP"]})}, "unhashable"),
        ({"network": {name: value for name, value in NET.config.items() if name != "class"}}, "'class'"),
        ({"network": config(extra=1)}, "unexpected keyword argument 'extra'"),
        ({"network": config(dim=5)}, r"it must have torch.float32 \[8, 5\] at enter.weight"),
        ({"network": config(dim="4")}, "dim must be a whole number, got str"),
        ({"network": config(width=16)}, r"\[16, 16\] at blocks.0.first.weight|\[16\] at blocks.0.first.bias"),
        ({"network": config(width=2**62)}, ""),
        ({"network": config(width=-8)}, "width must be at least 1, got -8"),
        ({"network": config(depth=2)}, "at blocks.1.first.bias, got nothing"),
        ({"network": config(depth=10**12)}, "weights for each of its blocks"),
        ({"network": config(sigma_data=-1.0)}, "sigma_data must be positive and finite, got -1.0"),
        ({"network": config(sigma_data=math.nan)}, "sigma_data must be positive and finite, got nan"),
        ({"network": config(sigma_data="1")}, "sigma_data must be one positive number, got str"),
        ({"network": {**unet().config, "levels": 10**12}}, "weights for each of its blocks"),
        ({"network": {**unet().config, "shape": [2**40, 2**40]}}, "dim must be below"),
        ({"network": {**unet().config, "shape": [2**20, 2**20]}}, "it must have"),
        ({"network": {**unet().config, "patch": 2**62}}, "shape must hold multiples"),
    ],
)
def test_a_file_that_describes_another_network_is_refused(facts, message, tmp_path):
    path = tmp_path / "a"
    write(path, NET.state_dict(), {"kind": "network", **facts})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"path must be a file of save_network, but {path} is not: .*{message}"):
        load_network(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leave.bias": None}, "at leave.bias, got nothing"),
        ({"more": torch.zeros(3)}, r"it must have nothing at more, got torch.float32 \[3\]"),
        ({"leave.bias": torch.zeros(5)}, r"must have torch.float32 \[4\] at leave.bias, got torch.float32 \[5\]"),
        ({"leave.bias": torch.zeros(4).double()}, "leave.bias must have dtype torch.float32"),
        ({"leave.bias": torch.zeros(4).long()}, "at leave.bias, got torch.int64"),
        ({"leave.bias": torch.full((4,), math.nan)}, "leave.bias must be finite, got 4 NaN"),
    ],
)
def test_a_file_with_other_tensors_is_refused(change, message, tmp_path):
    weights = {name: value for name, value in {**NET.state_dict(), **change}.items() if value is not None}
    write(tmp_path / "a", weights, {"kind": "network", "network": NET.config})
    with pytest.raises(ValueError, match=f"but {tmp_path}/a is not: .*{message}"):
        load_network(tmp_path / "a")


def test_a_file_without_tensors_or_in_half_precision_is_refused(tmp_path):
    for weights in ({}, {name: value.half() for name, value in NET.state_dict().items()}):
        write(tmp_path / "a", weights, {"kind": "network", "network": NET.config})
        with pytest.raises(ValueError, match="path must be a file of save_network, but .* must have (weights|dtype)"):
            load_network(tmp_path / "a")


def test_a_small_file_cannot_ask_for_a_large_network(tmp_path):
    write(tmp_path / "a", NET.state_dict(), {"kind": "network", "network": config(width=2**13)})
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="8192"):
        load_network(tmp_path / "a")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < 2**27  # two layers of its own would be 2^29 bytes


def test_a_checkpoint_is_no_network_file(tmp_path):
    write(tmp_path / "a", NET.state_dict(), {"kind": "training", "network": NET.config})
    with pytest.raises(ValueError, match=f"path must be a file of kind 'network' .* but {tmp_path}/a is not"):
        load_network(tmp_path / "a")
    save_network(NET, tmp_path / "b")
    assert read(tmp_path / "b", kind="network")[1] == {"kind": "network", "network": NET.config}
