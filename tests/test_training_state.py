"""Checkpoints of a training: killed and resumed it ends bit by bit the same; what cannot be resumed changes nothing."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from lib.checkpoints import read, write
from lib.network import ResidualMLP, UNet, fit, load_network, save_network
from lib.training_state import TrainingState, run_facts

MODELS = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
EXAMPLES, HELD_OUT = MODELS[:3], MODELS[20:]


class Killed(BaseException):
    """As KeyboardInterrupt: no `except Exception` may stop it."""


def train(checkpoint=None, *, kill_at=None, examples=EXAMPLES, network=None, seen=None, **options):
    def callback(report):
        if seen is not None:
            seen.append(report["step"])
        if report["step"] == kill_at:
            raise Killed

    options = {"steps": 50, "every": 10, "batch_size": 8, "learning_rate": 0.02, "callback": callback, **options}
    network = network or ResidualMLP(4, width=8, depth=1)
    return fit(network, examples, checkpoint=checkpoint, **options)


def equal(first, second):
    """Networks, histories and best steps, bit by bit."""
    same = all(map(torch.equal, first.network.state_dict().values(), second.network.state_dict().values()))
    for name in ("steps", "loss", "held_out_loss"):
        same &= getattr(first, name).numpy().tobytes() == getattr(second, name).numpy().tobytes()
    return same and first.best_step == second.best_step


@pytest.fixture
def path(tmp_path):
    """A checkpoint after two entries of five."""
    with pytest.raises(Killed):
        train(tmp_path / "run", kill_at=30)
    return tmp_path / "run"


@pytest.fixture
def no_steps(monkeypatch):
    """No step of training may be taken."""

    def refuse(*arguments, **options):
        raise AssertionError("a step was taken")

    monkeypatch.setattr(torch.optim.Adam, "step", refuse)


@pytest.mark.parametrize("kill_at", [10, 20, 50])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"held_out": HELD_OUT},
        {"held_out": HELD_OUT, "patience": 2, "schedule": "constant", "ema": 0.5},
        {"network": UNet((2, 2), channels=8, levels=1).double(), "examples": EXAMPLES.double(), "steps": 45},
    ],
    ids=["plain", "held out", "patience", "unet in double"],
)
def test_killed_and_resumed_is_bit_by_bit_never_stopped(tmp_path, options, kill_at):
    whole, seen = train(**options), []
    last = int(whole.steps[-1])
    if kill_at < last:
        with pytest.raises(Killed):
            train(tmp_path / "run", kill_at=kill_at, **options)
        assert (tmp_path / "run").exists() == (kill_at > 10)
    resumed = train(tmp_path / "run", seen=seen, **options)
    assert equal(resumed, whole)
    assert seen == [step for step in whole.steps.tolist() if step >= (kill_at if kill_at < last else 0)]
    if "patience" in options:
        assert last < 50
        assert resumed.best_step < last


def test_killed_at_every_entry_it_still_arrives(tmp_path):
    for kill_at in (20, 30, 40, 50):
        with pytest.raises(Killed):
            train(tmp_path / "run", kill_at=kill_at, held_out=HELD_OUT)
    assert equal(train(tmp_path / "run", held_out=HELD_OUT), train(held_out=HELD_OUT))


def test_a_real_kill_in_the_middle_of_a_write_costs_one_entry(tmp_path):
    """SIGKILL just before the rename of the third file: a part stays behind, the second file is whole."""
    code = f"""
        import os, signal
        from test_training_state import HELD_OUT, train

        replace, writes = os.replace, []

        def kill(source, target):
            writes.append(target)
            if len(writes) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)

        os.replace = kill
        train({str(tmp_path / "run")!r}, held_out=HELD_OUT)
    """
    here = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])}
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert sorted(name[-5:] for name in os.listdir(tmp_path)) == [".part", "run"]
    assert read(tmp_path / "run", kind="training")[0]["counters"].tolist()[0] == 20
    seen = []
    resumed = train(tmp_path / "run", held_out=HELD_OUT, seen=seen)
    assert seen == [30, 40, 50]
    assert equal(resumed, train(held_out=HELD_OUT))


@pytest.mark.parametrize("options", [{}, {"callback": lambda report: report["step"] == 20}], ids=["steps", "true"])
def test_a_finished_run_is_read_not_trained_again(tmp_path, options, request):
    first, seen = train(tmp_path / "run", held_out=HELD_OUT, **options), []
    before = (tmp_path / "run").stat().st_mtime_ns, (tmp_path / "run").read_bytes()
    request.getfixturevalue("no_steps")
    second = train(tmp_path / "run", held_out=HELD_OUT, seen=seen)
    assert equal(first, second)
    assert second.steps.tolist() == ([10, 20] if options else [10, 20, 30, 40, 50])
    assert seen == []
    assert ((tmp_path / "run").stat().st_mtime_ns, (tmp_path / "run").read_bytes()) == before
    assert not any(parameter.requires_grad for parameter in second.network.parameters())


def test_a_checkpoint_changes_nothing_in_the_result(tmp_path):
    assert equal(train(tmp_path / "run", held_out=HELD_OUT), train(held_out=HELD_OUT))
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("build", [ResidualMLP, lambda dim, **options: UNet((2, 2), channels=8, levels=1)])
def test_a_gpu_trains_resumes_and_keeps_its_generators(tmp_path, precision, build):
    torch.cuda.manual_seed_all(7)
    before = torch.cuda.get_rng_state()
    network = build(4, width=8).cuda()
    options = {"network": network, "examples": EXAMPLES.cuda(), "held_out": HELD_OUT.cuda(), "precision": precision}
    with pytest.raises(Killed):
        train(tmp_path / "run", kill_at=30, **options)
    whole, resumed = train(**options), train(tmp_path / "run", **options)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    torch.testing.assert_close(resumed.held_out_loss, whole.held_out_loss, rtol=1e-3, atol=0)
    assert float(whole.loss[-1]) < float(whole.loss[0])
    save_network(resumed.network, tmp_path / "net")
    x = HELD_OUT.cuda()
    torch.testing.assert_close(load_network(tmp_path / "net")(HELD_OUT, 0.5), resumed.network(x, 0.5).cpu(), rtol=1e-3,
                               atol=1e-4)  # fmt: skip
    with pytest.raises(ValueError, match="was written with another device: 'cuda' there, 'cpu' here|another precision"):
        train(tmp_path / "run", held_out=HELD_OUT, network=network.cpu())


def test_a_callback_may_change_the_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    train("run", callback=lambda report: os.chdir(tmp_path / "elsewhere"))
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "run"]
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("no/run", FileNotFoundError, "checkpoint must lie in an existing folder, got "),
        ("", ValueError, "checkpoint must be a file, got the folder "),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused_before_the_first_step(tmp_path, no_steps, place, error, message):
    with pytest.raises(error, match=f"{message}{tmp_path / place}"):
        train(tmp_path / place)
    assert os.listdir(tmp_path) == []


def test_a_loss_that_is_not_finite_leaves_the_earlier_checkpoint(tmp_path):
    with pytest.raises(ValueError, match=r"learning_rate .* at step 2 .* an earlier checkpoint is kept"):
        train(tmp_path / "run", learning_rate=1e19, every=1)
    held, _ = read(tmp_path / "run", kind="training")
    assert held["counters"].tolist() == [1, 1, 0]
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"steps": 60}, "steps"),
        ({"every": 5}, "every"),
        ({"batch_size": 9}, "batch_size"),
        ({"learning_rate": 0.01}, "learning_rate"),
        ({"schedule": "constant"}, "schedule"),
        ({"ema": 0.9}, "ema"),
        ({"log_sigma": (-0.6, 1.1)}, "log_sigma"),
        ({"seed": 1}, "seed"),
        ({"examples": MODELS[:4]}, "examples"),
        ({"examples": EXAMPLES.flip(0)}, "examples"),
        ({"held_out": HELD_OUT}, "held_out"),
        ({"held_out": HELD_OUT, "patience": 2}, "held_out"),
        ({"network": ResidualMLP(4, width=16, depth=1)}, "network"),
        ({"network": ResidualMLP(4, width=8, depth=1, seed=1)}, "weights"),
        ({"network": ResidualMLP(4, width=8, depth=1, sigma_data=1.1)}, "network"),
        ({"network": ResidualMLP(4, width=8, depth=1).double(), "examples": EXAMPLES.double()}, "weights"),
        ({"network": UNet((2, 2), channels=8, levels=1)}, "network"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(path, no_steps, options, name):
    before = path.read_bytes()
    message = f"checkpoint must belong to this run, but {path} was written with another {name}: .* there, .* here"
    with pytest.raises(ValueError, match=message):
        train(path, **options)
    assert path.read_bytes() == before


def state_of(network=None):
    network = network or ResidualMLP(4, width=8, depth=1)
    settings = {"steps": 50, "batch_size": 8, "learning_rate": 0.02, "schedule": "cosine", "ema": 0.999,
                "log_sigma": [-0.6, 1.2], "patience": None, "every": 10, "precision": "float32", "seed": 0}  # fmt: skip
    return TrainingState.start(network, 0.02, 0), run_facts(network, EXAMPLES, None, settings)


def contents(state):
    """All that a state holds, as bytes."""
    held = {name: value.numpy().tobytes() for name, value in state._tensors().items()}
    return held, state.step, state.best_step, state.finished, list(state.history)


def refused(path, message):
    """Resuming is a ValueError that names the file, which stays; nothing comes over from it."""
    before = path.read_bytes()
    state, facts = state_of()
    found = contents(state)
    for attempt in (lambda: state.resume(path, facts), lambda: train(path)):
        with pytest.raises(ValueError, match=f"checkpoint must be .*{path}.*{message}"):
            attempt()
    assert contents(state) == found
    assert path.read_bytes() == before


def test_damaged_checkpoints_are_refused_and_stay_as_they_are(path, no_steps):
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    flipped = [whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :] for place in (3, 9, header - 200)]
    weight = [whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :] for place in (header + 9, len(whole) - 9)]
    cut = [whole[:length] for length in (0, 1, 8, header - 1, header, len(whole) - 1)]
    for damaged in [*flipped, *cut, b"\x80\x04N.", os.urandom(500), bytes(500), whole + whole]:
        path.write_bytes(damaged)
        refused(path, "is not: ")
    for damaged in weight:
        path.write_bytes(damaged)
        refused(path, "checksum")


def test_files_of_another_kind_are_refused(path, no_steps):
    save_network(ResidualMLP(4, width=8, depth=1), path)
    refused(path, "is not")
    torch.save({"step": 3}, path)
    refused(path, "is not: ")


def test_checkpoints_with_other_tensors_are_refused(path, no_steps):
    held, facts = read(path, kind="training")
    key, nan = "average.enter.weight", torch.full((8, 4), float("nan"))
    names = [key, "network.leave.bias", "best.enter.bias", "optimizer.0.exp_avg", "generator", "counters", "history"]
    changes = [({name: None}, f"at {name}, got nothing") for name in names]
    changes += [
        ({"optimizer.9.more": torch.zeros(2)}, "it must have nothing at optimizer.9.more"),
        ({"optimizer.word": torch.zeros(2)}, "it must have nothing at optimizer.word"),
        ({key: torch.zeros(4, 8)}, r"torch.float32 \[8, 4\] at average.enter.weight, got torch.float32 \[4, 8\]"),
        ({key: torch.zeros(8, 4).double()}, r"at average.enter.weight, got torch.float64"),
        ({"optimizer.1.exp_avg_sq": torch.zeros(8, 4)}, "at optimizer.1.exp_avg_sq"),
        ({"counters": torch.zeros(2).long()}, "at counters"),
        ({"counters": torch.zeros(3)}, "at counters"),
        ({"counters": torch.tensor([30, 20, 0])}, "it must end at its last entry, got step 30"),
        ({"history": torch.zeros(2, 4).double()}, "at history"),
        ({"history": torch.zeros(()).double()}, "at history"),
        ({"history": torch.zeros(0, 3).double()}, "it must end at its last entry"),
        ({"history": torch.full((2, 3), float("nan")).double()}, "convert float NaN"),
        ({"generator": torch.zeros(7).byte()}, "at generator"),
        ({"generator": torch.full_like(held["generator"], 255)}, "(RNG|state)"),
    ]
    changes += [({f"{part}.enter.weight": nan}, f"its {part}'s enter.weight must be finite, got 32 NaN")
                for part in ("network", "average", "best")]  # fmt: skip
    for change, message in changes:
        tensors = {name: value for name, value in {**held, **change}.items() if value is not None}
        write(path, tensors, facts)
        refused(path, message)
    write(path, held, facts)
    with pytest.raises(AssertionError, match="a step was taken"):  # as it was, it goes on
        train(path)


def test_a_state_comes_back_whole_even_before_its_first_step(tmp_path):
    state, facts = state_of()
    state.save(tmp_path / "a", facts)
    other, _ = state_of(ResidualMLP(4, width=8, depth=1, seed=5))
    assert contents(other) != contents(state)
    other.resume(tmp_path / "a", facts)
    assert contents(other) == contents(state)
    assert not any(bool(value.any()) for moments in other.optimizer.state.values() for value in moments.values())


def test_facts_of_a_run_survive_a_file(tmp_path):
    network = UNet((2, 2), channels=8, levels=1)
    network.config["more"] = (1, 2)  # a tuple comes back from a file as a list
    settings = {"seed": 2**62, "log_sigma": [0.1, 1 / 3]}
    facts = run_facts(network, EXAMPLES, HELD_OUT, settings)
    write(tmp_path / "a", {}, {"kind": "training", **facts})
    assert read(tmp_path / "a", kind="training")[1] == {"kind": "training", **facts}
    assert facts["device"] == "cpu"
    assert facts["examples"] != facts["held_out"]
