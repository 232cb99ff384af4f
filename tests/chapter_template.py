"""The order and the parts that a numbered chapter must have, see CONTRIBUTING.md."""

import ast
import re

import yaml

CLOSING = ["Check", "Limits", "Exercises", "Summary", "What's next", "References"]
OPENING = {  # what must stand before "## Set-up", in this order
    "label (ch-...)=": r"^\(ch-[a-z-]+\)=$",
    "title": r"^# \S",
    "**What you will do.**": r"^\*\*What you will do\.?\*\*",
    "admonition Learning objectives": r"^[:`]{3,}\{admonition\} Learning objectives",
    "table | You need |": r"^\| *You need",
    "tip with the times": r"^[:`]{3,}\{tip\}",
}


def bullets(block):
    """Number of top-level list items."""
    return len(re.findall(r"^[-*] ", block, re.M))


def template_problems(text, code, prose):
    """Problems of order and completeness, see CONTRIBUTING.md."""
    found = []
    front = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else {}
    if set(front) != {"jupytext", "kernelspec"}:
        found.append(f"front matter holds {sorted(front)}, not jupytext and kernelspec only")
    head, _, rest = prose.partition("\n## Set-up")
    places = {name: re.search(pattern, head, re.M) for name, pattern in OPENING.items()}
    found += [f"before ## Set-up: no {name}" for name, place in places.items() if place is None]
    starts = [place.start() for place in places.values() if place]
    if starts != sorted(starts):
        found.append(f"before ## Set-up: the order is not {list(OPENING)}")
    headings = ["Set-up", *re.findall(r"^## (.+)$", rest, re.M)] if rest else []
    pairs = zip(headings[-len(CLOSING) :], CLOSING, strict=False)
    if len(headings) < len(CLOSING) + 2 or not all(h.startswith(c) for h, c in pairs):
        found.append(f"sections must be Set-up, body, {', '.join(CLOSING)}; they are {headings}")
    return found + content_problems(text, code, prose, head)


def content_problems(text, code, prose, head):
    """Problems of what the sections hold."""
    found = []

    def need(condition, message):
        if not condition:
            found.append(message)

    def section(name):
        return re.split(rf"^## {name}.*$", prose, maxsplit=1, flags=re.M)[-1].partition("\n## ")[0]

    need(3 <= bullets(head.partition("Learning objectives")[2]) <= 5, "3-5 learning objectives")
    tip = head.partition("{tip}")[2].lower()
    need(all(word in tip for word in ("reading", "run", "memory")), "tip: reading time, run time, memory")
    need(bullets(section("Summary")) == 3, "the summary has 3 bullets")
    need("{footbibliography}" in section("References"), "References end with {footbibliography}")
    need(re.search(r":label: eq-|\$\$ *\(eq-", text), "no labelled equation (eq-...)")
    need(any("figure" in cell.metadata.get("mystnb", {}) for cell in code), "no figure")
    exercises = re.findall(r"\{exercise\}.*\n(?::.*\n)*?:label: (\S+)\n", text)
    solved = re.findall(r"\{solution-start\} (\S+)\n(?::.*\n)*?:class: dropdown", text)
    need(3 <= len(exercises) <= 5, f"3-5 exercises with a label, there are {len(exercises)}")
    need(exercises == solved, f"each exercise has its dropdown solution: {exercises}, {solved}")
    minutes = re.findall(r"\d+ min", section("Exercises"))
    need(len(minutes) >= len(exercises), "each exercise tells its minutes")
    solutions = "".join(re.findall(r"\{solution-start\}.*?\{solution-end\}", text, re.S))
    need("{code-cell}" in solutions, "no solution that executes")
    need(text.count("\nassert ") > solutions.count("\nassert "), "no assert outside the solutions")
    kinds = [ast.Import, ast.ImportFrom]
    trees = [ast.parse(cell.source) for cell in code if not cell.source.lstrip().startswith(("%", "!"))]
    need(trees and all(type(n) in kinds for n in trees[0].body), "the first cell only imports")
    late = [n for tree in trees[1:] for n in tree.body if type(n) in kinds]
    need(not late, "imports belong in the first cell")
    setup = text.partition("\n## Set-up")[2].partition("\n## ")[0]
    need(setup.count("{code-cell}") >= 2, "no scale cell in Set-up")
    return found
