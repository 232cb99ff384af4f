"""Files of tensors: whole or not at all; damaged, foreign and dangerous ones are refused and stay as they are."""

import json
import os
import pickle
import stat
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lib import checkpoints
from lib.checkpoints import check_weights, fingerprint, match, read, target, write

TENSORS = {"b": torch.arange(3.0), "a": torch.tensor(2), "c": torch.randn(2, 3).double(), "bytes": torch.ones(5).byte()}
FACTS = {"kind": "test", "number": 0.1, "none": None, "list": [1, 2], "text": "é\n\"'"}


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "file", TENSORS, FACTS)
    return tmp_path / "file"


def refused(path, message=""):
    """Reading is a ValueError that names the file, and the file stays as it is."""
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"path must be .* {path} .*{message}"):
        read(path, kind="test")
    assert path.read_bytes() == before
    return True


def test_tensors_and_facts_come_back(path):
    for name in (path, str(path)):
        tensors, facts = read(name, kind="test")
        assert facts == FACTS
        assert tensors.keys() == TENSORS.keys()
        for key, value in TENSORS.items():
            assert tensors[key].dtype == value.dtype
            assert torch.equal(tensors[key], value)
    assert os.listdir(path.parent) == ["file"]


def test_views_gradients_and_strides_are_no_obstacle(tmp_path):
    both, leaf = torch.randn(4, 6), torch.randn(3, requires_grad=True)
    tensors = {"half": both[:, :3], "whole": both, "again": both, "turned": both.T, "leaf": leaf}
    write(tmp_path / "a", tensors, {"kind": "test"})
    assert all(torch.equal(value, tensors[name]) for name, value in read(tmp_path / "a", kind="test")[0].items())


