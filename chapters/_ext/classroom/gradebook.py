"""Points and feedback by nbgrader: its gradebook, its rule for each cell, its page for the student."""

import copy
import html
import os
import re
import sys
import warnings
from pathlib import Path
from unittest import mock

import nbformat
from nbconvert.exporters import HTMLExporter
from nbgrader import preprocessors as steps
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning

from classroom.release import apply, grade_id

SANITIZE = [
    steps.ClearOutput,
    steps.DeduplicateIds,
    steps.OverwriteKernelspec,
    steps.OverwriteCells,
    steps.CheckCellMetadata,
]
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", re.DOTALL)
PAGE = "<!DOCTYPE html><html lang='en'><meta charset='utf-8'><title>{0}</title><h1>{0}</h1><p>{1}.</p></html>"


class Book:
    """nbgrader's gradebook of one grading run, in a file."""

    def __init__(self, path):
        self.url = f"sqlite:///{Path(path).as_posix()}"
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        with mock.patch.dict(os.environ, {"PATH": programs}):  # nbgrader calls alembic, which lies beside Python
            Gradebook(self.url).close()

    def resources(self, assignment, student=""):
        """What nbgrader's steps need to know."""
        return {
            "nbgrader": {"assignment": assignment, "notebook": assignment, "student": student, "db_url": self.url},
            "unique_key": assignment,
        }

    def add_assignment(self, name, master):
        """Save the cells of an assignment: their points, locks and texts, hidden tests among them."""
        with Gradebook(self.url) as book:
            book.update_or_create_assignment(name)
        apply([steps.SaveCells], copy.deepcopy(master), self.resources(name))

    def sanitize(self, name, notebook):
        """nbgrader's own check of a submission, before it is run."""
        return apply(SANITIZE, notebook, self.resources(name))

    def record(self, name, student, notebook, manual):
        """Save the points of an executed notebook, or of none, with those given by hand.

        Args:
            name: The assignment.
            student: The student.
            notebook: The executed notebook; None gives 0 points for every cell.
            manual: Points and comment by cell, as a person gave them.

        Returns:
            One dict for each cell with points, in the order of the assignment.
        """
        with warnings.catch_warnings(), Gradebook(self.url) as book:
            warnings.simplefilter("ignore", SAWarning)
            book.update_or_create_student(student)
            submission = book.update_or_create_submission(name, student)
            if notebook is None:
                for grade in submission.notebooks[0].grades:
                    grade.auto_score, grade.needs_manual_grade = 0, False
                book.db.commit()
        if notebook is not None:
            apply([steps.SaveAutoGrades], notebook, self.resources(name, student))
        with Gradebook(self.url) as book:
            for cell, (points, comment) in manual.items():
                grade = book.find_grade(cell, name, name, student)
                grade.manual_score, grade.needs_manual_grade = points, False
                solutions = [c for c in grade.notebook.comments if c.name == cell]
                for found in solutions:
                    found.manual_comment = comment
            book.db.commit()
            return [
                {
                    "cell": grade.name,
                    "auto": grade.auto_score,
                    "manual": grade.manual_score,
                    "needs_manual": bool(grade.needs_manual_grade),
                    "max": grade.max_score,
                }
                for grade in book.find_submission_notebook(name, name, student).grades
            ]

    def feedback(self, name, student, notebook, remarks):
        """The page for the student, one file that loads nothing from anywhere."""
        if notebook is None:
            return PAGE.format(html.escape(name), html.escape("; ".join(remarks)))
        notebook = apply([steps.LimitOutput], copy.deepcopy(notebook))
        for cell in notebook.cells:
            hide_tests(cell)
        if remarks:
            text = "**Remarks of the grader**\n\n" + "\n".join(f"- `{remark.replace('`', '')}`" for remark in remarks)
            notebook.cells.insert(0, nbformat.v4.new_markdown_cell(text))
        resources = self.resources(name, student)
        config = GenerateFeedback(coursedir=CourseDirectory()).config
        exporter = HTMLExporter(config=config, sanitize_html=True, preprocessors=[steps.GetGrades])
        page, _ = exporter.from_notebook_node(notebook, resources=resources)
        return re.sub(r"<script\b.*?</script\s*>|<link\b[^>]*>", "", page, flags=re.DOTALL | re.IGNORECASE)


def hide_tests(cell):
    """Keep a test's message, not its text: the next class may get the same test."""
    if cell.cell_type != "code" or not HIDDEN.search(cell.source):
        return
    cell.source = HIDDEN.sub("# (hidden tests)", cell.source)
    for output in cell.outputs:
        if output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]


def points_of(master):
    """Points by cell, in the order of the assignment."""
    graded = [cell for cell in master.cells if grade_id(cell) and cell.metadata.nbgrader.get("grade")]
    return {grade_id(cell): cell.metadata.nbgrader.points for cell in graded}
