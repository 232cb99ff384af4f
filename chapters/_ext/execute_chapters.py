"""Execute the chapters that are not in the execution cache, two at a time; Sphinx alone would take one after the other.

    python chapters/_ext/execute_chapters.py [--jobs 2]

A chapter that fails is left to Sphinx, which runs it again and shows the error on its page. Without solutions a chapter
is not run again where the whole one is in the cache: its cells are the first of the whole one.
"""

import argparse
import os
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import yaml
from course_site import ROOT, choose_cache, watch_kernels
from execution_status import fingerprint
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from solutions import read_source, wanted
from tqdm import tqdm


def chapters(root=ROOT):
    """Sources of the table of contents that hold cells; the longest texts first, which take longest as a rule."""
    def files(node):
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        here = [node[key] for key in ("root", "file") if key in node] if isinstance(node, dict) else []
        return here + [name for child in children for name in files(child)]

    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf8"))
    paths = [root / f"{name}.md" for name in files(contents)]
    notebooks = [path for path in paths if is_myst_markdown_notebook(path.read_text(encoding="utf8"))]
    return sorted(notebooks, key=lambda path: -path.stat().st_size)


def read(path, solutions=None):
    """The notebook of a source, with its solutions or without; by default as this build shows it."""
    return read_myst_markdown_notebook(read_source(path, solutions), add_source_map=True, path=str(path))


def code(notebook):
    """The cells that run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cut(cache, path):
    """Put a chapter without solutions into the cache, from the whole one that is there; False where there is none.

    Time and memory stay those of the whole chapter.
    """
    whole, notebook = read(path, True), read(path, False)
    first = code(whole)[: len(code(notebook))]
    if [cell.source for cell in first] != [cell.source for cell in code(notebook)]:
        return False
    try:
        key, whole = cache.merge_match_into_notebook(whole)
    except KeyError:
        return False
    for cell, executed in zip(code(notebook), code(whole), strict=False):
        cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
    for name in {"language_info", "widgets"} & set(whole.metadata):
        notebook.metadata[name] = whole.metadata[name]
    bundle = CacheBundleIn(notebook, str(path), data=cache.get_cache_record(key).data)
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    folder = Path(os.environ.get("COURSE_PROBE", ""))
    if (facts := folder / f"{fingerprint(whole)}.json").is_file():
        shutil.copy(facts, folder / f"{fingerprint(notebook)}.json")
    return True


def execute(path, timeout):
    """Run one chapter: its executed notebook, seconds, and the error as text or None."""
    notebook = read(path)
    quiet = ["--IPKernelApp.log_level=40"]  # errors only: a kernel on this machine's own loopback warns of nothing new
    options = {"timeout": timeout, "allow_errors": False, "extra_arguments": quiet}
    result = single_nb_execution(notebook, cwd=str(path.parent), **options)
    return result.nb, result.time, result.exc_string


def fill(cache, paths, *, jobs, timeout):
    """Execute what the cache does not hold and put it there at once; returns the executed and the failed chapters."""
    missing, executed, failed = [], [], []
    for path in paths:
        try:
            cache.match_cache_notebook(read(path))
        except KeyError:
            if wanted() or not cut(cache, path):
                missing.append(path)
    if not missing:
        return executed, failed
    with ProcessPoolExecutor(jobs) as pool:
        tasks = {pool.submit(execute, path, timeout): path for path in missing}
        bar = tqdm(as_completed(tasks), total=len(tasks), desc="chapters", unit="chapter", disable=False)
        for task in bar:
            path, (notebook, seconds, error) = tasks[task], task.result()
            if error:
                failed.append(path)
                tqdm.write(f"{path.name} failed:\n{error}")
                continue
            bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            executed.append(path)
            tqdm.write(f"{path.name}: {seconds:.0f} s")
    return executed, failed


def main(arguments=None):
    """Fill the cache; the exit status is that of the command, not of the chapters."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    timeout = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["execute"]["timeout"]
    folder = choose_cache()
    watch_kernels(folder)
    fill(get_cache(str(folder)), chapters(), jobs=options.jobs, timeout=timeout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
