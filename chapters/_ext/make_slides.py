"""Make a deck of slides from each executed chapter, to be shown offline, and a page that lists them.

    python chapters/_ext/build_site.py      # first: its executed notebooks are what the decks are made from
    python chapters/_ext/make_slides.py     # -> _build/slides/index.html

In a deck: arrow keys; S opens the speaker's notes, O the overview; `?print-pdf` behind its address, then print, makes
a PDF.
"""

import argparse
import html
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import nbformat
from build_site import ROOT, VENDOR, find_npm, vendor
from slides.blocks import notebook_blocks
from slides.compose import compose
from slides.render import FOLDER, deck_html
from tqdm import tqdm

HTML, SLIDES = ROOT / "_build" / "html", ROOT / "_build" / "slides"
REVEAL = "reveal.js@6.0.2"
FILES = ("dist/reveal.js", "dist/reveal.css", "dist/plugin/notes.js", "LICENSE")
LICENSE_LINE = 'Text and figures: <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>'


def chapters():
    """Names of the numbered chapters in the order of the book."""
    names = re.findall(r"file: (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf8"))
    return [name for name in names if Path(name).name[:2].isdigit()]


def fetch_reveal(target):
    """Fetch reveal.js from npm into a folder; a folder of this version is kept."""
    stamp = target / "version.txt"
    if stamp.exists() and stamp.read_text(encoding="utf8") == REVEAL:
        return
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*find_npm(), "pack", "--silent", REVEAL], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
        target.mkdir(parents=True)
        for name in FILES:
            shutil.copy(Path(folder) / "package" / name, target)
    stamp.write_text(REVEAL, encoding="utf8")


def write_deck(notebook, out):
    """Write the deck of one executed notebook; returns its title and the number of its slides."""
    title, slides = compose(notebook_blocks(nbformat.read(notebook, 4)))
    book = re.search(r"^title: (.+)", (ROOT / "_config.yml").read_text(encoding="utf8"), re.M)[1]
    text = deck_html(title, slides, book=book, license_line=LICENSE_LINE)
    (out / f"{Path(notebook).stem}.html").write_text(text, encoding="utf8")
    return title, len(slides)


def write_index(decks, out):
    """Write the list of the decks."""
    rows = "\n".join(
        f'<li><a href="{name}.html">{html.escape(title)}</a> ({count} slides)</li>' for name, title, count in decks
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Slides</title>'
        "<style>body{font:18px/1.6 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}</style></head>"
        f"<body><main><h1>Slides</h1><ol>\n{rows}\n</ol>"
        "<p>Arrow keys move, S opens the speaker's notes, O the overview. "
        f"For a PDF put <code>?print-pdf</code> behind a deck's address and print.</p><p>{LICENSE_LINE}</p>"
        "</main></body></html>\n"
    )
    (out / "index.html").write_text(page, encoding="utf8")


def main(arguments=None):
    """Write all decks and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebooks", type=Path, default=HTML, help="folder of the built site")
    parser.add_argument("--out", type=Path, default=SLIDES)
    options = parser.parse_args(arguments)
    wanted = {name: options.notebooks / f"{name}.ipynb" for name in chapters()}
    if missing := [name for name, path in wanted.items() if not path.exists()]:
        print(f"ERROR: no executed notebook of {', '.join(missing)}: build the site first, with `make book`.")
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        fetch_reveal(options.out / "reveal")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"ERROR: {REVEAL} could not be fetched with npm: {error}")
        return 1
    if not vendor():
        return 1
    shutil.copytree(VENDOR / "mathjax", options.out / "mathjax", dirs_exist_ok=True)
    for name in ("deck.css", "deck.js"):
        shutil.copy(FOLDER / name, options.out)
    decks = []
    for path in tqdm(wanted.values(), desc="decks", delay=5):
        decks.append((path.stem, *write_deck(path, options.out)))
    write_index(decks, options.out)
    print(f"{len(decks)} decks, {sum(count for *_, count in decks)} slides: {options.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
