"""Local Sphinx extension: a site that loads nothing from elsewhere and never shows a stale figure."""

import hashlib
import os
import re
import shutil
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ("lib/**/*.py", "data/**/*", "chapters/_include/**/*", "requirements.txt")
WIDGET_SCRIPTS = {
    "../vendor/requirejs/config.js": {},
    "../vendor/requirejs/require.js": {},
    "../vendor/@jupyter-widgets/html-manager/dist/embed-amd.js": {"data-jupyter-widgets-cdn-only": ""},
}


def inputs_hash(root=ROOT):
    """Hash of everything besides the chapter itself that its outputs depend on."""
    digest = hashlib.sha256(os.environ.get("COURSE_SCALE", "quick").encode())
    for pattern in INPUTS:
        for path in sorted(root.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def choose_cache(root=ROOT):
    """Cache folder of the present inputs; folders made from other inputs are removed."""
    cache = root / "_build" / f".jupyter_cache-{inputs_hash(root)}"
    for old in cache.parent.glob(".jupyter_cache*"):
        if old != cache:
            shutil.rmtree(old, ignore_errors=True)
    return cache


def watch_kernels(cache):
    """Let each kernel write what it used, see kernel_probe.py; returns the folder."""
    os.environ["COURSE_PROBE"] = str(cache / "probe")
    os.environ["PYTHONSTARTUP"] = str(Path(__file__).with_name("kernel_probe.py"))  # IPython runs it in each kernel
    return os.environ["COURSE_PROBE"]


def configure(app, config):
    """Set what depends on the state of the working tree."""
    cache = choose_cache()
    config.nb_execution_cache_path = str(cache)
    config.course_inputs = cache.name  # a changed value makes Sphinx read every page again
    config.course_probe = watch_kernels(cache)
    config.course_scale = os.environ.get("COURSE_SCALE", "quick")
    if (ROOT / "_vendor" / "vendor").is_dir():
        config.mathjax_path = "../vendor/mathjax/tex-mml-chtml.js"
        config.nb_ipywidgets_js = WIDGET_SCRIPTS


def drop_thebe(app, env, docnames):
    """Remove sphinx-thebe's script and its constant, which the theme adds to every page."""

    def keep(name, attributes):
        body = str(attributes.get("body", ""))
        return "THEBE_JS_URL" not in body and "sphinx-thebe.js" not in str(name or "")

    app.registry.js_files[:] = [f for f in app.registry.js_files if keep(*f[:2])]
    for attribute in ("script_files", "_js_files"):
        files = getattr(app.builder, attribute, None)
        if isinstance(files, list):
            files[:] = [f for f in files if keep(getattr(f, "filename", f), getattr(f, "attributes", {}))]


def plain_docstrings(app, what, name, obj, options, lines):
    """Let docstrings write |x| for a norm, and a property's first line hold a colon."""
    if what == "property":
        kinds = [line.removeprefix(":type: ") for line in lines if line.startswith(":type: ")]
        lines[:] = [f"{kinds[0]}: {lines[0]}"] if kinds else lines
    lines[:] = [re.sub(r"(?<!\\)\|", r"\\|", line) for line in lines]


def keep_punctuation(app, doctree, docname):
    """Keep the comma or full stop after a formula on the line of the formula."""
    for formula in list(doctree.findall(nodes.math)):
        parent, place = formula.parent, formula.parent.index(formula)
        following = parent[place + 1] if place + 1 < len(parent) else None
        if isinstance(following, nodes.Text) and (mark := re.match(r"[.,;:?!)\]]+", following)):
            parent[place + 1] = nodes.Text(following[mark.end() :])
            parent[place] = nodes.inline("", "", formula, nodes.Text(mark.group()), classes=["nowrap"])


def setup(app):
    """Register the hooks."""
    app.add_config_value("course_inputs", "", "env", str)
    app.connect("config-inited", configure, priority=400)
    app.connect("env-before-read-docs", drop_thebe, priority=990)
    app.connect("autodoc-process-docstring", plain_docstrings, priority=900)  # after napoleon
    app.connect("doctree-resolved", keep_punctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
