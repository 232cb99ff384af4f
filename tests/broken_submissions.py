"""Submissions of the tiny assignment that a grader must survive; with the line and the points that each is due."""

import json
import os

from classroom_setup import DEMO, hand_in, nbformat, release, submissions

CRASH = "def root(x):\n    import os\n    os._exit(1)"
SEGFAULT = "import ctypes\nctypes.string_at(0)"
LOOP = "def root(x):\n    while True:\n        pass"
DEAF = """def root(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass"""
PRINT = "def root(x):\n    while True:\n        print('x' * 1000)"
HOG = "def root(x):\n    hog = b'x' * 6_000_000_000\n    return math.sqrt(x)"
LIMITS = {"cell_seconds": 5, "memory_megabytes": 1000}


def with_answer(cell, text):
    """The reference solution with another answer in one cell."""
    notebook = submissions.notebook("demo", "reference", 0, DEMO)
    return submissions.filled(notebook, {cell: text}, "broken")


def changed(change):
    """The reference solution after ``change(cells by name, notebook)``."""
    notebook = submissions.notebook("demo", "reference", 0, DEMO)
    change({release.grade_id(cell): cell for cell in notebook.cells}, notebook)
    return notebook


def delete(cells, notebook):
    notebook.cells.remove(cells["test-root"])


def copy_cell(cells, notebook):
    copied = nbformat.from_dict(dict(cells["test-scale"]) | {"id": "copied"})
    notebook.cells.insert(notebook.cells.index(cells["test-scale"]) + 1, copied)


def edit_lock(cells, notebook):
    cells["test-root"].source = "assert True"
    cells["root"].source = "def root(x):\n    return x"


def steer(cells, notebook):
    """Metadata that would make a trusting grader skip the tests, or give more points for less."""
    for name in ("scale", "root"):
        cells[name].source = f"def {name}(x):\n    return None"
    for name in ("test-scale-type", "test-scale", "test-root"):
        cells[name].metadata["tags"] = ["skip-execution"]
    cells["test-root"].metadata.nbgrader.points = 1000
    cells["test-scale"].metadata.nbgrader.update(grade=False, locked=False)
    cells["test-scale-type"].cell_type = "raw"
    del cells["test-scale-type"]["outputs"], cells["test-scale-type"]["execution_count"]


def other_kernel(cells, notebook):
    notebook.metadata.kernelspec = {"name": "ir", "display_name": "R", "language": "R"}


def reading(path):
    return f"text = open({str(path)!r}).read()\ndef root(x):\n    return math.sqrt(x)"


def writing(folder):
    """Write where one may not: from Python, by a program, past Python."""
    return f"""
import ctypes, os
for attempt in (
    lambda: open({str(folder / "python.txt")!r}, "w"),
    lambda: os.system({f"echo x > {folder / 'program.txt'}"!r}),
    lambda: ctypes.CDLL(None).creat({str(folder / "library.txt")!r}.encode(), 0o644),
):
    try:
        attempt()
    except OSError:
        pass
def root(x):
    return math.sqrt(x)"""


def write_all(folder, outside):
    """Hand in all of them; {student: (words of the report's line, points)}. Nothing may be written to ``outside``."""
    notebooks = {
        "crash": (with_answer("root", CRASH), "the kernel died", 3),
        "segfault": (with_answer("root", SEGFAULT), "the kernel died", 3),
        "loop": (with_answer("root", LOOP), "stopped after 5 s", 3),
        "deaf-loop": (with_answer("root", DEAF), "could not be stopped", 3),
        "print": (with_answer("root", PRINT), "stopped after printing", 3),
        "hog": (with_answer("root", HOG), "memory", 3),
        "reads-solutions": (with_answer("root", reading(DEMO / "demo.md")), "refused: reading", 3),
        "reads-others": (with_answer("root", reading(folder / "crash" / "demo.ipynb")), "refused: reading", 3),
        "writes": (with_answer("root", writing(outside)), "refused: writing", 6),
        "deleted": (changed(delete), "put back: test-root", 6),
        "copied": (changed(copy_cell), "copied cells, of which the first counts: test-scale", 6),
        "edited": (changed(edit_lock), "the original was used: test-root", 3),
        "steers": (changed(steer), "", 0),
        "other-kernel": (changed(other_kernel), "kernel 'ir', python3 was used", 6),
    }
    due = {}
    for student, (notebook, words, points) in notebooks.items():
        hand_in(folder, student, "demo", notebook)
        due[student] = words, points
    texts = {
        "no-json": ('{"cells": [', "not valid JSON"),
        "no-text": (b"\xff\xfe\x00\x01", "not valid JSON"),
        "no-notebook": (json.dumps([1, 2]), "no notebook"),
        "deep": ("[" * 100_000, "not valid JSON"),
        "large": (json.dumps({"cells": [], "junk": "x" * 50_000_000}), "50.0 MB, more than"),
    }
    for student, (text, words) in texts.items():
        (folder / student).mkdir()
        (folder / student / "demo.ipynb").write_bytes(text if isinstance(text, bytes) else text.encode())
        due[student] = words, 0
    for student in ("missing", "other-name", "link"):
        (folder / student / "demo").mkdir(parents=True)
    hand_in(folder / "other-name", "demo", "demo (1)", notebooks["print"][0])
    os.symlink(folder / "copied" / "demo.ipynb", folder / "link" / "demo" / "demo.ipynb")
    due |= {
        "missing": ("no notebook demo.ipynb was handed in", 0),
        "other-name": ("there is demo (1).ipynb", 0),
        "link": ("a link to elsewhere", 0),
    }
    return due
