"""How long does the book take, chapter by chapter?

    python bench/book.py [--run]

Prints the seconds of each chapter's last execution, as kept with its results in `_build` (build the book first), the
slowest first. With --run the cache is emptied, the whole book is executed and built, then built once more with only a
word of text changed. Limits: 7 minutes and 60 s; the exit status is 1 beyond them.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))
sys.path.insert(0, str(ROOT / "chapters" / "_ext"))

from _report import environment, table  # noqa: E402
from execute_chapters import chapters, choose_cache, get_cache, read  # noqa: E402

LIMIT, AGAIN = 420, 60


def build():
    """Seconds of one build."""
    start = time.perf_counter()
    subprocess.run([sys.executable, str(ROOT / "chapters" / "_ext" / "build_site.py")], cwd=ROOT, check=True)
    return time.perf_counter() - start


def chapter_rows():
    """Seconds of each chapter's execution."""
    cache, found = get_cache(str(choose_cache(ROOT))), []
    for path in chapters(ROOT):
        try:
            record = cache.match_cache_notebook(read(path))
        except KeyError:
            continue
        found.append((record.data["execution_seconds"], path.stem))
    return [(name, f"{seconds:.0f}") for seconds, name in sorted(found, reverse=True)]


def main():
    """Measure if asked to, print one table, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true")
    options = parser.parse_args()
    print(environment())
    times = ()
    if options.run:
        shutil.rmtree(choose_cache(ROOT), ignore_errors=True)
        text = ROOT / "chapters" / "appendix_glossary.md"
        before, first = text.read_bytes(), build()
        try:
            text.write_bytes(before + b"\nOne more sentence.\n")
            times = first, build()
        finally:
            text.write_bytes(before)
        rows = [("from an empty cache", f"{times[0]:.0f} s", f"limit {LIMIT} s"),
                ("text changed", f"{times[1]:.0f} s", f"limit {AGAIN} s")]  # fmt: skip
        print(table("the whole book, built", rows) + "\n")
    rows = chapter_rows()
    if not rows:
        print("nothing is kept in _build: run `make book` first, or this with --run")
        return 0
    total = sum(int(seconds) for _, seconds in rows)
    print(table("seconds by chapter, two at a time", [*rows, ("in all", str(total))]))
    return int(bool(times) and (times[0] > LIMIT or times[1] > AGAIN))


if __name__ == "__main__":
    sys.exit(main())
