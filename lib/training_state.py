"""All that changes while a network trains, as one object that goes into a file and comes back bit by bit."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.checkpoints import read, write

_PARTS = ("network", "average", "best")


@dataclass
class TrainingState:
    """State of a run of `lib.training.fit`.

    Attributes:
        network: The weights that Adam moves.
        average: Their running average.
        best: The average at `best_step`.
        optimizer: Adam with its moments.
        generator: Source of examples, levels and noise.
        step: Steps done.
        best_step: Step of the lowest held-out loss so far.
        finished: The run ended (by its steps, its patience or its callback).
        history: Entries (step, loss, held-out loss).
    """

    network: nn.Module
    average: nn.Module
    best: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    best_step: int = 0
    finished: bool = False
    history: list[tuple[int, float, float]] = field(default_factory=list)

    @classmethod
    def start(cls, network: nn.Module, learning_rate: float, seed: int) -> TrainingState:
        """The state before the first step; `network` is copied."""
        network = copy.deepcopy(network).train().requires_grad_(True)
        parameters = list(network.parameters())
        average, best = (copy.deepcopy(network).eval().requires_grad_(False) for _ in range(2))
        # The fused step costs a quarter of the default one where networks are small.
        optimizer = torch.optim.Adam(parameters, lr=learning_rate, betas=(0.9, 0.99), fused=True)
        return cls(network, average, best, optimizer, torch.Generator(parameters[0].device).manual_seed(seed))

    def save(self, path: str | Path, facts: dict) -> None:
        """Write the state and the facts that say which run it belongs to."""
        held = {
            "history": torch.tensor(self.history, dtype=torch.float64).view(-1, 3),
            "generator": self.generator.get_state(),
            "counters": torch.tensor([self.step, self.best_step, int(self.finished)]),
        }
        for part in _PARTS:
            held |= {f"{part}.{name}": value for name, value in getattr(self, part).state_dict().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            held |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
        write(path, held, {"kind": "training", **facts})

    def resume(self, path: str | Path, facts: dict) -> None:
        """Take the state from a file of `save`.

        Raises:
            ValueError: The file is corrupt, or its facts differ from those given (the message says which).
        """
        held, found = read(path, kind="training")
        for name, value in facts.items():
            if found.get(name) != value:
                raise ValueError(
                    f"checkpoint must belong to this run, but {path} was written with another {name}: "
                    f"{_short(found.get(name))} there, {_short(value)} here"
                )
        try:
            for part in _PARTS:
                getattr(self, part).load_state_dict(_below(held, part))
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(held, "optimizer").items():
                number, name = key.split(".")
                moments.setdefault(int(number), {})[name] = value
            self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
            self.generator.set_state(held["generator"])
            self.step, self.best_step, self.finished = (int(value) for value in held["counters"])
            self.history = [(int(step), loss, held_out) for step, loss, held_out in held["history"].tolist()]
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise ValueError(f"checkpoint must be complete, but {path} is not: {error}") from error


def fingerprint(*tensors: Tensor) -> str:
    """A short hash of shapes and values, to recognize the data and the weights that a run started from."""
    digest = hashlib.sha256()
    for value in tensors:
        digest.update(str((tuple(value.shape), value.dtype)).encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _below(held: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{part}."): value for key, value in held.items() if key.startswith(f"{part}.")}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
