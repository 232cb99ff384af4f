"""Without solutions the site, its downloads and its notebooks hold no line of them."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chapters" / "_ext"))
import build_site
import execute_chapters
from execution_status import fingerprint
from jupyter_cache import get_cache
from solutions import divide, without_solutions

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {path.stem: path.read_text(encoding="utf8") for path in sorted((ROOT / "chapters").glob("*.md"))}
REMOVED = {name: divide(text)[1] for name, text in SOURCES.items() if "{exercise}" in text}
EXERCISE = re.compile(r"^(`{3,}|:{3,})\{exercise\}.*?^\1$", re.M | re.S)


def words(text):
    """Words and numbers, so that code in HTML, in a notebook and in its source compare equal."""
    return f" {' '.join(re.findall('[a-z0-9]+', text.lower()))} "


EVERYTHING = words("\n".join([*SOURCES.values(), *(path.read_text() for path in (ROOT / "lib").glob("*.py"))]))


def needles(block):
    """Stretches of six words or more, on a line and between formulas and roles, that the course holds only once."""
    stretches = re.split(r"\n|\$[^$]*\$|\{[\w:]+\}`[^`]*`", block)
    found = [words(stretch) for stretch in stretches if "{" not in stretch or "=" in stretch]
    return [text for text in found if text.count(" ") > 6 and EVERYTHING.count(text) == 1]


def everything_below(folder):
    """Words of each text file of a site by path; scripts and styles of others left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not {"_static", "vendor"} & set(path.relative_to(folder).parts):
            if path.suffix in {".html", ".ipynb", ".md", ".js", ".txt", ".inv", ".json", ""}:
                text = path.read_text(encoding="utf8", errors="replace")
                text = html.unescape(re.sub(r"<[^>]*>", "", text)) if path.suffix == ".html" else text
                yield path, words(text)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site without solutions, its cells not executed: what the switch takes out does not depend on outputs."""
    folder = tmp_path_factory.mktemp("site")
    config = (ROOT / "_config.yml").read_text(encoding="utf8")
    assert "execute_notebooks: cache" in config
    (folder / "_config.yml").write_text(config.replace("execute_notebooks: cache", 'execute_notebooks: "off"'))
    paths = os.pathsep.join([str(ROOT), str(ROOT / "chapters" / "_ext")])
    environment = {**os.environ, "COURSE_SOLUTIONS": "no", "PYTHONPATH": paths}
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(ROOT), "--all"]
    options = ["--config", str(folder / "_config.yml"), "--path-output", str(folder)]
    done = subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "_build" / "html"


@pytest.mark.parametrize("name", REMOVED)
def test_every_solution_and_answer_is_taken_out(name):
    kept = words(without_solutions(SOURCES[name]))
    assert len(REMOVED[name]) == SOURCES[name].count("{solution-start}") + SOURCES[name].count("{dropdown} Answer") >= 6
    for block in REMOVED[name]:
        assert needles(block), f"nothing to search for in {block!r}"
        assert not [text for text in needles(block) if text in kept]


@pytest.mark.parametrize("name", REMOVED)
def test_cells_that_run_ahead_of_sphinx_are_those_that_it_shows(name, monkeypatch):
    cells = {}
    for solutions in ("yes", "no"):
        monkeypatch.setenv("COURSE_SOLUTIONS", solutions)
        notebook = execute_chapters.read(ROOT / "chapters" / f"{name}.md")
        cells[solutions] = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    few = len(cells["no"])
    assert few < len(cells["yes"])
    assert cells["yes"][:few] == cells["no"]  # so what runs before the exercises runs alike in both
    shown = words("\n".join(cells["no"]))
    assert not [text for block in REMOVED[name] for text in needles(block) if text in shown]


def test_a_chapter_without_solutions_is_cut_from_the_executed_whole_one(tmp_path, monkeypatch):
    head = "---\njupytext:\n  text_representation:\n    format_name: myst\nkernelspec:\n  name: python3\n---\n"
    solved = "```{solution-start} x\n```\n\n```{code-cell} ipython3\nprint(8)\n```\n\n```{solution-end}\n```\n"
    path = tmp_path / "one.md"
    path.write_text(f"{head}\n# A\n\n```{{code-cell}} ipython3\na = 4\nprint(a)\n```\n\n{solved}", encoding="utf8")
    cache = get_cache(str(tmp_path / "cache"))
    monkeypatch.setenv("COURSE_PROBE", str(tmp_path))
    monkeypatch.delenv("PYTHONSTARTUP", raising=False)
    assert not execute_chapters.cut(cache, path)  # nothing to cut it from
    monkeypatch.setenv("COURSE_SOLUTIONS", "yes")
    assert execute_chapters.fill(cache, [path], jobs=1, timeout=60) == ([path], [])
    whole = fingerprint(execute_chapters.read(path))
    (tmp_path / f"{whole}.json").write_text("{}")
    monkeypatch.setenv("COURSE_SOLUTIONS", "no")
    assert execute_chapters.fill(cache, [path], jobs=1, timeout=60) == ([], [])
    _, notebook = cache.merge_match_into_notebook(execute_chapters.read(path))
    (cell,) = execute_chapters.code(notebook)
    assert (cell.source, cell.outputs[0].text) == ("a = 4\nprint(a)", "4\n")
    assert notebook.metadata.language_info.name == "python"
    assert fingerprint(notebook) != whole
    assert (tmp_path / f"{fingerprint(notebook)}.json").read_text() == "{}"
    path.write_text(f"{head}\n# A\n\n{solved}\n```{{code-cell}} ipython3\nprint(5)\n```\n", encoding="utf8")
    monkeypatch.setenv("COURSE_SOLUTIONS", "yes")
    assert execute_chapters.fill(cache, [path], jobs=1, timeout=60) == ([path], [])
    assert not execute_chapters.cut(cache, path)  # a cell after a solution: it may need what the solution did


@pytest.mark.slow
def test_site_without_solutions_holds_no_line_of_them(site):
    texts = dict(everything_below(site))
    for name, blocks in REMOVED.items():
        places = [f"chapters/{name}.html", f"chapters/{name}.ipynb", f"_sources/chapters/{name}.md"]
        kept = [text for match in EXERCISE.finditer(SOURCES[name]) for text in needles(match[0])]
        assert len(kept) >= 3
        for place in places:  # the search finds what is there, in each kind of file
            assert not [text for text in kept if text not in texts[site / place]], place
        wanted = [text for block in blocks for text in needles(block)]
        found = [(path, text) for path, all_words in texts.items() for text in wanted if text in all_words]
        assert not found, found[:3]


@pytest.mark.slow
def test_hints_and_questions_stay_in_a_site_without_solutions(site):
    for name, text in SOURCES.items():
        page = site / "chapters" / f"{name}.html"
        assert not page.exists() or page.read_text().count("sd-dropdown") == text.count("{dropdown} Hint"), name
        assert page.exists() == ("{exercise}" in text) or "{exercise}" not in text


@pytest.mark.parametrize("name", REMOVED)
def test_nothing_that_stays_refers_to_a_solution(name):
    labels = re.findall(r":label: (\S+)|name: (\S+)|^\((\S+)\)=", "\n".join(REMOVED[name]), re.M)
    labels = [next(filter(None, found)) for found in labels]
    assert len(labels) >= 3
    for page, text in SOURCES.items():
        kept = without_solutions(text)
        assert not [label for label in labels if re.search(rf"\b{re.escape(label)}\b", kept)], page


def test_a_page_without_solutions_is_unchanged():
    assert all(without_solutions(text) == text for name, text in SOURCES.items() if name not in REMOVED)


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("a\n\n:::{dropdown} Answer\nb\n:::\n\nc\n", "a\n\nc\n"),
        ("a\n```{solution-start} x\n```\n\nb\n\n```{code-cell}\n1\n```\n\n```{solution-end}\n```\nc\n", "a\nc\n"),
        (":::{dropdown} Hint\nb\n:::\n", ":::{dropdown} Hint\nb\n:::\n"),
        ("````{dropdown} Answer\n```\nb\n```\n````\nc\n", "c\n"),
    ],
)
def test_what_a_source_keeps(source, kept):
    assert without_solutions(source) == kept


@pytest.mark.parametrize("source", ["```{solution-start} x\n```\nb\n", ":::{dropdown} Answer\nb\n"])
def test_an_open_solution_is_refused(source):
    with pytest.raises(ValueError, match="line 1"):
        without_solutions(source)


def test_a_build_without_solutions_touches_nothing_of_the_full_site(tmp_path, monkeypatch):
    full = {path: tmp_path / path for path in ("html/index.html", ".doctrees/a", "jupyter_execute/a", "site.zip")}
    stale = tmp_path / "notebooks-no-solutions" / "old.ipynb"
    for path in [*full.values(), stale]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("full")

    def run_book(output, solutions):
        page = output / "_build" / "html" / "chapters" / "a.html"
        page.parent.mkdir(parents=True)
        page.write_text(str(solutions))
        (page.parents[1] / "index.html").write_text("")
        cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("stream", text="one")], execution_count=3)
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), page.with_suffix(".ipynb"))
        return 0

    monkeypatch.setattr(build_site, "BUILD", tmp_path)
    monkeypatch.setattr(build_site, "vendor", lambda: True)
    monkeypatch.setattr(build_site, "run_book", run_book)
    for _ in range(2):  # a second build replaces the first
        assert build_site.main(["--no-solutions"]) == 0
    assert all(path.read_text() == "full" for path in full.values())
    assert (tmp_path / "html-no-solutions" / "chapters" / "a.html").read_text() == "False"
    assert (tmp_path / "site-no-solutions.zip").exists()
    assert not stale.exists()
    assert not (tmp_path / "no-solutions").exists()
    (cell,) = nbformat.read(tmp_path / "notebooks-no-solutions" / "a.ipynb", 4).cells
    assert cell.source == "1"
    assert cell.outputs == []
    assert cell.execution_count is None
