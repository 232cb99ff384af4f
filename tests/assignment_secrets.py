"""What nobody but the instructor may see of an assignment, told from its source alone."""

import re

from classroom_setup import release, variants

REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)(.*?)### END \1", re.DOTALL)
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
