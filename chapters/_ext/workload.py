"""Local Sphinx extension: tables for teaching, read from the chapters, the assignments and the grader, never typed.

`course-workload`: minutes of reading and exercises by chapter, and what the chapter took in this build.
`course-assignments`: points of each assignment. `course-limits`: what the grader allows a submission.
"""

import ast
import re
from pathlib import Path

import jupytext
from docutils import nodes
from docutils.parsers.rst import Directive
from execution_status import make_table, measured
from myst_nb.sphinx_ import NbMetadataCollector

GRADER = "chapters/_ext/classroom/grade.py"
LIMITS = {  # name in the grader -> what it means to a student; the number is put in its place
    "cell_seconds": "{:g} seconds for each cell",
    "total_seconds": "{:g} seconds for the whole notebook",
    "memory_megabytes": "{:g} MB of memory",
    "max_output": "{:,} characters printed by one cell",
    "MAX_MEGABYTES": "{:g} MB for the file of the notebook",
}


class Workload(nodes.General, nodes.Element):
    """Stands for the table until all chapters have been executed."""


def minutes(text):
    """Reading minutes, number and minutes of the exercises, and number of questions of a chapter's source."""
    reading = re.search(r"Reading time: (\d+) minutes", text)
    exercises = [int(m) for m in re.findall(r"\{exercise\}.*\n:label:.*\n\n\((\d+) minutes", text)]
    questions = re.findall(r"^\*\*\d+\.\*\* ", text.partition("\n## Check yourself\n")[2].partition("\n## ")[0], re.M)
    return int(reading[1]) if reading else 0, len(exercises), sum(exercises), len(questions)


def points(path):
    """Title of an assignment, its points given by tests and its points given by hand."""
    given = {"code": 0, "markdown": 0}
    notebook = jupytext.read(path)
    for cell in notebook.cells:
        options = cell.metadata.get("nbgrader", {})
        if options.get("grade"):
            given[cell.cell_type] += options["points"]
    title = re.search(r"^# (.+)$", notebook.cells[0].source, re.M)[1]
    return title, given["code"], given["markdown"]


def limits(source):
    """Sentences on what the grader allows, from its source: it is not imported, as it needs more than the site does."""
    found = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and (name := ast.unparse(statement.targets[0])) in {"LIMITS", *LIMITS}:
            value = ast.literal_eval(statement.value)
            found |= value if name == "LIMITS" else {name: value}
    return [text.format(found[name]) for name, text in LIMITS.items()]


class CourseWorkload(Directive):
    """Leave a place for the table of minutes."""

    def run(self):
        """Read again when a chapter changes."""
        env = self.state.document.settings.env
        for path in Path(env.srcdir, "chapters").glob("[0-9][0-9]_*.md"):
            env.note_dependency(str(path))
        return [Workload()]


class CourseAssignments(Directive):
    """The table of points."""

    def run(self):
        """Read the sources of the assignments; of what they hold only titles and points are shown."""
        env, rows = self.state.document.settings.env, []
        for path in sorted(Path(env.srcdir, "chapters", "assignments").glob("ps*.md")):
            env.note_dependency(str(path))
            title, tested, by_hand = points(path)
            rows.append([path.stem, title, tested, by_hand])
        if not rows:
            raise self.error("no assignments in chapters/assignments")
        return [make_table(["file", "title", "points by tests", "points by hand"], rows)]


class CourseLimits(Directive):
    """The list of limits."""

    def run(self):
        """Read the grader."""
        env = self.state.document.settings.env
        path = Path(env.srcdir, GRADER)
        env.note_dependency(str(path))
        texts = limits(path.read_text(encoding="utf8"))
        return [nodes.bullet_list("", *(nodes.list_item("", nodes.paragraph("", text)) for text in texts))]


def fill(app, doctree, docname):
    """Replace the place by the table."""
    for place in list(doctree.findall(Workload)):
        rows, totals = [], [0] * 5
        executed = NbMetadataCollector.get_doc_data(app.env)
        for name in app.env.toctree_includes.get(app.config.root_doc, []):
            for page in [name, *app.env.toctree_includes.get(name, [])]:
                if not re.match(r"chapters/\d\d_", page):
                    continue
                text = Path(app.env.doc2path(page)).read_text(encoding="utf8")
                took = (executed.get(page, {}).get("exec_data") or {}).get("runtime") or 0.0
                link = nodes.reference("", app.env.titles[page].astext(), internal=True)
                link["refuri"] = app.builder.get_relative_uri(docname, page)
                reading, number, minutes_of, questions = minutes(text)
                numbers = [reading, number, minutes_of, questions, took]
                totals = [a + b for a, b in zip(totals, numbers, strict=True)]
                memory = measured(app, page).get("memory_mib") if took else None
                shown = [reading, f"{number} ({minutes_of} min)", questions, f"{took:.0f}"]
                rows.append([link, *shown, f"{memory:.0f}" if memory else "not measured"])
        reading, number, minutes_of, questions, took = totals
        rows.append(["in all", reading, f"{number} ({minutes_of} min)", questions, f"{took:.0f}", ""])
        head = ["chapter", "reading (min)", "exercises", "questions", "computing (s)", "memory (MiB)"]
        place.replace_self(make_table(head, rows))


def setup(app):
    """Register the directives."""
    app.add_node(Workload)
    app.add_directive("course-workload", CourseWorkload)
    app.add_directive("course-assignments", CourseAssignments)
    app.add_directive("course-limits", CourseLimits)
    app.connect("doctree-resolved", fill, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
