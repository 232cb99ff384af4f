"""What nobody but the instructor may see of an assignment, told from its source alone."""

import html
import re

from classroom_setup import release, variants

REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)(.*?)### END \1", re.DOTALL)
TEXTS = {".html", ".ipynb", ".js", ".json", ".md", ".txt"}
SHORT = 12  # characters without blanks; a shorter line, such as `return x`, tells nothing


def lines(text):
    """Lines that say something, without blanks."""
    found = (re.sub(r"\s", "", line) for line in text.splitlines())
    return {line for line in found if len(line) >= SHORT and not line.startswith("###")}


def secrets(name, seed=0, folder=variants.ASSIGNMENTS):
    """Lines of solutions, hidden tests and model answers that stand nowhere in the public part of the source."""
    hidden, public = set(), ""
    for cell in release.source_notebook(name, seed, folder).cells:
        solution = cell.metadata.get("nbgrader", {}).get("solution")
        if solution and not REGION.search(cell.source):
            hidden |= lines(cell.source)
        else:
            hidden |= {line for region in REGION.finditer(cell.source) for line in lines(region[2])}
            public += re.sub(r"\s", "", REGION.sub("", cell.source))
    return {line for line in hidden if line not in public}


def leaks(text, name, seed=0, folder=variants.ASSIGNMENTS):
    """The secrets of an assignment that stand in a text."""
    bare = re.sub(r"\s", "", text)
    return sorted(secret for secret in secrets(name, seed, folder) if secret in bare)


def bare_page(path):
    """Text of a file of the site, without blanks and mark-up."""
    text = path.read_text(encoding="utf8", errors="replace")
    if path.suffix == ".html":
        return re.sub(r"\s", "", html.unescape(re.sub(r"<[^>]*>", "", text)))
    return re.sub(r"\s", "", text.replace('\\"', '"').replace("\\n", "\n"))


def pages_that_tell(site, folder=variants.ASSIGNMENTS):
    """Files of a site with more than three secret lines of one assignment; a chapter may share a common line or two."""
    secret = {name: secrets(name, 0, folder) for name in variants.names(folder)}
    pages = ((path, bare_page(path)) for path in sorted(site.rglob("*")) if path.suffix in TEXTS)
    return [path for path, text in pages for lines in secret.values() if sum(line in text for line in lines) > 3]
