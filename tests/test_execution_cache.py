"""What the site publishes was computed from the present code: the execution cache follows text, cells, lib and data."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "chapters" / "_ext"))

get_cache = pytest.importorskip("jupyter_cache").get_cache
execute_chapters = pytest.importorskip("execute_chapters")

HEAD = "---\njupytext:\n  text_representation:\n    format_name: myst\nkernelspec:\n  name: python3\n---\n"
CHAPTER = HEAD + "# A chapter\n\nSome text.\n\n```{code-cell} ipython3\nimport lib.value\nprint(lib.value.VALUE)\n```\n"
ONLY_TEXT = "# Only text, and no cell\n"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one chapter, which prints a number of its lib."""
    for name, text in {
        "_toc.yml": "root: chapters/text\nparts:\n- chapters:\n  - file: chapters/one\n",
        "chapters/text.md": ONLY_TEXT,
        "chapters/one.md": CHAPTER,
        "lib/__init__.py": "",
        "lib/value.py": "VALUE = 1\n",
        "data/measured.csv": "1\n",
        "requirements.txt": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("COURSE_PROBE", "PYTHONSTARTUP"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def built(book):
    """Run what the build runs: the number of chapters executed, and what the chapter printed."""
    folder = execute_chapters.choose_cache(book)
    cache, paths = get_cache(str(folder)), execute_chapters.chapters(book)
    executed, failed = execute_chapters.fill(cache, paths, jobs=1, timeout=60)
    assert failed == []
    notebook = execute_chapters.read(book / "chapters" / "one.md")
    _, notebook = cache.merge_match_into_notebook(notebook)
    return len(executed), notebook.cells[-1].outputs[0].text.strip()


def test_a_chapter_runs_again_only_when_its_result_can_differ(book):
    assert built(book) == (1, "1")
    assert built(book) == (0, "1")  # nothing changed
    (book / "chapters" / "one.md").write_text(CHAPTER.replace("Some text", "Other text"), encoding="utf8")
    assert built(book) == (0, "1")  # text alone
    (book / "lib" / "value.py").write_text("VALUE = 2\n", encoding="utf8")
    assert built(book) == (1, "2")
    (book / "data" / "measured.csv").write_text("2\n", encoding="utf8")
    assert built(book) == (1, "2")
    (book / "chapters" / "one.md").write_text(CHAPTER.replace("VALUE)", "VALUE + 1)"), encoding="utf8")
    assert built(book) == (1, "3")
    (book / "lib" / "value.py").write_text("VALUE = 1\n", encoding="utf8")
    assert built(book) == (1, "2")  # what an earlier state of lib gave is not there any more
    assert len(list((book / "_build").glob(".jupyter_cache-*"))) == 1


def test_the_size_of_the_runs_is_part_of_the_key(book, monkeypatch):
    monkeypatch.setenv("COURSE_SCALE", "quick")
    quick = execute_chapters.choose_cache(book)
    monkeypatch.setenv("COURSE_SCALE", "full")
    assert execute_chapters.choose_cache(book) != quick


def test_a_failed_chapter_is_named_and_not_kept(book, capsys):
    (book / "lib" / "value.py").write_text("raise RuntimeError('no value today')\n", encoding="utf8")
    cache, paths = get_cache(str(execute_chapters.choose_cache(book))), execute_chapters.chapters(book)
    for _ in range(2):
        executed, failed = execute_chapters.fill(cache, paths, jobs=1, timeout=60)
        assert executed == []
        assert failed == [book / "chapters" / "one.md"]
    printed = capsys.readouterr()
    assert "one.md failed" in printed.out + printed.err
    assert "no value today" in printed.out + printed.err


def test_chapters_are_those_pages_that_hold_cells():
    found = {path.stem for path in execute_chapters.chapters()}
    assert {"01_maximum_likelihood", "08_calibration"} <= found  # a part's chapter, and a chapter's section
    assert "appendix_notation" not in found
    assert os.fspath(ROOT / "chapters" / "intro.md") in map(os.fspath, execute_chapters.chapters())
