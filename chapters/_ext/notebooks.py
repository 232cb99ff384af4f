"""Local Sphinx extension: each executed chapter beside its page, as a notebook that runs where it is opened."""

import json
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from plain_markdown import Names, plain

FIRST_CELL = '''# Fetches the course where its package is missing (Colab, a hub); does nothing elsewhere.
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("lib") is None:
    folder = Path("..").resolve() if Path("../lib/scale.py").exists() else Path("course").resolve()
    if not folder.exists():
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", "{repository}", str(folder)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", f"{{folder}}[mcmc]", "myst-nb"], check=True)
    sys.path.insert(0, str(folder))  # the package of that folder reads the data of that folder'''


def executed(app):
    """Pairs of page name and path of its executed notebook."""
    folder = Path(app.outdir).parent / "jupyter_execute"
    pairs = ((name, folder / f"{name}.ipynb") for name in sorted(app.env.found_docs))
    return [(name, path) for name, path in pairs if path.exists()]


def with_outputs(app, notebook):
    """The notebook with its outputs, which MyST-NB leaves out where it took them from the cache."""
    try:
        return get_cache(app.config.nb_execution_cache_path).merge_match_into_notebook(notebook)[1]
    except KeyError:  # a chapter that failed is not cached
        return notebook


def publish(app, error):
    """Write the notebooks."""
    if error or app.builder.format != "html":
        return
    repository, base = app.config.course_repository, app.config.html_baseurl or ""
    for docname, path in executed(app):
        notebook = with_outputs(app, nbformat.read(path, 4))
        glue_file = path.with_name(path.stem + ".glue.json")
        glued = json.loads(glue_file.read_text(encoding="utf8")) if glue_file.exists() else {}
        names = Names(app.env, docname, glued, base)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = plain(cell.source, names)
            elif figure := cell.metadata.get("mystnb", {}).get("figure"):  # the slides show both
                figure["caption"] = plain(figure.get("caption", ""), names)
                figure["number"] = names.number(figure.get("name", ""))
        notebook.cells = [cell for cell in notebook.cells if cell.source]
        notebook.metadata.pop("jupytext", None)  # else it would be paired with a text file that is not there
        notebook.metadata.pop("source_map", None)
        if repository:
            cell = nbformat.v4.new_code_cell(FIRST_CELL.format(repository=repository), id="fetch-the-course")
            notebook.cells.insert(0, cell)
        nbformat.validate(notebook)
        nbformat.write(notebook, Path(app.outdir) / f"{docname}.ipynb")


def offer(app, pagename, templatename, context, doctree):
    """Put the notebook first among the downloads."""
    if pagename in dict(executed(app)):
        link = {"type": "link", "url": f"{pagename.split('/')[-1]}.ipynb", "text": ".ipynb", "icon": "fas fa-code"}
        link |= {"tooltip": "Download the executed notebook", "label": "download-notebook-button"}
        for group in context.get("header_buttons", []):
            if group.get("label") == "download-buttons":
                group["buttons"].insert(0, link)


def setup(app):
    """Register the hooks."""
    app.connect("html-page-context", offer, priority=650)
    app.connect("build-finished", publish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
