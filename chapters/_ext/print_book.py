"""Print the built site, page by page, into one PDF with bookmarks, and link it from the pages.

    python chapters/_ext/print_book.py      # after the site; needs Chromium and requirements-test.txt
"""

import os
import re
import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import yaml
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
MARK = re.compile(r'<span data-book-pdf="([^"]+)">.*?</span>', re.S)  # left by public_address.py in each footer
TITLE = """node => [...node.childNodes].map(n => n.matches && n.matches('.headerlink') ? '' : n.textContent).join('')"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def in_order(toc):
    """Page names in the order of the table of contents."""
    names = [toc["root"]]
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            names += [chapter["file"], *(section["file"] for section in chapter.get("sections", ()))]
    return names


def print_page(page, name):
    """PDF of one page and its title; folded cells and solutions are opened."""
    page.goto((HTML / f"{name}.html").as_uri(), wait_until="load")
    page.emulate_media(media="print", color_scheme="light")
    page.evaluate("() => window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => null) : null")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function("() => [...document.images].every(image => image.complete)")
    title = page.locator("article h1").first.evaluate(TITLE)
    margin = {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}
    footer = '<div style="font-size:8px;width:100%;text-align:center"><span class="pageNumber"></span></div>'
    templates = {"display_header_footer": True, "header_template": "<span></span>", "footer_template": footer}
    pdf = page.pdf(format="A4", margin=margin, print_background=True, scale=0.8, **templates)
    return pdf, " ".join(title.split())


def main():
    """Write _build/html/book.pdf and turn the marks in the pages into links."""
    browser_path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        print("ERROR: no Chromium found: apt install chromium, or set CHROMIUM to its path.")
        return 1
    if not (HTML / "index.html").exists():
        print(f"ERROR: no site in {HTML}: build it with `make book`.")
        return 1
    names = in_order(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8")))
    writer = PdfWriter()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        for name in tqdm(names, desc="pages", delay=5):
            pdf, title = print_page(page, name)
            writer.append(BytesIO(pdf), outline_item=title, import_outline=False)
        browser.close()
    with tempfile.NamedTemporaryFile(dir=HTML, suffix=".part", delete=False) as file:
        writer.write(file)
    Path(file.name).replace(HTML / "book.pdf")
    Path(HTML / "book.pdf").chmod(0o644)
    for path in HTML.rglob("*.html"):
        text = path.read_text(encoding="utf8")
        linked = MARK.sub(r'<span data-book-pdf="\1"><a href="\1">The whole book as PDF</a>.</span>', text)
        if linked != text:
            path.write_text(linked, encoding="utf8")
    shutil.make_archive(str(HTML.parent / "site"), "zip", HTML)
    print(f"{HTML / 'book.pdf'}: {len(PdfReader(HTML / 'book.pdf').pages)} pages from {len(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
