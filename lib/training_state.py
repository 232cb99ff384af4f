"""All that changes while a network trains, as one object that goes into a file and comes back bit by bit."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.checkpoints import check_weights, fingerprint, match, read, same_run, write

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
        write(path, self._tensors(), {"kind": "training", **facts})

    def resume(self, path: str | Path, facts: dict) -> None:
        """Take the state from a file of `save`; one that is refused changes nothing.

        Raises:
            ValueError: The file is corrupt, or its facts differ from those given (the message says which).
        """
        held, found = read(path, kind="training", name="checkpoint")
        same_run(path, found, facts)
        expected = self._tensors()
        if "history" in held:  # it grows
            expected["history"] = expected["history"].new_empty(len(held["history"]) if held["history"].ndim else 0, 3)
        try:
            match("it", held, expected)
            for part in _PARTS:
                check_weights(f"its {part}", _below(held, part))
            step, best_step, finished = held["counters"].tolist()
            history = [(int(taken), loss, held_out) for taken, loss, held_out in held["history"].tolist()]
            if step != (history[-1][0] if history else 0):
                raise ValueError(f"it must end at its last entry, got step {step} and the entries {history[-1:]}")
            generator = torch.Generator(self.generator.device)
            generator.set_state(held["generator"])
        except (ValueError, TypeError, RuntimeError) as error:
            raise ValueError(f"checkpoint must be complete, but {path} is not: {error}") from error
        for part in _PARTS:
            getattr(self, part).load_state_dict(_below(held, part))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(held, "optimizer").items():
            number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.generator, self.history = generator, history
        self.step, self.best_step, self.finished = step, best_step, bool(finished)

    def _tensors(self) -> dict[str, Tensor]:
        """Everything as named tensors; Adam's moments are zero before the first step."""
        held = {
            "history": torch.tensor(self.history, dtype=torch.float64).view(-1, 3),
            "generator": self.generator.get_state(),
            "counters": torch.tensor([self.step, self.best_step, int(self.finished)]),
        }
        for part in _PARTS:
            held |= {f"{part}.{name}": value for name, value in getattr(self, part).state_dict().items()}
        for number, weight in enumerate(self.network.parameters()):
            zero = torch.zeros_like(weight)
            moments = self.optimizer.state.get(weight, {"step": torch.zeros(()), "exp_avg": zero, "exp_avg_sq": zero})
            held |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
        return held


def run_facts(network: nn.Module, examples: Tensor, held_out: Tensor | None, settings: dict) -> dict:
    """All that decides the outcome of a run, as JSON: a checkpoint goes on only where it is the same."""
    facts = {
        "network": network.config,
        "weights": fingerprint(*network.state_dict().values()),
        "examples": fingerprint(examples),
        "held_out": None if held_out is None else fingerprint(held_out),
        "device": examples.device.type,
        **settings,
    }
    return json.loads(json.dumps(facts))


def _below(held: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{part}."): value for key, value in held.items() if key.startswith(f"{part}.")}
