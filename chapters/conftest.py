"""Let ``pytest --nbval-lax chapters`` run the MyST sources themselves.

What stock nbval would let pass is refused here: a cell tagged raises-exception that raises
nothing, a request to compare outputs (a source stores none), and cells after a failed one. Time and
memory by chapter are printed at the end.
"""

import os
import time
from pathlib import Path
from unittest import mock

import jupytext
import pytest

ROOT = Path(__file__).resolve().parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small grids: a second thread only waits


def is_chapter(path):
    """Tell a MyST notebook from plain Markdown by its front matter."""
    return path.suffix == ".md" and "format_name: myst" in path.read_text(encoding="utf8")[:2000]


def read_chapter(path, as_version=4):
    """Read a chapter; myst-nb's ``skip-execution`` also means ``nbval-skip``."""
    notebook = jupytext.read(path)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "skip-execution" in tags and "nbval-skip" not in tags:
            cell.metadata["tags"] = [*tags, "nbval-skip"]
        if "NBVAL_CHECK_OUTPUT" in cell.source or "nbval-check-output" in tags:
            raise ValueError(f"{path}: an .md source stores no output, so nbval would check nothing")
    return notebook


def peak_memory(pid):
    """Largest resident memory of a process so far, MiB; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)


def pytest_collect_file(file_path, parent):
    """Collect a chapter as an nbval notebook."""
    option = parent.config.option
    wanted = getattr(option, "nbval", False) or getattr(option, "nbval_lax", False)
    if not wanted or not is_chapter(file_path):
        return None
    from nbval.plugin import IPyNbCell, IPyNbFile

    class Cell(IPyNbCell):
        """One code cell; it is skipped once an earlier cell of its chapter has failed."""

        def runtest(self):
            if self.parent.failed_cell is not None:
                pytest.skip(f"{self.parent.failed_cell} of this chapter failed")
            try:
                super().runtest()
                raised = any(output.output_type == "error" for output in self.test_outputs or [])
                if self.options["check_exception"] and not raised:
                    self.raise_cell_error("Tagged raises-exception but did not raise")
            except Exception:
                self.parent.failed_cell = self.name
                raise
            finally:
                seconds = time.perf_counter() - self.parent.started
                provisioner = self.parent.kernel.km.provisioner
                memory = peak_memory(getattr(provisioner, "pid", None))
                self.user_properties.append(("chapter", [self.parent.path.name, seconds, memory]))

    class Chapter(IPyNbFile):
        """One chapter, run top to bottom in one kernel."""

        failed_cell = None

        def setup(self):
            self.started = time.perf_counter()
            super().setup()

        def collect(self):
            with mock.patch("nbval.plugin.nbformat.read", read_chapter):
                for item in super().collect():
                    item.__class__ = Cell
                    yield item

    return Chapter.from_parent(parent, path=file_path)


def pytest_terminal_summary(terminalreporter):
    """Print the wall time and the peak memory of each chapter, also when they ran in xdist workers."""
    cost = {}
    for report in (r for reports in terminalreporter.stats.values() for r in reports):
        for key, value in getattr(report, "user_properties", []):
            if key == "chapter":
                name, seconds, memory = value
                old = cost.get(name, (0.0, 0.0))
                cost[name] = max(old[0], seconds), max(old[1], memory or 0.0)
    if cost:
        terminalreporter.section("time and memory by chapter")
        for name, (seconds, memory) in sorted(cost.items()):
            peak = f"{memory:7.0f} MiB" if memory else "    n/a"
            terminalreporter.write_line(f"{name:34s} {seconds:7.1f} s {peak}")
        terminalreporter.write_line(f"{'in all':34s} {sum(s for s, _ in cost.values()):7.1f} s")
