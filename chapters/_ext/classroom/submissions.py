"""Test submissions: one short file each, made into a notebook as a student would hand it in."""

import copy
import re
from dataclasses import dataclass
from pathlib import Path

from classroom.release import grade_id, source_notebook, student_notebook
from classroom.variants import ASSIGNMENTS

CELL = re.compile(r"^# %% (?P<markdown>\[markdown\] )?(?P<name>[\w-]+)[ \t]*$", re.MULTILINE)
MARKER = re.compile(r"^[ \t]*### (BEGIN|END) SOLUTION[ \t]*\n?", re.MULTILINE)


@dataclass(frozen=True)
class TestSubmission:
    """What a file of tests/submissions says: its first line, what it starts from, its cells, the points it must get."""

    __test__ = False  # a name that pytest would collect
    title: str
    base: str
    cells: dict
    points: dict
    total: float


def read(path):
    """Read a test submission.

    Raises:
        ValueError: The docstring, its points, the base or the cells are not as they should be.
    """
    text = Path(path).read_text(encoding="utf8")
    docstring = re.match(r'\s*"""(.*?)"""', text, re.DOTALL)
    listed = re.search(r"points:(.*)", docstring[1], re.DOTALL) if docstring else None
    if not listed:
        raise ValueError(f"{path}: begins with a docstring that has a line 'points: ..., total n'")
    pairs = [pair.split() for pair in listed[1].split(",")]
    if any(len(pair) != 2 or not re.fullmatch(r"[0-9.]+", pair[1]) for pair in pairs) or ["total"] not in [
        p[:1] for p in pairs
    ]:
        raise ValueError(f"{path}: points must read 'cell n, cell n, total n', got {listed[1].strip()!r}")
    points = {name: float(number) for name, number in pairs}
    base = re.search(r"^# base: (reference|empty)\b", text, re.MULTILINE)
    if not base:
        raise ValueError(f"{path}: needs a line '# base: reference' or '# base: empty'")
    marks = list(CELL.finditer(text))
    cells = {}
    for mark, end in zip(marks, [m.start() for m in marks[1:]] + [len(text)], strict=True):
        body = text[mark.end() : end].strip("\n")
        if mark["markdown"]:
            body = "\n".join(re.sub(r"^# ?", "", line) for line in body.splitlines())
        if mark["name"] in cells:
            raise ValueError(f"{path}: the cell {mark['name']} is there twice")
        cells[mark["name"]] = body
    total = points.pop("total")
    return TestSubmission(docstring[1].strip().splitlines()[0], base[1], cells, points, total)


def solutions(name, seed=0, folder=ASSIGNMENTS):
    """Sources of the solution cells by name, reference solutions in them."""
    cells = source_notebook(name, seed, folder).cells
    return {
        grade_id(cell): MARKER.sub("", cell.source)
        for cell in cells
        if grade_id(cell) and cell.metadata.nbgrader.get("solution")
    }


def filled(notebook, answers, label):
    """A copy of a student's notebook with answers written into its solution cells."""
    notebook = copy.deepcopy(notebook)
    open_cells = {grade_id(c): c for c in notebook.cells if grade_id(c) and c.metadata.nbgrader.get("solution")}
    if unknown := sorted(set(answers) - set(open_cells)):
        raise ValueError(f"{label}: no solution cell named {', '.join(unknown)}; there are {', '.join(open_cells)}")
    for answer, source in answers.items():
        open_cells[answer].source = source
    return notebook


def notebook(name, path, seed=0, folder=ASSIGNMENTS):
    """A student's notebook for one variant.

    Args:
        name: The assignment.
        path: A file of tests/submissions, or one of the words ``reference`` and ``empty``, or ``last-year``: the
            reference solution of variant 0 written into variant ``seed``.
        seed: The variant.
        folder: Where the sources lie.
    """
    blank = student_notebook(name, seed, folder)
    if path == "empty":
        return blank
    if path == "reference":
        return filled(blank, solutions(name, seed, folder), path)
    if path == "last-year":
        return filled(blank, solutions(name, 0, folder), path)
    submission = read(path)
    answers = solutions(name, seed, folder) if submission.base == "reference" else {}
    return filled(blank, answers | submission.cells, path)
