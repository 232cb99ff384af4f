"""Run the benchmarks, one after the other, and write what they print to bench/results.md.

    python bench/run_all.py            # the short ones, at most ten minutes on two cores
    python bench/run_all.py --long     # the others

Each script is a question, and its ratios come from one run. A script whose limit is not kept shows it in the results
and in the exit status. Results of the other kind that the file holds already stay in it.
"""

import argparse
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from _report import environment  # noqa: E402

RESULTS = ROOT / "bench" / "results.md"
SHORT = (
    "startup.py", "mixture_score.py", "audit.py", "growth.py", "training_step.py", "linearized_posterior.py",
    "dps_overhead.py", "wave_gradient.py", "book.py",
)  # fmt: skip
LONG = (
    "low_rank_posterior.py", "large_posterior.py", "lookup_cost.py", "audit.py --samples 10000", "book.py --run",
)  # fmt: skip
HEAD = "# Results of the benchmarks\n\nBy `bench/run_all.py`; times are of one machine and one run, read the ratios.\n"


def sections():
    """What the file holds: text of each command's section, by command."""
    parts = RESULTS.read_text(encoding="utf8").split("\n## ")[1:] if RESULTS.exists() else []
    return {part.split("\n")[0].strip("`"): part for part in parts}


def run(command):
    """Section of one command, and its exit status."""
    start = time.perf_counter()
    script, *options = command.split()
    environ = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"), "TQDM_DISABLE": "1"}
    whole = [sys.executable, str(ROOT / "bench" / script), *options]
    done = subprocess.run(whole, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    question = (ROOT / "bench" / script).read_text(encoding="utf8").splitlines()[0].strip('"')
    verdict = "limits kept" if done.returncode == 0 else "LIMIT NOT KEPT, or the script failed"
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    seconds = time.perf_counter() - start
    print(f"{command}: {verdict}, {seconds:.0f} s", flush=True)
    text = f"`{command}`\n\n{question} *{verdict}* ({seconds:.0f} s, {when})\n\n```text\n{done.stdout.strip()}\n```\n"
    return text, done.returncode


def main():
    """Run the short or the long ones; the exit status is 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="run those that take longer")
    options = parser.parse_args()
    print(environment())
    wanted, found, failed = LONG if options.long else SHORT, sections(), []
    for number, command in enumerate(wanted, 1):
        print(f"[{number}/{len(wanted)}] {command} ...", flush=True)
        found[command], status = run(command)
        failed += [command] * bool(status)
        kept = [found[name] for name in (*SHORT, *LONG) if name in found]
        part = RESULTS.with_suffix(".part")
        part.write_text(HEAD + "".join(f"\n## {text.strip()}\n" for text in kept), encoding="utf8")
        part.replace(RESULTS)
    print(f"written to {RESULTS.relative_to(ROOT)}" + (f"; limits not kept: {', '.join(failed)}" if failed else ""))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
