"""The built site as files: its pages, its links, a local server, and the scripts that the browser tests need."""

import functools
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(os.environ.get("COURSE_SITE", ROOT / "_build" / "html")).resolve()  # COURSE_SITE: test another copy
AXE = "axe-core@4.14.1"


class Reader(HTMLParser):
    """Anchors, links and pictures of one page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.anchors, self.links, self.metas = set(), [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note what a tag defines and what it refers to."""
        values = dict(attributes)
        self.anchors.update(values[key] for key in ("id", "name") if values.get(key))
        self.links += [values[key] for key in ("href", "src") if values.get(key) and tag != "base"]
        if tag == "meta":
            self.metas[values.get("name") or values.get("property")] = values.get("content")


@functools.cache
def read(path):
    """Read one page."""
    return Reader(path.read_text(encoding="utf8"))


def pages(site=SITE):
    """Names of all pages; index.html only leads to the first one."""
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if "_static" not in path.parts)


def broken_links(page, site=SITE):
    """Relative links and anchors of a page that lead nowhere."""
    found = []
    for link in read(site / page).links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or link.startswith("javascript:"):
            continue
        target = ((site / page).parent / unquote(parts.path)).resolve() if parts.path else site / page
        if not target.is_file() or not target.is_relative_to(site):
            found.append(f"{link}: no such file")
        elif parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in read(target).anchors:
            found.append(f"{link}: no such anchor")
    return found


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *arguments):
        """Say nothing."""


def serve(site=SITE):
    """A server of the site on this machine, and its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def find_browser():
    """Path of a Chromium or Chrome; None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def axe_script():
    """Path of axe-core's script, fetched from npm once, as the site's own scripts are."""
    path = ROOT / "_build" / "test" / f"{re.sub('[^a-z0-9.-]', '-', AXE)}.js"
    if not path.exists():
        spec = importlib.util.spec_from_file_location("build_site", ROOT / "chapters" / "_ext" / "build_site.py")
        build_site = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build_site)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            command = [*build_site.find_npm(), "pack", "--silent", AXE]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            shutil.unpack_archive(next(Path(folder).glob("*.tgz")), folder, filter="data")
            part = path.with_suffix(f".{os.getpid()}")
            shutil.copy(Path(folder) / "package" / "axe.min.js", part)
            part.replace(path)
    return path
