"""The order and the parts that a numbered chapter must have, see CONTRIBUTING.md."""

import ast
import re

import yaml

CLOSING = ["Check", "Limits", "Check yourself", "Exercises", "Summary", "What's next", "References"]
OPENING = {  # what must stand before "## Set-up", in this order
    "label (ch-...)=": r"^\(ch-[a-z-]+\)=$",
    "title": r"^# \S",
    "**What you will do.**": r"^\*\*What you will do\.?\*\*",
    "admonition Learning objectives": r"^[:`]{3,}\{admonition\} Learning objectives",
    "table | You need |": r"^\| *You need",
    "tip with the times": r"^[:`]{3,}\{tip\}",
}


KINDS = ("predict then run", "derive", "code", "break it")  # of exercises; a chapter has three of them
FENCE, OPTIONS = r"^(`{3,}|:{3,})", r"[^\n]*\n(?::\w[^\n]*\n)*?"
EXERCISE = FENCE + r"\{exercise\}" + OPTIONS + r":label: (\S+)\n(.*?)^\1\n"
SOLUTION = FENCE + r"\{solution-start\} (\S+)" + OPTIONS + r":class: dropdown\n\1\n(.*?)^\1\{solution-end\}\n\1\n"


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
    return found + content_problems(text, code, prose, head) + question_problems(text) + exercise_problems(text)


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
    need("\nassert " in text.partition("\n## Exercises")[0], "no assert outside the solutions")
    kinds = [ast.Import, ast.ImportFrom]
    trees = [ast.parse(cell.source) for cell in code if not cell.source.lstrip().startswith(("%", "!"))]
    need(trees and all(type(n) in kinds for n in trees[0].body), "the first cell only imports")
    late = [n for tree in trees[1:] for n in tree.body if type(n) in kinds]
    need(not late, "imports belong in the first cell")
    setup = text.partition("\n## Set-up")[2].partition("\n## ")[0]
    need(setup.count("{code-cell}") >= 2, "no scale cell in Set-up")
    return found


def question_problems(text):
    """Problems of the self-check: 3-5 questions, each followed by its folded answer."""
    section = text.partition("\n## Check yourself\n")[2].partition("\n## ")[0]
    parts = re.findall(r"^\*\*(\d+)\.\*\* (?:.+\n)*?.*\?\n\n|^:::\{dropdown\} (Answer)\n", section, re.M)
    wanted = [part for k in range(len(parts) // 2) for part in ((str(k + 1), ""), ("", "Answer"))]
    found = [] if parts == wanted else ["self-check: **1.** question?, dropdown Answer, **2.** question? and so on"]
    found += [] if 3 <= len(parts) // 2 <= 5 else [f"3-5 self-check questions, there are {len(parts) // 2}"]
    found += ["self-check: prose only"] if "{code-cell}" in section else []
    return found


def exercise_problems(text):
    """Problems of the exercises: number, minutes, kinds, hints, and solutions that can be left out without a trace."""
    found, kinds = [], set()
    exercises = re.findall(EXERCISE, text, re.M | re.S)
    solutions = re.findall(SOLUTION, text, re.M | re.S)
    labels, solved = [label for _, label, _ in exercises], [label for _, label, _ in solutions]
    found += [] if 3 <= len(labels) <= 5 else [f"3-5 exercises with a label, there are {len(labels)}"]
    found += [] if labels == solved else [f"each exercise has its dropdown solution: {labels}, {solved}"]
    for _, label, body in exercises:
        start = re.match(r"\s*\((\d+) minutes, ([^)]+)\) ", body)
        named = {kind for kind in KINDS if start and kind in start[2]}
        rest = re.sub("|".join(KINDS) + r"|\b(and|then)\b|[, ]", "", start[2]) if start else "?"
        found += [] if named and not rest else [f"{label} does not begin with (minutes, kind); kinds are {KINDS}"]
        kinds |= named
    found += [] if len(kinds) >= 3 else [f"exercises of three kinds, there are {sorted(kinds)}"]
    for _, label, body in solutions:
        found += [] if "{code-cell}" in body else [f"{label}: its solution does not execute"]
        found += [] if re.search(r"^ *assert ", body, re.M) else [f"{label}: no assert in its solution"]
        found += [f"{label}: its solution glues a number"] if "glue(" in body else []
    hints = sum(body.count("{dropdown} Hint\n") for *_, body in exercises)
    found += [] if hints else ["no exercise has a hint"]
    outside = len(re.findall(r"\{dropdown\}", text)) - hints - text.count(":::{dropdown} Answer\n")
    found += ["a dropdown is an Answer of the self-check or the Hint of an exercise"] if outside else []
    before, _, after = re.sub(SOLUTION, "", text, flags=re.M | re.S).partition("\n## Exercises")
    found += ["a solution outside of Exercises"] if "{solution-" in before else []
    return found + (["a cell after Exercises that is no solution's"] if "{code-cell}" in after else [])
