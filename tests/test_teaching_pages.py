"""The guides for teachers and students: whatever they name exists, and every chapter and assignment is in the plan."""

import re
import sys

import jupytext
import pytest
from site_files import ROOT

sys.path.insert(0, str(ROOT / "chapters" / "_ext"))
from workload import GRADER, limits, minutes, points

CHAPTERS = ROOT / "chapters"
NUMBERED = sorted(CHAPTERS.glob("[0-9][0-9]_*.md"))
PAGES = {name: (CHAPTERS / f"teaching_{name}.md").read_text(encoding="utf8") for name in ("instructors", "students")}
ASSIGNMENTS = sorted((CHAPTERS / "assignments").glob("ps*.md"))
TARGET = r"\{(?:ref|eq|numref|prf:ref)\}`(?:[^`<]*<)?([\w-]+)>?`"
LABELS = r"^\(([\w-]+)\)=$|^:label: ([\w-]+)$|^ +name: (fig-[\w-]+)$"


def labels():
    """All labels of the book."""
    text = "\n".join(path.read_text(encoding="utf8") for path in CHAPTERS.glob("*.md"))
    return {next(filter(None, found)) for found in re.findall(LABELS, text, re.M)}


def graded():
    """Names of the cells with points, by assignment."""
    found = {}
    for path in ASSIGNMENTS:
        options = [cell.metadata.get("nbgrader", {}) for cell in jupytext.read(path).cells]
        found[path.stem] = {option["grade_id"] for option in options if option.get("grade")}
    return found


def table(page, heading):
    """Rows of the first table below a heading, as lists of cells."""
    section = page.partition(f"## {heading}")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 2, f"no table below {heading!r}"
    return rows[2:]


def named_cells(text):
    """Pairs of assignment and cell in a text such as `ps1: test-a, test-b`."""
    return [(name, cell.strip()) for name, cells in re.findall(r"`(ps\d): ([^`]+)`", text) for cell in cells.split(",")]


def row_problems(row, known_labels, known_cells, *, needs_cell):
    """What is wrong with a row: references or cells that do not exist, or none at all."""
    text = " | ".join(row)
    targets, cells = re.findall(TARGET, text), named_cells(text)
    found = [f"{row[0]}: no label {target}" for target in targets if target not in known_labels]
    found += [f"{row[0]}: {name} has no cell {cell}" for name, cell in cells if cell not in known_cells.get(name, ())]
    if not targets:
        found.append(f"{row[0]}: refers to nothing")
    if needs_cell and not cells:
        found.append(f"{row[0]}: asked nowhere")
    return found


@pytest.mark.parametrize(("heading", "needs_cell"), [("Learning goals", True), ("Misconceptions", False)])
def test_tables_name_places_and_cells_that_exist(heading, needs_cell):
    known = {"known_labels": labels(), "known_cells": graded(), "needs_cell": needs_cell}
    rows = table(PAGES["instructors"], heading)
    assert [problem for row in rows for problem in row_problems(row, **known)] == []


FAULTS = {
    "label": (["goal", "{ref}`ch-nowhere`", "`ps1: test-a`"], "no label ch-nowhere"),
    "cell": (["goal", "{ref}`ch-a`", "`ps1: test-b`"], "has no cell test-b"),
    "assignment": (["goal", "{ref}`ch-a`", "`ps7: test-a`"], "ps7 has no cell"),
    "nothing": (["goal", "chapter one", "`ps1: test-a`"], "refers to nothing"),
    "asked": (["goal", "{ref}`ch-a`", ""], "asked nowhere"),
}


