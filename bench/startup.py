"""How long does an import take, the libraries' own time aside?

    python bench/startup.py [--repeats 5]

For `import lib` and for the modules that chapters import first: seconds in a fresh process, best of the repeats, less
those of importing torch, numpy and deepwave alone. Limit: .3 s; the exit status is 1 beyond it.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from _report import environment, table  # noqa: E402

LIBRARIES = {"lib.seismic": "torch, numpy, deepwave", "lib.plotting": "torch, numpy, matplotlib.pyplot"}
MODULES = ("lib", "lib.mixture", "lib.samplers", "lib.posterior", "lib.seismic", "lib.plotting", "lib.diagnostics")
LIMIT = 0.3
CODE = "import {first}; import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


def seconds(module, first, repeats):
    """Seconds of an import in a fresh process, after the libraries were imported."""
    command = [sys.executable, "-c", CODE.format(first=first, module=module)]
    run = {"cwd": ROOT, "capture_output": True, "text": True, "check": True}
    return min(float(subprocess.run(command, **run).stdout) for _ in range(repeats))


def main():
    """Measure, print one table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(environment())
    rows, worst = [("import", "after", "s")], 0.0
    for module in MODULES:
        first = LIBRARIES.get(module, "torch, numpy" if module != "lib" else "sys")
        took = seconds(module, first, options.repeats)
        worst = max(worst, took)
        rows.append((module, first, f"{took:.3f}"))
    print(table(f"seconds of an import, limit {LIMIT}", rows))
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
