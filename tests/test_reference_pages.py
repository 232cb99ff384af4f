"""The pages of reference: a whole reproduction table, each public name documented once, each cited work to be found."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"
MODULES = sorted(path.stem for path in (ROOT / "lib").glob("*.py") if path.stem != "__init__")
VERDICTS = ("**holds**", "**holds with a correction**", "**not shown here**")
CLAIMS = ["C1", "C2", "C3", "C3b", "C4", "C5", "C6"]
CHECKS = [*(f"V{n}" for n in range(1, 16) if n != 9), "V11b"]
ERROR = r"\(exact|exact\)|chance|interval|standard error|p-value|largest of |random numbers|two runs|pairs|^V\d+"
GLUE = r"\{glue:text\}`(?:([\w.]+)::)?([\w.-]+):[^`:]*`"


def read(name):
    return (CHAPTERS / name).read_text(encoding="utf8")


def rows(text):
    """Cells of the rows whose first cell is a name such as C3b or V12."""
    lines = [line.strip("|") for line in text.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return {cells[0].strip("| "): cells for cells in table if re.fullmatch(r"\W*[CVPR]\d+b?", cells[0])}


def row_problems(name, cells):
    """What is wrong with one row of the table: its verdict, its link, its number."""
    if len(cells) != 5:
        return [f"{name}: {len(cells)} cells, not 5"]
    _, _, where, verdict, number = cells
    found = []
    if not verdict.startswith(VERDICTS):
        found.append(f"{name}: no verdict")
    if verdict in VERDICTS[1:]:
        found.append(f"{name}: a verdict other than holds must say why")
    if not re.search(r"\{(ref|eq|numref|prf:ref)\}`", where):
        found.append(f"{name}: no link")
    if not re.search(GLUE, number) and not re.match(r"V\d+\b", number):
        found.append(f"{name}: no number from a run and no row that has it")
    typed = re.sub(r"\{[\w:]+\}`[^`]*`|\$[^$]*\$|\bV\d+\b", " ", number)
    if re.search(r"\d\.\d|\d\s?(%|per cent)|\de-?\d", typed):
        found.append(f"{name}: a typed number in {typed!r}")
    if not re.search(ERROR, number):
        found.append(f"{name}: neither exact nor with an interval or what chance gives")
    return found


def documented():
    """(module, name) of each name that the automodule directives of the reference show, as autodoc chooses them."""
    page = read("appendix_api.md")
    for module, members in re.findall(r"^\.\. automodule:: (lib\.\w+)\n(?:   :members:(.*)\n)?", page, re.M):
        loaded = importlib.import_module(module)
        chosen = [name.strip() for name in members.split(",") if name.strip()] or getattr(loaded, "__all__", None)
        for name, value in vars(loaded).items():
            own = getattr(value, "__module__", None) == module
            if name in chosen if chosen is not None else own and not name.startswith("_"):
                yield module, name


def public_names():
    """(module, name) of each function and class that a module of the package defines without an underscore."""
    for stem in MODULES:
        module = importlib.import_module(f"lib.{stem}")
        for name, value in vars(module).items():
            if (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == f"lib.{stem}":
                if not name.startswith("_"):
                    yield f"lib.{stem}", name


@pytest.mark.parametrize("name", [*CLAIMS, *CHECKS])
def test_reproduction_table_has_the_row(name):
    assert name in rows(read("appendix_reproduction.md"))


@pytest.mark.parametrize("name", sorted(rows(read("appendix_reproduction.md"))))
def test_row_has_a_verdict_a_link_and_a_number_with_its_error(name):
    assert row_problems(name, rows(read("appendix_reproduction.md"))[name]) == []


GOOD = ["C1", "claim", "{eq}`eq-a`", "**holds**", "{glue:text}`a.md::b:.2f` (exact)"]
FAULTS = {
    "no verdict": (3, "fine", "no verdict"),
    "no reason": (3, "**not shown here**", "say why"),
    "no link": (2, "chapter one", "no link"),
    "no number": (4, "very small (exact)", "no number"),
    "typed": (4, "0.37 and {glue:text}`a.md::b:.2f` (exact)", "typed number"),
    "no interval": (4, "{glue:text}`a.md::b:.2f`", "interval"),
    "too few": (4, None, "cells"),
}


@pytest.mark.parametrize(("place", "text", "message"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_row_is_refused(place, text, message):
    assert row_problems("C1", GOOD) == []
    cells = [text if k == place else cell for k, cell in enumerate(GOOD) if k != place or text is not None]
    assert message in " ".join(row_problems("C1", cells))


def test_each_public_name_is_documented_once():
    shown = [getattr(importlib.import_module(module), name) for module, name in documented()]
    wanted = {name: getattr(importlib.import_module(name[0]), name[1]) for name in public_names()}
    times = {name: sum(value is one for one in shown) for name, value in wanted.items()}
    assert {name: count for name, count in times.items() if count != 1} == {}


def test_each_module_is_named_on_the_reference_page():
    page = read("appendix_api.md")
    assert [stem for stem in MODULES if f"`{stem}`" not in page and f"automodule:: lib.{stem}\n" not in page] == []


def test_each_reference_can_be_found():
    entries = re.findall(r"^@\w+\{(.+?),\n(.*?)^\}", read("references.bib"), re.M | re.S)
    assert len(entries) == read("references.bib").count("\n@") + 1
    for key, fields in entries:
        assert re.search(r"^\s*(doi|eprint|url)\s*=\s*\{\S+\}", fields, re.M), f"{key}: no doi, eprint or url"
        assert all(re.search(rf"^\s*{field}\s*=", fields, re.M) for field in ("author", "title", "year")), key


def test_landing_page_has_a_card_for_each_chapter_with_its_reading_time():
    page = read("intro.md").partition("## The map")[2]
    cards = dict(re.findall(r":link: (ch-[\w-]+)\n.*?\*(\d+) min\*\n:::", page, re.S))
    times = {}
    for path in sorted(CHAPTERS.glob("[0-9][0-9]_*.md")):
        text = path.read_text(encoding="utf8")
        times[re.search(r"^\((ch-[\w-]+)\)=", text, re.M)[1]] = re.search(r"Reading time: (\d+) minutes", text)[1]
    assert cards == times


def test_glossary_terms_are_linked_from_the_chapters():
    entries = re.findall(r"^(\S.*)\n    \S", read("appendix_glossary.md"), re.M)
    text = "".join(path.read_text(encoding="utf8") for path in CHAPTERS.glob("0*.md"))
    linked = set(re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", text))
    assert len(linked) >= 10
    assert linked <= set(entries)
