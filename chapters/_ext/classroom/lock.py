"""Write requirements-classroom.txt: every package that grading uses, in the version of this environment.

Run as ``.venv/bin/python chapters/_ext/classroom/lock.py`` in an environment that passes the tests.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "requirements-classroom.txt"
ROOTS = ("nbgrader==0.9.6", "psutil")
HEAD = """# Complete lock of the environment for grading: requirements.txt, nbgrader, all they need, tested on Linux.
# Written by chapters/_ext/classroom/lock.py; the grading report names what differs from it. What torch brings along on
# machines with a GPU is fixed by torch itself.
"""


def wanted():
    """What the course and the grader ask for by name."""
    lines = [*(ROOT / "requirements.txt").read_text(encoding="utf8").splitlines(), *ROOTS]
    return [Requirement(line) for line in lines if re.match(r"\w", line)]


def closure():
    """Versions by name of everything that is needed and installed."""
    found, waiting = {}, wanted()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # optional, or for another system
        if (name, frozenset(extras)) in found:
            continue
        found[name, frozenset(extras)] = Version(distribution.version).public
        for line in distribution.requires or []:
            needed = Requirement(line)
            if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return {name: version for (name, _), version in found.items()}


def main():
    """Write the file."""
    text = HEAD + "".join(f"{name}=={version}\n" for name, version in sorted(closure().items())) + "-e .\n"
    FILE.write_text(text, encoding="utf8", newline="\n")
    print(f"{FILE}: {len(text.splitlines()) - 4} packages")


if __name__ == "__main__":
    sys.exit(main())
