"""Local Sphinx extension: the directive `course-status`, a table of what each chapter took in this build."""

import hashlib
import json
import platform
from pathlib import Path

import nbformat
from docutils import nodes
from docutils.parsers.rst import Directive
from myst_nb.sphinx_ import NbMetadataCollector


class Placeholder(nodes.General, nodes.Element):
    """Stands for the tables until all chapters have been read."""


class CourseStatus(Directive):
    """Tables of times, memory, versions and device."""

    def run(self):
        """Leave a placeholder."""
        return [Placeholder()]


def fingerprint(notebook):
    """Hash of a notebook's cells, by which a kernel names what it writes at its end (see kernel_probe.py)."""
    digest = hashlib.sha256()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.strip().encode())
    return digest.hexdigest()[:16]


def measured(app, docname):
    """What the kernel of a chapter wrote at its end; empty where it was not seen."""
    notebook = nbformat.read(Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb", 4)
    path = Path(app.config.course_probe) / f"{fingerprint(notebook)}.json"
    return json.loads(path.read_text(encoding="utf8")) if path.exists() else {}


def make_table(header, rows):
    """A table node; a cell is a text or a node."""
    table = nodes.table(classes=["colwidths-auto"])
    group = nodes.tgroup(cols=len(header))
    table += group
    group += [nodes.colspec(colwidth=1) for _ in header]
    for part, lines in ((nodes.thead(), [header]), (nodes.tbody(), rows)):
        group += part
        for line in lines:
            row = nodes.row()
            part += row
            for cell in line:
                entry = nodes.entry()
                row += entry
                entry += nodes.paragraph("", "", cell if isinstance(cell, nodes.Node) else nodes.Text(str(cell)))
    return table


def fill(app, doctree, docname):
    """Replace the placeholders."""
    for placeholder in list(doctree.findall(Placeholder)):
        rows, seconds, machine = [], 0.0, {}
        for name, data in sorted(NbMetadataCollector.get_doc_data(app.env).items()):
            if not (run := data.get("exec_data")):
                continue
            facts = measured(app, name)
            machine = facts or machine
            target = app.builder.get_relative_uri(docname, name)
            link = nodes.reference("", app.env.titles[name].astext(), internal=True, refuri=target)
            memory = f"{facts['memory_mib']:.0f}" if facts.get("memory_mib") else "not measured"
            took = run["runtime"] or 0.0
            seconds += took
            rows.append([link, f"{took:.0f}", memory, "yes" if run["succeeded"] else "NO"])
        rows.append(["in all", f"{seconds:.0f}", "", ""])
        tables = [make_table(["chapter", "time (s)", "peak memory (MiB)", "all cells ran"], rows)]
        if machine:
            facts = {"size": app.config.course_scale, "device": machine["device"], "Python": machine["python"]}
            facts |= machine["versions"] | {"system": f"{platform.system()} {platform.machine()}"}
            tables.append(make_table(["where it ran", "value"], list(facts.items())))
        placeholder.replace_self(tables)


def setup(app):
    """Register the directive."""
    app.add_config_value("course_probe", "", "env", str)
    app.add_config_value("course_scale", "", "env", str)
    app.add_node(Placeholder)
    app.add_directive("course-status", CourseStatus)
    app.connect("doctree-resolved", fill, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
