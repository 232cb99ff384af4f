"""Local Sphinx extension: a site and notebooks for a class, without solutions and without answers to the self-check.

`build_site.py --no-solutions` switches it on. What a source loses is decided here alone: the blocks from
`{solution-start}` to `{solution-end}`, and the dropdowns called Answer. Exercises, their hints and the questions stay.
"""

import os
import re
from pathlib import Path

BEGIN = re.compile(r"(`{3,}|:{3,})\{(?:(solution-start)\}.*|dropdown\} *Answer *)$")
END = re.compile(r"(`{3,}|:{3,})\{solution-end\}")


def close(lines, start):
    """Index after the line that closes the fence opened on line `start`."""
    fence = re.match(r"`+|:+", lines[start])[0]
    for k in range(start + 1, len(lines)):
        if lines[k].strip() == fence:
            return k + 1
    raise ValueError(f"line {start + 1}: {lines[start]!r} is never closed")


def divide(text):
    """A MyST source without solutions and answers, and the list of the blocks taken out."""
    lines, kept, removed, k = text.splitlines(), [], [], 0
    while k < len(lines):
        begin = BEGIN.match(lines[k])
        if not begin:
            kept.append(lines[k])
            k += 1
            continue
        last = k
        if begin[2]:
            last = next((j for j in range(k, len(lines)) if END.match(lines[j])), None)
            if last is None:
                raise ValueError(f"line {k + 1}: {lines[k]!r} has no solution-end")
        end = close(lines, last)
        removed.append("\n".join(lines[k:end]))
        k = end + (end < len(lines) and not lines[end].strip())  # one of the two empty lines about it
    return "\n".join(kept) + "\n", removed


def without_solutions(text):
    """A MyST source without solutions and answers."""
    return divide(text)[0]


def wanted():
    """Whether this build shows solutions; `build_site.py` says so to all programs that it starts."""
    return os.environ.get("COURSE_SOLUTIONS", "yes") != "no"


def read_source(path, solutions=None):
    """A source with its solutions or without; by default as this build shows it."""
    text = path.read_text(encoding="utf8")
    return text if (wanted() if solutions is None else solutions) else without_solutions(text)


def configure(app, config):
    """Read the switch; a change of it makes Sphinx read every page again."""
    config.course_solutions = wanted()


def strip(app, docname, source):
    """Take the solutions out before a page is parsed and executed."""
    if not app.config.course_solutions:
        source[0] = without_solutions(source[0])


def strip_downloads(app, error):
    """Take them out of the sources that are offered for download: Sphinx copies those from the original files."""
    if error or app.config.course_solutions or app.builder.format != "html":
        return
    for path in (Path(app.outdir) / "_sources").rglob("*.md*"):
        path.write_text(without_solutions(path.read_text(encoding="utf8")), encoding="utf8")


def setup(app):
    """Register the hooks."""
    app.add_config_value("course_solutions", True, "env", bool)
    app.connect("config-inited", configure, priority=300)
    app.connect("source-read", strip)
    app.connect("build-finished", strip_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
