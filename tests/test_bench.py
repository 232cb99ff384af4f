"""Benchmarks run rarely: each can at least be loaded, and says what it asks and how it is run."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent / "bench"
SCRIPTS = sorted(path for path in BENCH.glob("*.py") if not path.name.startswith("_"))
LOAD = """
import importlib.util, sys
for path in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("script", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert callable(script.main), path
"""


def test_every_script_loads_and_says_how_it_is_run():
    done = subprocess.run([sys.executable, "-c", LOAD, *SCRIPTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path in SCRIPTS:
        assert f"    python bench/{path.name}" in path.read_text(encoding="utf8"), path.name
