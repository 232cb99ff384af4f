"""The grader for its tests: skipped with a reason where it cannot run, which is a failure in continuous integration."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
DEMO = TESTS / "classroom_demo"
SUBMISSIONS = TESTS / "submissions"

if sys.platform == "win32":
    pytest.skip("grading needs Linux or macOS", allow_module_level=True)
if not importlib.util.find_spec("nbgrader"):
    if os.environ.get("CI"):
        raise ImportError("nbgrader is missing: pip install -r requirements-test.txt")
    pytest.skip("needs nbgrader: pip install -r requirements-test.txt", allow_module_level=True)

sys.path.insert(0, str(TESTS.parent / "chapters" / "_ext"))

import nbformat  # noqa: E402

from classroom import collect, gradebook, isolation, jobs, release, repair, report, submissions, variants  # noqa: E402
from classroom.grade import grade  # noqa: E402

__all__ = [
    "DEMO", "SUBMISSIONS", "by_student", "collect", "grade", "gradebook", "hand_in", "isolation", "jobs", "nbformat",
    "release", "repair", "report", "submissions", "variants",
]  # fmt: skip


def hand_in(folder, student, name, notebook):
    """Write a notebook as a student would hand it in; returns its path."""
    path = Path(folder) / student / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def by_student(results):
    """Results of one assignment by student, with points by cell and the autograded total."""
    return {
        result["student"]: result
        | {"points": {cell["cell"]: cell["auto"] for cell in result["cells"]}}
        | {"total": sum(cell["auto"] or 0 for cell in result["cells"])}
        for result in results
    }
