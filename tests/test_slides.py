"""Slides from executed notebooks: the rules, on a small notebook."""

import base64
import io
import re
import sys

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from site_files import ROOT

sys.path.insert(0, str(ROOT / "chapters" / "_ext"))
from deck_files import LEAKS
from slides.blocks import notebook_blocks
from slides.compose import compose
from slides.render import deck_html, in_lines, plain_text
from slides.sentences import first, last, sentences

OPENING = """# Fit a thing

**What you will do.** Fit a thing, and see it fail.

> **Learning objectives**
>
> - Derive the thing
>   over two lines.
> - Run it.
"""
BODY = """## A claim holds

The first sentence, see e.g. Fig. 2 of Karras et al. (2022). The second leads to $a < b$ and

$$
a = b, \\tag{1.1}
$$

where $b$ is given. It explains more. By hand:
"""
LATER = """**What to see.** In *Fig. 1.1* the line rises. It rises again.

> **Theorem No way**
>
> There is none.

> **Proof**
>
> Obvious.
"""
WORDS = " ".join(["Long words fill this bullet."] * 9)
CLOSING = f"""## Limits: where it breaks down

- {WORDS}
- {WORDS}
- {WORDS}

## Nothing to show

A paragraph on its own. With a second sentence.

## Check yourself

**1.** Is it so?

> **Answer**
>
> It is not.

## Exercises

> **Exercise Derive it**
>
> (10 minutes, derive) Derive it.

**Solution.**

SECRET solution.

## Summary

- Done.

## What's next

Another thing.

## References
"""


