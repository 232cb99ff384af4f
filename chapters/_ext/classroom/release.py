"""Make the student release of the assignments: no solution, no hidden test, nothing that tells of them.

Run as ``python chapters/_ext/classroom/release.py [--variant SEED] [--out FOLDER]``, or ``make assignments``.
"""

import argparse
import copy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jupytext
import nbformat
from nbgrader import preprocessors as steps

from classroom.variants import ASSIGNMENTS, ROOT, names, source_text

# nbgrader's generate_assignment, cut in two where the gradebook takes its copy of the cells with their hidden tests.
BEFORE_SAVING = [
    steps.LockCells,
    steps.ClearSolutions,
    steps.ClearOutput,
    steps.CheckCellMetadata,
    steps.ComputeChecksums,
]
AFTER_SAVING = [steps.ClearHiddenTests, steps.ClearMarkScheme, steps.ComputeChecksums, steps.CheckCellMetadata]
KEPT_METADATA = ("nbgrader", "deletable", "editable")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def apply(preprocessors, notebook, resources=None):
    """Run nbgrader's steps over a notebook, in order, and return it."""
    resources = {} if resources is None else resources
    for step in preprocessors:
        notebook, resources = step().preprocess(notebook, resources)
    return notebook


def grade_id(cell):
    """The name that nbgrader gives to a cell; None where it has none."""
    found = cell.metadata.get("nbgrader")
    name = found.get("grade_id") if isinstance(found, dict) else None
    return name if isinstance(name, str) and name else None


def source_notebook(name, seed=0, folder=ASSIGNMENTS):
    """The assignment as a notebook, with solutions and hidden tests; metadata that grading does not need is gone."""
    notebook = jupytext.reads(source_text(name, seed, folder), fmt="md:myst")
    notebook.metadata = nbformat.from_dict({"kernelspec": dict(KERNEL), "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in KEPT_METADATA if key in cell.metadata})
        cell.id = f"{name}-{number}"
    notebook.nbformat_minor = max(5, notebook.nbformat_minor)
    return notebook


def master_notebook(name, seed=0, folder=ASSIGNMENTS):
    """What submissions are graded against: without solutions, with hidden tests."""
    return apply(BEFORE_SAVING, source_notebook(name, seed, folder))


def without_hidden_tests(master):
    """What students get, from the notebook that submissions are graded against."""
    return apply(AFTER_SAVING, copy.deepcopy(master))


def student_notebook(name, seed=0, folder=ASSIGNMENTS):
    """The notebook that students get."""
    return without_hidden_tests(master_notebook(name, seed, folder))


def write(out, seed=0, folder=ASSIGNMENTS):
    """Write the release of every assignment, nbgrader's layout; returns the paths.

    Raises:
        FileNotFoundError: There is no assignment in the folder.
    """
    if not names(folder):
        raise FileNotFoundError(f"no assignment in {folder}")
    notebooks = {name: student_notebook(name, seed, folder) for name in names(folder)}  # all, before one is written
    paths = []
    for name, notebook in notebooks.items():
        path = Path(out) / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        paths.append(path)
    return paths


def main(arguments=None):
    """The command."""
    parser = argparse.ArgumentParser(description="Make the student release of the assignments.")
    parser.add_argument(
        "--variant", type=int, default=0, metavar="SEED", help="private variant; 0 is the published one"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "assignments" / "release", metavar="FOLDER")
    options = parser.parse_args(arguments)
    for path in write(options.out, options.variant):
        print(path)


if __name__ == "__main__":
    try:
        main()
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"no release: {error}")
