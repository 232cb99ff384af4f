"""The benchmark of one card: its path runs on any machine, and only a card writes results."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT, RESULTS = ROOT / "bench" / "gpu.py", ROOT / "bench" / "gpu_results.md"


def run(*options):
    """The script on the CPU: exit status and what it printed; its results file stays as it is."""
    before = RESULTS.read_bytes() if RESULTS.exists() else None
    environ = os.environ | {"COURSE_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, SCRIPT, *options], env=environ, capture_output=True, text=True, check=False)
    assert (RESULTS.read_bytes() if RESULTS.exists() else None) == before
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_tiny_run_counts_its_solves_and_writes_nothing():
    status, said = run("--tiny")
    assert status == 0, said
    rows = [line.split() for line in said.splitlines() if re.fullmatch(r"[234] +\d+ .*%.*", line)]
    assert [row[0] for row in rows] == ["2", "3", "4"]
    for _, solves, seconds, share, floor, over in rows:
        # Two samples at three levels: at most a forward solve, an adjoint and a forward mode (of two fields) at each.
        assert 2 * 2 <= int(solves) <= 2 * 3 * 4
        assert 0 < float(share.rstrip("%")) < 100
        assert float(seconds) > float(floor)
        assert float(over) > 1
    assert "no card" in said
    assert "written" not in said


def test_full_run_needs_a_card():
    status, said = run()
    assert status == 1
    assert "the full run needs one" in said