def png(width, height):
    """A picture in base64."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def figure_cell(data, name="fig-a", number="1.1"):
    """A cell that shows a figure, as the site publishes it."""
    figure = {"name": name, "caption": "A line against $x$.", "number": number}
    metadata = {"mystnb": {"figure": figure, "image": {"alt": "A line that rises."}}}
    return new_code_cell("SECRET code", metadata=metadata, outputs=[new_output("display_data", data=data)])


def chapter(*extra):
    """A small chapter as a notebook."""
    printed = new_output("stream", name="stdout", text="error 0.01\n")
    cells = [
        new_markdown_cell(OPENING),
        new_markdown_cell(BODY),
        new_code_cell("SECRET = 1", outputs=[printed]),
        figure_cell({"image/png": png(200, 100)}),
        new_markdown_cell(LATER),
        *extra,
        new_markdown_cell(CLOSING),
    ]
    return new_notebook(cells=cells)


def slides_of(notebook):
    return compose(notebook_blocks(notebook))[1]


def part(slide, kind):
    """The content of one kind on a slide."""
    return next((content for name, content in slide.parts if name == kind), None)


def titled(slides, title):
    return [slide for slide in slides if slide.title == title]


def test_a_deck_opens_with_promise_and_objectives():
    opening, objectives = slides_of(chapter())[:2]
    assert opening.title == "Fit a thing"
    assert part(opening, "text") == "Fit a thing, and see it fail."
    assert [" ".join(item.split()) for item in part(objectives, "list")] == [
        "Derive the thing over two lines.",
        "Run it.",
    ]


def test_a_numbered_formula_stands_between_its_sentences():
    slide = titled(slides_of(chapter()), "A claim holds")[0]
    assert [kind for kind, _ in slide.parts] == ["text", "math", "text"]
    assert slide.parts[0][1].endswith("leads to $a < b$ and")
    assert slide.parts[1][1] == "a = b, \\tag{1.1}"
    assert slide.parts[2][1] == "where $b$ is given. It explains more."  # "By hand:" announces a cell


def test_a_figure_has_its_caption_its_description_and_what_to_see():
    slide = next(slide for slide in slides_of(chapter()) if part(slide, "figure"))
    assert part(slide, "caption") == "A line against $x$."
    assert part(slide, "see") == "In *Fig. 1.1* the line rises. It rises again."
    html = deck_html("t", [slide], book="b", license_line="l")
    assert 'alt="A line that rises."' in html
    assert "<b>Fig. 1.1.</b> A line against" in html


def test_a_theorem_is_stated_and_its_proof_is_spoken():
    slide = next(slide for slide in slides_of(chapter()) if part(slide, "statement"))
    assert part(slide, "statement") == "**Theorem: No way.** There is none."
    assert "Obvious." in " ".join(slide.notes)


def test_a_long_list_is_divided_evenly():
    portions = [part(slide, "list") for slide in titled(slides_of(chapter()), "Limits: where it breaks down")]
    assert [len(items) for items in portions] == [2, 1]
    assert all(len(item) < 300 for items in portions for item in items)


def test_a_section_without_anything_to_show_gives_one_slide():
    (slide,) = titled(slides_of(chapter()), "Nothing to show")
    assert slide.parts == [("text", "A paragraph on its own. With a second sentence.")]


def test_questions_are_asked_and_their_answers_spoken():
    (slide,) = titled(slides_of(chapter()), "Check yourself")
    assert part(slide, "list") == ["**1.** Is it so?"]
    assert slide.notes == ["**1.** Is it so?", "It is not."]


def test_exercises_are_named_and_never_solved():
    (slide,) = titled(slides_of(chapter()), "Exercises")
    assert part(slide, "list") == ["**Derive it** (10 minutes, derive)"]
    assert "SECRET" not in deck_html("t", slides_of(chapter()), book="b", license_line="l")


def test_the_summary_comes_last_and_says_what_is_next():
    slide = slides_of(chapter())[-1]
    assert slide.parts == [("list", ["Done."]), ("next", "Another thing.")]


def test_every_paragraph_is_spoken_once():
    spoken = [note for slide in slides_of(chapter()) for note in slide.notes]
    blocks = notebook_blocks(chapter())
    texts = [block.text for block in blocks if block.kind == "text" and not block.text.startswith(("**Sol", "SECRET"))]
    assert [text for text in texts if spoken.count(text) != 1] == []
    assert all(slide.notes for slide in slides_of(chapter()))


@pytest.mark.parametrize(("rows", "columns", "shown"), [(5, 4, True), (30, 4, False), (5, 9, False)])
def test_a_table_too_large_to_read_is_left_out(rows, columns, shown):
    row = "|" + " a |" * columns
    text = "\n".join([row, "|" + "---|" * columns, *[row] * rows])
    cell = new_code_cell("", outputs=[new_output("display_data", data={"text/markdown": text})])
    found = [slide for slide in slides_of(chapter(cell)) if part(slide, "table")]
    assert bool(found) == shown


def test_a_quiz_does_not_tell_its_answers():
    cell = figure_cell({"text/html": '<div class="course-quiz"></div>'}, "fig-b", "1.2")
    slides = slides_of(chapter(cell, new_markdown_cell("**What to see.** It is *Fig. 1.2*, the second.")))
    slide = next(slide for slide in slides if "html" in (part(slide, "figure") or {}))
    assert part(slide, "see") is None
    assert "the second" in " ".join(slide.notes)


def test_printed_lines_stand_where_nothing_else_does():
    printed = new_output("stream", name="stdout", text="error 0.02\n")
    cells = [
        new_markdown_cell("## Numbers only\n\nWe count."),
        new_code_cell("1", outputs=[printed]),
        new_markdown_cell("**What to see.** Small."),
    ]
    (slide,) = titled(slides_of(chapter(*cells)), "Numbers only")
    assert slide.parts == [("text", "Small."), ("printed", "error 0.02")]


def test_sentences_end_where_readers_pause():
    text = "See e.g. Fig. 2 by Karras et al. (2022). It holds for $a. B$ and `c. D`. *So* it is.\nIs it? Yes."
    assert sentences(text) == [
        "See e.g. Fig. 2 by Karras et al. (2022).",
        "It holds for $a. B$ and `c. D`.",
        "*So* it is.",
        "Is it?",
        "Yes.",
    ]
    assert first(text, 75) == "See e.g. Fig. 2 by Karras et al. (2022). It holds for $a. B$ and `c. D`."
    assert last(text, 12) == "Is it? Yes."
    assert first("One sentence that is too long.", 3) == "One sentence that is too long."


def test_a_long_formula_is_broken_between_its_parts():
    parts = [" + ".join("abcdefghijklmn"), " - ".join("abcdefghijklmn")]
    broken = in_lines(r" \qquad ".join(parts) + r" \tag{1.2}")
    assert broken == rf"\begin{{gathered}}{parts[0]} \\[8pt] {parts[1]}\end{{gathered}} \tag{{1.2}}"
    assert in_lines(r"a \qquad b \tag{1.2}") == r"a \qquad b \tag{1.2}"


def test_a_page_holds_formulas_for_mathjax_and_no_markup():
    title, slides = compose(notebook_blocks(chapter()))
    html = deck_html(title, slides, book="b", license_line="l")
    assert r'<span class="math">\(a &lt; b\)</span>' in html
    shown = re.sub(r"<(span|div) class=\"math\">.*?</\1>|<style.*?</style>|<script.*?</script>", "", html, flags=re.S)
    assert not re.search(LEAKS, re.sub(r"<[^>]+>", "", shown), re.M)
    assert plain_text("A **bold** $x$") == "A bold x"
