"""Put what a student wrote into the frame of the assignment.

Nothing but the text of the cells is taken from a submission: names, points, locks, order and every locked cell come
from the assignment. So a deleted, copied, moved or edited cell costs only what it holds, no metadata steers the grader.
"""

import copy
import re

import nbformat

from classroom.collect import one_line
from classroom.release import KERNEL, grade_id, without_hidden_tests

# What a solution has no reason to contain; the report names it, a human decides.
SUSPECT = [
    (r"chapters[/\\]+assignments|tests[/\\]+submissions|_variants\b|gradebook", "names the folder of the solutions"),
    (r"(?m)^\s*(?:torch|np|numpy|math|scipy|builtins|lib)(?:\.\w+)+\s*=[^=]", "replaces a function of a library"),
    (r"\bsetattr\s*\(\s*(?:torch|np|numpy|math|scipy|builtins|lib)\b", "replaces a function of a library"),
    (r"\bget_ipython\s*\(|\b_ih\b|\bIn\s*\[", "reads or changes the cells that are run"),
]


def listed(names):
    """Names for one line of a report."""
    names = [one_line(name, 40) for name in names]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def plain(cell):
    """A cell of the student's own: its text, and the pictures pasted into it."""
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    new = make.get(cell.cell_type, nbformat.v4.new_raw_cell)(cell.source)
    if cell.cell_type == "markdown" and isinstance(cell.get("attachments"), dict):
        new.attachments = cell.attachments
    return new


def answered(original, cell):
    """A solution cell of the assignment with the student's text."""
    new = copy.deepcopy(original)
    new.source = cell.source
    if original.cell_type == "markdown" and isinstance(cell.get("attachments"), dict):
        new.attachments = cell.attachments
    return new


def same(a, b):
    """Compare texts, not the blanks at the ends of lines, which editors change."""
    return [line.rstrip() for line in a.strip().splitlines()] == [line.rstrip() for line in b.strip().splitlines()]


def repair(master, handed_in):
    """The notebook to be run and graded, and what there is to say about the submission.

    Args:
        master: The assignment with hidden tests (``release.master_notebook``).
        handed_in: The student's notebook.

    Returns:
        The notebook and a list of remarks. The first cell of a name counts; copies run in place as ordinary cells.
    """
    originals = {grade_id(cell): cell for cell in master.cells if grade_id(cell)}
    shown = {grade_id(cell): cell.source for cell in without_hidden_tests(master).cells if grade_id(cell)}
    found, follows = {}, {None: []}
    current, copied, unknown, edited = None, [], [], []
    for cell in handed_in.cells:
        name = grade_id(cell)
        if name not in originals or name in found:
            copied += [name] if name in found else []
            unknown += [name] if name and name not in originals else []
            follows[current].append(plain(cell))
            continue
        if originals[name].metadata.nbgrader.solution:
            found[name] = answered(originals[name], cell)
        else:
            edited += [] if same(cell.source, shown[name]) else [name]
            found[name] = copy.deepcopy(originals[name])
        current, follows[name] = name, []
    missing = [name for name in originals if name not in found]
    moved = list(found) != [name for name in originals if name in found]
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": dict(KERNEL), "language_info": {"name": "python"}})
    notebook.cells = list(follows[None])
    for name, original in originals.items():
        notebook.cells += [found.get(name) or copy.deepcopy(original), *follows.get(name, [])]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    locked = [name for name, cell in originals.items() if not cell.metadata.nbgrader.solution]
    remarks = [
        (unknown and not found, "no cell of this assignment is in the notebook: is it another assignment?"),
        (
            edited and 2 * len(edited) > len(locked),
            "most locked cells differ: another variant, or last year's?",
        ),
        (missing and found, f"deleted cells were put back: {listed(missing)}"),
        (copied, f"copied cells, of which the first counts: {listed(sorted(set(copied)))}"),
        (edited, f"edited locked cells, the original was used: {listed(edited)}"),
        (moved, "cells were moved, the original order was used"),
        (kernel(handed_in) != "python3", f"asks for the kernel {kernel(handed_in)!r}, python3 was used"),
    ]
    own = "\n".join(
        cell.source for cell in handed_in.cells if cell.cell_type == "code" and not is_locked(cell, originals)
    )
    found_suspects = dict.fromkeys(text for pattern, text in SUSPECT if re.search(pattern, own))
    return notebook, [text for applies, text in remarks if applies] + [
        f"look by hand: {text}" for text in found_suspects
    ]


def is_locked(cell, originals):
    """Tell whether a cell is a locked one of the assignment, which the original replaces."""
    original = originals.get(grade_id(cell))
    return original is not None and not original.metadata.nbgrader.solution


def kernel(notebook):
    """Name of the kernel that a notebook asks for."""
    found = notebook.metadata.get("kernelspec")
    return one_line(found.get("name", "python3"), 40) if isinstance(found, dict) else "python3"
