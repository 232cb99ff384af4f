"""Execute the chapters that are not in the execution cache, two at a time; Sphinx alone would take one after the other.

    python chapters/_ext/execute_chapters.py [--jobs 2]

A chapter that fails is left to Sphinx, which runs it again and shows the error on its page.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

import yaml
from course_site import ROOT, choose_cache, watch_kernels
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from solutions import read_source
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


def read(path):
    """The notebook of a source, with its solutions or without."""
    return read_myst_markdown_notebook(read_source(path), add_source_map=True, path=str(path))


def execute(path, timeout):
    """Run one chapter: its executed notebook, seconds, and the error as text or None."""
    notebook = read(path)
    result = single_nb_execution(notebook, cwd=str(path.parent), timeout=timeout, allow_errors=False)
    return result.nb, result.time, result.exc_string


def fill(cache, paths, *, jobs, timeout):
    """Execute what the cache does not hold and put it there at once; returns the executed and the failed chapters."""
    missing, executed, failed = [], [], []
    for path in paths:
        try:
            cache.match_cache_notebook(read(path))
        except KeyError:
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
