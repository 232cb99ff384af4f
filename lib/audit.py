"""Is my prior memorized? `audit_prior` from Python, or from the shell:

    python -m lib.audit EXAMPLES SAMPLES --held-out FILE --report report.html --json report.json

Each file holds models of one shape: a `.npy` any array [N, ...], other suffixes what load_velocity_models reads.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lib import checks
from lib.audit_prior import audit_prior
from lib.audit_report import AuditReport, Pair
from lib.checkpoints import target, write_bytes
from lib.velocity import load_velocity_models
from lib.verdict import Thresholds

__all__ = ["AuditReport", "Pair", "Thresholds", "audit_prior", "main", "read_models"]


def read_models(path: str | Path) -> Tensor | np.ndarray:
    """Models of a file: a `.npy` as it is, of any shape; other formats by `load_velocity_models`, in m/s.

    Raises:
        FileNotFoundError, ValueError: No such file, or not such models; the message names the file.
    """
    path = Path(path)
    if path.suffix.lower() != ".npy":
        return load_velocity_models(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must name a file of models, got {path}")
    try:
        array = np.load(path, allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged header makes NumPy raise almost anything, tokenize.TokenError included
        raise ValueError(f"{path}: not a readable .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: must hold one array of real numbers, got {getattr(array, 'dtype', type(array))}")
    return array


def main(arguments: list[str] | None = None) -> int:
    """Command line: read the files, audit, print the verdict, write the report; 2 for bad input, else 0."""
    parser = argparse.ArgumentParser(prog="python -m lib.audit", description=__doc__.split("\n")[0])
    parser.add_argument("examples", help="training models: .npy of any shape [N, ...], or a file of velocity models")
    parser.add_argument("samples", help="samples of the prior, of the same shape")
    parser.add_argument("--held-out", metavar="FILE", help="models that were never trained on: the null")
    parser.add_argument("--report", metavar="FILE", help="write a page in HTML there")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there")
    parser.add_argument("--seed", type=int, default=0, help="seed of the intervals")
    options = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            report = _run(options)
    except (OSError, TypeError, ValueError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"python -m lib.audit: error: {text}", file=sys.stderr)
        return 2
    for warning in caught:
        print(f"python -m lib.audit: warning: {warning.message}", file=sys.stderr)
    print(report)
    return 0


def _run(options: argparse.Namespace) -> AuditReport:
    # Where to write is checked first: nobody wants to learn of a missing folder after the work is done.
    targets = {name: target(f"--{name}", path) for name in ("report", "json") if (path := getattr(options, name))}
    files = {"examples": options.examples, "samples": options.samples, "held_out": options.held_out}
    _apart(targets, [Path(path).resolve() for path in files.values() if path is not None])
    given = {name: read_models(path) for name, path in files.items() if path is not None}
    generator = torch.Generator().manual_seed(checks.count("--seed", options.seed, minimum=0))
    report = audit_prior(given.pop("examples"), **given, generator=generator)
    texts = {"report": report.to_html, "json": report.to_json}
    for name, path in targets.items():
        write_bytes(path, texts[name]().encode())
    return report


def _apart(targets: dict[str, Path], read: list[Path]) -> None:
    taken = list(read)
    for name, path in targets.items():
        if path in taken:
            raise ValueError(f"--{name} must be a file of its own: {path} is read, or written by the other option")
        taken.append(path)


if __name__ == "__main__":
    sys.exit(main())
