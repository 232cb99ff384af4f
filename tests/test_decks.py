"""Every built deck of slides, looked at in a real browser. Build them first, with `make slides`."""

import re
import sys

import nbformat
import pytest
from deck_files import BUILT, DECKS, LEAKS
from site_browser import FLAGS, IMAGES
from site_files import ROOT, find_browser

sys.path.insert(0, str(ROOT / "chapters" / "_ext"))
from slides.blocks import notebook_blocks
from slides.compose import compose


@pytest.fixture(scope="module")
def browser():
    """A browser, where there is one."""
    if not find_browser():
        pytest.skip("no Chromium found: apt install chromium, or set CHROMIUM to its path")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        yield browser
        browser.close()


# Parts of the slide shown that leave it or lie on each other, its smallest text, and what its notes say.
LOOK = """() => {
  const slide = deck.getCurrentSlide(), faults = [], room = slide.getBoundingClientRect();
  const box = node => node.getBoundingClientRect();
  for (const node of slide.querySelectorAll('.page p, .page li, .page pre, .page table, .page img, .page h1,' +
      '.page h2, .page output, .page button, .page mjx-container, .page input')) {
    if (!node.checkVisibility()) continue;
    const at = box(node), body = node.closest('.body');
    const end = body ? Math.min(box(body).bottom, room.bottom) : room.bottom;
    if (at.left < room.left - 1 || at.right > room.right + 1 || at.top < room.top - 1 || at.bottom > end + 2)
      faults.push(`${node.tagName} "${node.textContent.slice(0, 30)}" leaves the slide`);
    if (node.scrollWidth > node.clientWidth + 2 && node.matches('pre')) faults.push('PRE is cut off');
  }
  const [main, side] = ['.main', '.side'].map(name => slide.querySelector(name));
  if (side) {
    const a = [...main.querySelectorAll('img, button, output')].filter(n => n.checkVisibility()), b = box(side);
    for (const node of a) if (box(node).bottom > b.top + 2 && box(node).right > b.left + 2)
      faults.push(`${node.tagName} lies on the text`);
  }
  const walker = document.createTreeWalker(slide.querySelector('.page'), NodeFilter.SHOW_TEXT), sizes = [];
  let words = '';
  while (walker.nextNode()) {
    const text = walker.currentNode, parent = text.parentElement;
    if (!text.data.trim() || parent.closest('script, style, mjx-container') || !parent.checkVisibility()) continue;
    sizes.push(parseFloat(getComputedStyle(parent).fontSize));
    if (!parent.closest('pre, code')) words += text.data + '\\n';
  }
  for (const node of slide.querySelectorAll('.equation mjx-container'))
    sizes.push(parseFloat(getComputedStyle(node).fontSize));
  const notes = slide.querySelector('aside.notes');
  return {faults, words, smallest: Math.min(...sizes), notes: notes.innerText.trim() || notes.textContent.trim(),
          raw: notes.textContent, body: slide.querySelector('.body').textContent.trim() ||
          slide.querySelector('.body img') ? 'full' : ''};
}"""


@pytest.fixture(scope="module", params=BUILT or [""])
def deck(request, browser):
    """One deck, every slide looked at once."""
    if not request.param:
        pytest.skip(f"no decks in {DECKS}: build them with `make slides`")
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page, asked, errors = context.new_page(), [], []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda r: errors.append(f"failed: {r.url}"))
    page.goto((DECKS / f"{request.param}.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.ready", timeout=120_000)
    looks = []
    for k in range(page.evaluate("deck.getTotalSlides()")):
        page.evaluate("k => deck.slide(k)", k)
        page.wait_for_function("deck.getCurrentSlide().dataset.fitted")
        looks.append(page.evaluate(LOOK))
    yield page, looks, asked, errors
    context.close()


def test_deck_opens_from_a_file_and_asks_nobody_else(deck):
    _, _, asked, errors = deck
    assert errors == []
    assert [url for url in asked if not url.startswith((DECKS.as_uri() + "/", "data:"))] == []


def test_slides_hold_what_they_show(deck):
    _, looks, _, _ = deck
    assert [(k + 1, look["faults"]) for k, look in enumerate(looks) if look["faults"]] == []
    assert [k + 1 for k, look in enumerate(looks) if not look["body"]] == []


def test_slides_can_be_read_from_a_distance(deck):
    _, looks, _, _ = deck
    assert [(k + 1, look["smallest"]) for k, look in enumerate(looks) if look["smallest"] < 18] == []


def test_slides_show_no_markup(deck):
    page, looks, _, _ = deck
    found = [(k + 1, m[0]) for k, look in enumerate(looks) if (m := re.search(LEAKS, look["words"], re.M))]
    assert found == []
    assert page.evaluate("document.querySelectorAll('mjx-merror, [data-mjx-error], aside merror').length") == 0


def test_slides_have_notes_with_drawn_formulas(deck):
    page, looks, _, _ = deck
    assert [k + 1 for k, look in enumerate(looks) if len(look["notes"]) < 5] == []
    assert [k + 1 for k, look in enumerate(looks) if re.search(r"\\\(|\\\[|\$", look["raw"])] == []
    assert page.evaluate("document.querySelectorAll('aside.notes .math:not(:has(math))').length") == 0


def test_pictures_of_slides_are_described(deck):
    assert deck[0].evaluate(IMAGES) == []


def test_speaker_window_shows_the_notes(deck):
    page, looks, _, _ = deck
    page.evaluate("deck.slide(2)")
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    notes = popup.value.locator(".speaker-controls-notes .value")
    notes.get_by_text(re.compile(r"\S")).first.wait_for()
    assert "".join(notes.text_content().split()) == "".join(looks[2]["raw"].split())
    popup.value.close()


@pytest.mark.parametrize("name", BUILT)
def test_each_figure_of_a_chapter_is_on_one_slide(name):
    notebook = nbformat.read(ROOT / "_build" / "html" / "chapters" / f"{name}.ipynb", 4)
    named = [
        c.metadata["mystnb"]["figure"]["caption"] for c in notebook.cells if "figure" in c.metadata.get("mystnb", {})
    ]
    shown = [dict(s.parts)["caption"] for s in compose(notebook_blocks(notebook))[1] if "figure" in dict(s.parts)]
    assert shown == [" ".join(caption.split()) for caption in named]
    assert (DECKS / f"{name}.html").read_text(encoding="utf8").count('class="picture"') == len(named)


def test_list_of_decks_names_each():
    if not BUILT:
        pytest.skip(f"no decks in {DECKS}: build them with `make slides`")
    links = re.findall(r'href="([^":]+\.html)"', (DECKS / "index.html").read_text(encoding="utf8"))
    assert sorted(links) == [f"{name}.html" for name in BUILT]
    assert len(links) == len(list((ROOT / "chapters").glob("[0-9][0-9]_*.md")))