@pytest.mark.parametrize(("row", "message"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_row_is_refused(row, message):
    known = {"known_labels": {"ch-a"}, "known_cells": {"ps1": {"test-a"}}, "needs_cell": True}
    assert row_problems(["goal", "{ref}`ch-a`", "`ps1: test-a`"], **known) == []
    assert message in " ".join(row_problems(row, **known))


def test_every_chapter_has_a_goal_and_a_week():
    wanted = {re.search(r"^\((ch-[\w-]+)\)=", path.read_text(encoding="utf8"), re.M)[1] for path in NUMBERED}
    goals = " ".join(row[1] for row in table(PAGES["instructors"], "Learning goals"))
    plan = PAGES["instructors"].partition("**One semester**")[2].partition("\n## ")[0]
    assert wanted - set(re.findall(TARGET, goals)) == set()
    assert wanted - set(re.findall(TARGET, plan)) == set()


def test_every_assignment_has_a_goal_a_misconception_and_a_week():
    assert len(ASSIGNMENTS) == 3
    plan = PAGES["instructors"].partition("**One semester**")[2].partition("\n## ")[0]
    for heading in ("Learning goals", "Misconceptions"):
        text = str(table(PAGES["instructors"], heading))
        assert {name for name, _ in named_cells(text)} == {path.stem for path in ASSIGNMENTS}
    assert re.findall(r"\| assignment (\d) \|", plan) == ["1", "2", "3"]


def test_every_text_that_a_person_grades_is_asked_for_by_a_goal():
    by_hand = set()
    for path in ASSIGNMENTS:
        for cell in jupytext.read(path).cells:
            options = cell.metadata.get("nbgrader", {})
            if options.get("grade") and cell.cell_type == "markdown":
                by_hand.add((path.stem, options["grade_id"]))
    assert by_hand
    assert by_hand - set(named_cells(str(table(PAGES["instructors"], "Learning goals")))) == set()


def test_the_semester_has_a_row_for_each_week():
    plan = PAGES["instructors"].partition("**One semester**")[2].partition("\n## ")[0]
    weeks = re.findall(r"^\| (\d+)( \*)? \|", plan, re.M)
    stated, short = re.match(r" \((\d+) weeks.*?for (\d+)", plan).groups()
    assert [int(week) for week, _ in weeks] == list(range(1, int(stated) + 1))
    assert sum(not star for _, star in weeks) == int(short)


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_files_exist(name):
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    for target, rest in re.findall(r"`make ([a-z]+)([^`]*)`", PAGES[name]):
        assert re.search(rf"^{target}:", makefile, re.M), f"make {target}"
        for variable in re.findall(r"([A-Z]+)=", rest):
            assert f"$({variable})" in makefile, f"make {target} {variable}="
    for path in re.findall(r"(?:chapters|tests|bench)/[\w/]+(?:\.py)?|requirements[\w-]*\.txt", PAGES[name]):
        assert (ROOT / path).exists(), path


def test_remarks_that_students_may_see_are_the_graders():
    quoted = re.findall(r"^\| `([a-z][^`]{20,})`", PAGES["students"], re.M)
    sources = "".join(path.read_text(encoding="utf8") for path in (ROOT / GRADER).parent.glob("*.py"))
    assert len(quoted) >= 4
    for text in quoted:
        assert text.replace("ps1.ipynb", "{name}.ipynb") in sources, text


def test_minutes_of_a_chapter_are_read_from_its_source():
    text = (
        "Reading time: 25 minutes.\n\n## Check yourself\n\n**1.** One?\n\n**2.** Two?\n\n## Exercises\n\n"
        ":::{exercise} A\n:label: ex-a\n\n(10 minutes, derive) Do.\n:::\n\n"
        "```{exercise} B\n:label: ex-b\n\n(15 minutes, code) Do.\n```\n"
    )
    assert minutes(text) == (25, 2, 25, 2)


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_every_exercise_of_a_chapter_is_counted(path):
    text = path.read_text(encoding="utf8")
    reading, exercises, total, _ = minutes(text)
    assert reading > 0
    assert exercises == len(re.findall(r"\{exercise\}", text)) >= 3
    assert total >= 5 * exercises


def test_points_are_read_from_the_cells(tmp_path):
    cell = "```{code-cell} ipython3\n---\nnbgrader: {grade: true, points: 3, grade_id: a}\n---\n1\n```\n"
    text = '+++ {"nbgrader": {"grade": true, "points": 2, "grade_id": "b"}}\n\nAnswer\n'
    front = "---\njupytext: {text_representation: {extension: .md, format_name: myst}}\n---\n\n# Title\n\n"
    (tmp_path / "ps1.md").write_text(front + cell + "\n" + text, encoding="utf8")
    assert points(tmp_path / "ps1.md") == ("Title", 3, 2)


def test_limits_are_read_from_the_grader():
    source = 'X = 1\nLIMITS = {"cell_seconds": 7, "total_seconds": 8, "memory_megabytes": 9, "max_output": 1000}\n'
    found = limits(source + "MAX_MEGABYTES = 3\n")
    assert found[0] == "7 seconds for each cell"
    assert found[3:] == ["1,000 characters printed by one cell", "3 MB for the file of the notebook"]
    with pytest.raises(KeyError):
        limits(source)
    assert len(limits((ROOT / GRADER).read_text(encoding="utf8"))) == len(found)
