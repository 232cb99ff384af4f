"""Check a set-up in half a minute: versions, device, memory, and one small wave simulation.

    python bench/check_setup.py
"""

import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PACKAGES = ("torch", "deepwave", "numpy", "scipy", "matplotlib", "jupyter-book", "myst-nb", "jupyterlab")


def pinned():
    """Versions named in requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def print_versions():
    """Print what is installed beside what was tested; return the names that are missing."""
    missing = []
    print(f"python        {platform.python_version():16s} {platform.system()} {platform.machine()}")
    for name in PACKAGES:
        tested = pinned().get(name, "")
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "missing"
            missing.append(name)
        note = "" if found.split("+")[0] == tested else f"(tested: {tested})"
        print(f"{name:13s} {found:16s} {note}")
    return missing


def simulate():
    """Run one shot over a homogeneous model and return a line that describes it."""
    import torch

    from lib.seismic import AcousticForward, Acquisition

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    acquisition = Acquisition.surface(
        (40, 40),
        grid_spacing=40.0,
        dt=0.004,
        nt=300,
        peak_freq=4.0,
        num_shots=1,
        num_receivers=20,
        max_vel=4500.0,
    )
    forward = AcousticForward(acquisition)
    velocity = torch.full((1, 40, 40), 2000.0, device=device)
    start = time.perf_counter()
    data = forward(velocity)
    largest = float(data.abs().max())
    if not (torch.isfinite(data).all() and largest > 0):
        raise RuntimeError("the simulated record is empty or not finite")
    seconds = time.perf_counter() - start
    return f"device        {device.type} ({name})\nwave record   {list(data.shape)} in {seconds:.2f} s"


def main():
    """Print the report and return the exit status."""
    missing = print_versions()
    print(f"COURSE_SCALE  {os.environ.get('COURSE_SCALE', 'quick')}")
    if missing:
        print(f"NOT READY: {', '.join(missing)} missing; run  pip install -r requirements.txt")
        return 1
    try:
        print(simulate())
    except Exception as error:  # whatever went wrong, the reader needs the sentence below
        print(f"NOT READY: the wave simulation failed: {type(error).__name__}: {error}")
        return 1
    print("READY")
    return 0


if __name__ == "__main__":
    sys.exit(main())