def test_what_was_read_no_longer_needs_the_file(path):
    tensors, _ = read(path, kind="test")
    with open(path, "r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert torch.equal(tensors["c"], TENSORS["c"])


def test_a_file_has_the_permissions_of_any_other(path):
    other = path.with_name("other")
    other.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_a_link_goes_on_pointing_at_its_file(path):
    link = path.with_name("link")
    link.symlink_to(path)
    write(link, {"x": torch.zeros(1)}, FACTS)
    assert link.is_symlink()
    assert read(path, kind="test")[0].keys() == {"x"}


def test_any_changed_byte_is_noticed(path):
    """A flipped bit in a weight would train on without a word; in the header it may name other tensors."""
    whole, unseen = path.read_bytes(), []
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            tensors, facts = read(path, kind="test")
        except ValueError as error:
            unseen += [] if str(path) in str(error) else [place]
        else:  # a blank that became another blank is no damage
            same = facts == FACTS and all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
            unseen += [] if same else [place]
    assert unseen == []


def test_a_truncated_file_is_refused_at_any_length(path):
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert refused(path)
    path.write_bytes(whole + b"\0")
    assert refused(path)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_refused(tmp_path, seed):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(256, (40 * seed,), generator=generator, dtype=torch.uint8).numpy().tobytes()
    for start in (b"", (30).to_bytes(8, "little"), (2**62).to_bytes(8, "little")):
        (tmp_path / "noise").write_bytes(start + noise)
        assert refused(tmp_path / "noise", "is not: ")


def rewritten(path, tensors=TENSORS, **metadata):
    path.write_bytes(safetensors.torch.save(dict(tensors), metadata or None))
    return path


def test_foreign_files_are_refused(path):
    text = json.dumps(FACTS)
    good = {"format": "memorization-course 1", "facts": text, "digest": checkpoints._digest(TENSORS, text)}
    assert read(rewritten(path, **good), kind="test")[1] == FACTS
    for metadata in ({}, {"format": "pt"}, {**good, "format": "other"}, {**good, "format": "memorization-course 2"}):
        assert refused(rewritten(path, **metadata), "is not")
    for facts in ("null", "[1]", '"text"', "3", "{}", '{"kind": "other"}', '{"kind": null}', '{"kind": ["test"]}'):
        assert refused(rewritten(path, **{**good, "facts": facts}), "is not")
    for facts in ("", "{", "{'kind': 'test'}", "[" * 100_000, "1" * 5000):
        assert refused(rewritten(path, **{**good, "facts": facts}), "is not: ")
    for metadata in ({**good, "digest": "0"}, {name: good[name] for name in ("format", "facts")}):
        assert refused(rewritten(path, **metadata), "differ from their checksum")
    renamed = {("d" if name == "c" else name): value for name, value in TENSORS.items()}
    turned = {**TENSORS, "c": TENSORS["c"].reshape(3, 2)}
    retyped = {**TENSORS, "c": TENSORS["c"].view(torch.int64)}
    for tensors in (renamed, turned, retyped, {**TENSORS, "d": torch.zeros(1)}):
        assert refused(rewritten(path, tensors, **good), "differ from their checksum")


class Trap:
    """Whoever unpickles it leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_is_never_opened(tmp_path):
    trap, sprung = Trap(tmp_path / "sprung"), tmp_path / "sprung"
    (tmp_path / "pickle").write_bytes(pickle.dumps(trap))
    torch.save({"state": trap}, tmp_path / "zip")
    torch.save(trap, tmp_path / "old", _use_new_zipfile_serialization=False)
    for name in ("pickle", "zip", "old"):
        assert refused(tmp_path / name)
        assert not sprung.exists()
    pickle.loads((tmp_path / "pickle").read_bytes())
    assert sprung.exists()  # it would have


@pytest.mark.parametrize("function", ["replace", "fsync"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch, function, error):
    before = path.read_bytes()

    def fail(*arguments):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(type(error)):
            write(path, {"x": torch.zeros(1)}, FACTS)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["file"]
    write(path, {"x": torch.zeros(1)}, FACTS)
    assert read(path, kind="test")[0].keys() == {"x"}


def test_the_old_file_is_whole_until_the_new_one_is_on_the_disk(path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def watch(name, function):
        def watched(*arguments):
            calls.append(name)
            assert read(path, kind="test")[1] == FACTS
            if name == "replace":
                assert Path(arguments[0]).parent == path.parent  # the same disk: a rename, no copy
                assert read(arguments[0], kind="test")[1] == {"kind": "test"}
            return function(*arguments)

        return watched

    monkeypatch.setattr(os, "fsync", watch("fsync", fsync))
    monkeypatch.setattr(os, "replace", watch("replace", replace))
    write(path, TENSORS, {"kind": "test"})
    assert calls == ["fsync", "replace"]


def test_parts_left_behind_are_in_nobodys_way(path):
    for name in ("file.part", "file.0a1b2c3d.part"):
        path.with_name(name).write_bytes(b"torn")
    write(path, {"x": torch.zeros(1)}, FACTS)
    assert read(path, kind="test")[0].keys() == {"x"}
    assert path.with_name("file.part").read_bytes() == b"torn"


def test_paths_that_cannot_be_written_to(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=f"it must be a file, got the folder {tmp_path}"):
        target("it", tmp_path)
    with pytest.raises(ValueError, match="it must be a file, got the folder"):
        target("it", "")
    for path in (tmp_path / "no" / "a", str(tmp_path / "no" / "a")):
        with pytest.raises(FileNotFoundError, match=f"it must lie in an existing folder, got {path}"):
            target("it", path)
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match="it must lie in an existing folder"):
        target("it", tmp_path / "file" / "a")
    for path in (None, 3, True, b"a", ["a"]):
        with pytest.raises(TypeError, match=f"it must be a str or a pathlib.Path, got {type(path).__name__}"):
            target("it", path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match=f"it must lie in a folder that may be written to, got {tmp_path}/a"):
        target("it", tmp_path / "a")


def test_a_target_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert target("it", "a") == tmp_path.resolve() / "a"
    write("a", TENSORS, FACTS)
    assert read("a", kind="test")[1] == FACTS


def test_paths_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "a", tmp_path / "no" / "a", "", "a\0b"):
        with pytest.raises(FileNotFoundError, match="its name must be an existing file, got"):
            read(path, kind="test", name="its name")
    for path in (None, 3, True, b"a", ["a"]):
        with pytest.raises(TypeError, match=f"its name must be a str or a pathlib.Path, got {type(path).__name__}"):
            read(path, kind="test", name="its name")


def test_a_fingerprint_sees_values_shapes_and_types_only():
    x = torch.randn(4, 6)
    print_of_x = fingerprint(x)
    imaginary = torch.complex(torch.zeros(4, 6), -x).conj().imag
    assert imaginary.is_neg()
    for equal in (x.clone(), x.T.contiguous().T, x.requires_grad_(), imaginary):
        assert fingerprint(equal) == print_of_x
    other = x.detach().clone()
    other[3, 5] = torch.nextafter(other[3, 5], torch.tensor(9.0))
    for different in (other, x.T, x.reshape(6, 4), x.double(), x.detach().view(torch.int32), x[:3]):
        assert fingerprint(different) != print_of_x
    assert fingerprint(x, x) != print_of_x
    assert fingerprint(torch.tensor(1).bfloat16()) != fingerprint(torch.tensor(2).bfloat16())


def test_match_names_what_differs():
    match("it", TENSORS, {name: torch.empty_like(value) for name, value in TENSORS.items()})
    for change, message in [
        ({"d": torch.zeros(2)}, r"it must have nothing at d, got torch.float32 \[2\]"),
        ({"b": torch.zeros(4)}, r"it must have torch.float32 \[3\] at b, got torch.float32 \[4\]"),
        ({"b": torch.zeros(3).double()}, r"it must have torch.float32 \[3\] at b, got torch.float64 \[3\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            match("it", {**TENSORS, **change}, TENSORS)
    with pytest.raises(ValueError, match=r"it must have torch.float32 \[3\] at b, got nothing"):
        match("it", {name: value for name, value in TENSORS.items() if name != "b"}, TENSORS)


def test_weights_are_finite_and_of_one_kind():
    check_weights("net", {"a": torch.zeros(2), "count": torch.tensor(3), "b": torch.zeros(())})
    for change, error, message in [
        ({"b": torch.tensor(float("nan"))}, ValueError, "net's b must be finite, got 1 NaN"),
        ({"b": torch.zeros(2).double()}, TypeError, "net's b must have dtype torch.float32"),
        ({"a": torch.zeros(2).half()}, TypeError, "net's a must have dtype torch.float32 or torch.float64"),
        ({"b": torch.zeros(2, device="meta")}, ValueError, "net's b must be on device cpu"),
        ({"a": torch.zeros(2).long()}, ValueError, "net must have weights, got none"),
    ]:
        with pytest.raises(error, match=message):
            check_weights("net", {"a": torch.zeros(2), **change})
