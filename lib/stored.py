"""Modelled data kept on disk by what made them: models that were solved once need no wave again."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lib import checkpoints, checks
from lib.seismic import AcousticForward, Thinned, VelocityForward

_KIND = "modelled data"


class Stored(VelocityForward):
    """A forward map with a memory: data of models that any run has solved for come from a folder.

    A file holds the data of one model; its name is a digest of all that they depend on: the survey, the bytes of the
    velocity model, the filter of thinned records, the dtype, the kind of device and the version of the solver. So
    training sets of different sizes, seeds and truths share their solves (the lookup of a second truth costs none), and
    a change of any of these finds nothing that is stale. Where a derivative is asked for, the waves are computed.

    A file is written whole or not at all. One that is damaged is computed and written again.

    Args:
        forward: The map, of the wave equation or of its thinned records.
        folder: Existing folder of the files; each has 4 or 8 bytes a datum.

    Raises:
        TypeError: Not such a map, not a path.
        FileNotFoundError, NotADirectoryError: No such folder.
    """

    def __init__(self, forward: VelocityForward, folder: str | Path):
        wave = getattr(forward, "acoustic", None)
        wave = wave.wave if isinstance(wave, Thinned) else wave
        if not isinstance(forward, VelocityForward) or not isinstance(wave, AcousticForward):
            raise TypeError(f"forward must be a VelocityForward of the wave equation, got {type(forward).__name__}")
        super().__init__(forward.to_velocity, forward.acoustic)
        if not isinstance(folder, (str, Path)):
            raise TypeError(f"folder must be a path, got {type(folder).__name__}")
        self.folder = Path(folder)
        if not self.folder.exists():
            raise FileNotFoundError(f"folder must exist, got {folder}")
        if not self.folder.is_dir():
            raise NotADirectoryError(f"folder must be a folder, got {folder}")

    def __call__(self, x: Tensor) -> Tensor:
        """Data of parameters x [B, d], modelled or read, [B, m]."""
        if (x.requires_grad and torch.is_grad_enabled()) or forward_ad.unpack_dual(x).tangent is not None:
            return super().__call__(x)
        # One by one: in a batch the last bits of a model depend on its company, and its name would.
        velocity = torch.cat([self.to_velocity(row[None]) for row in x]).detach()
        paths = [self.folder / f"{digest}.safetensors" for digest in self._digests(velocity)]
        rows = [self._read(path, x) for path in paths]
        missing = [number for number, row in enumerate(rows) if row is None]
        if missing:
            for number, data in zip(missing, self.acoustic(velocity[missing]).flatten(1), strict=True):
                checks.finite("forward's output", data)
                checkpoints.write(paths[number], {"data": data}, {"kind": _KIND})
                rows[number] = data
        return torch.stack([row.to(x) for row in rows])

    def _digests(self, velocity: Tensor) -> list[str]:
        survey = self.acoustic.acquisition
        numbers = (survey.shape, survey.grid_spacing, survey.dt, survey.nt, survey.peak_freq, survey.max_vel)
        facts = (*numbers, survey.pml_width, str(velocity.dtype), velocity.device.type, version("deepwave"))
        # The interval of the gradient's samples is left out: data do not depend on it.
        parts = [survey.source_locations, survey.receiver_locations]
        if isinstance(self.acoustic, Thinned):
            parts.append(self.acoustic.filter)
        common = repr((*facts, checkpoints.fingerprint(*parts))).encode()
        rows = velocity.cpu().contiguous().numpy()
        return [hashlib.sha256(common + row.tobytes()).hexdigest() for row in rows]

    @staticmethod
    def _read(path: Path, like: Tensor) -> Tensor | None:
        """The data in a file; None where there is none, or none that can be trusted."""
        try:
            data = checkpoints.read(path, kind=_KIND)[0].get("data")
        except (FileNotFoundError, ValueError):
            return None
        usable = data is not None and data.ndim == 1 and data.dtype == like.dtype and bool(torch.isfinite(data).all())
        return data if usable else None
