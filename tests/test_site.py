"""Every promise of the built site, checked in a real browser. Build the site first, with `make book`."""

import os
import re
import zipfile

import nbformat
import pytest
import site_browser
from site_browser import FORMULAS, IMAGES, OVERFLOW, Visit, is_shared, slider_faults
from site_files import SITE, axe_script, broken_links, find_browser, pages, read, serve

IN_CI = bool(os.environ.get("CI"))
PUBLISHED = (SITE / "sitemap.xml").exists()  # built with a public address, to which the page 404 then refers
APART = {"index.html"} | ({"404.html"} if PUBLISHED else set())
PAGES = [page for page in pages() if page not in APART] if (SITE / "index.html").exists() else []
LISTINGS = [page for page in PAGES if page.startswith("_modules/")]
# Source listings are one template: the shortest and the longest stand for the others where a check takes long.
BY_SIZE = sorted(LISTINGS, key=lambda page: (SITE / page).stat().st_size)
SOME = sorted(set(PAGES) - set(LISTINGS)) + sorted({*BY_SIZE[:1], *BY_SIZE[-1:]})
DOCUMENTS = [page for page in PAGES if page.startswith("chapters/")]
VIEWPORT, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
MB = 1_000_000
# Violations that the theme makes: (rule, part of the element, why it is not ours).
THEME = [
    ("label-content-name-mismatch", "search-button-field", "its name, Search, leaves out the shortcut shown, Ctrl K"),
    ("label-content-name-mismatch", "theme-switch-button", "its name, Color mode, leaves out its icons' names"),
]


def missing():
    """What these tests lack on this machine."""
    if not PAGES:
        return f"no site in {SITE}: build it with `make book`"
    if not find_browser():
        return "no Chromium found: apt install chromium, or set CHROMIUM to its path"
    return ""


@pytest.fixture(scope="session", autouse=True)
def needs():
    """Skip without a site or a browser; in continuous integration that is a failure."""
    if reason := missing():
        (pytest.fail if IN_CI else pytest.skip)(reason)


@pytest.fixture(scope="session")
def browser(needs):
    """One browser for all tests of a process."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=site_browser.FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def bases(needs):
    """Addresses of the site by scheme."""
    server, address = serve()
    yield {"http": address, "file": SITE.as_uri()}
    server.shutdown()


@pytest.fixture(scope="session")
def context(browser):
    """A window of a laptop's size that prefers light pages."""
    context = browser.new_context(viewport=VIEWPORT, color_scheme="light")
    context.set_default_timeout(60_000)
    yield context
    context.close()


# First those of SERVED: pytest groups tests by the place of a parameter, so that one visit serves all of its tests.
SERVED = [f"http:{page}" for page in SOME or [""]]
VISITS = SERVED + [v for page in PAGES for v in (f"http:{page}", f"file:{page}") if v not in SERVED]
a_few = pytest.mark.parametrize("visit", SERVED, indirect=True)  # what does not depend on the scheme


@pytest.fixture(scope="module", params=VISITS)
def visit(request, context, bases):
    """One page, opened once for the tests below that take it."""
    scheme, name = request.param.split(":", 1)
    visit = Visit(context, bases[scheme], name)
    yield visit
    visit.page.close()


def test_nothing_fails_and_nothing_comes_from_elsewhere(visit):
    assert visit.faults == []
    assert visit.elsewhere() == []


def test_formulas_are_drawn(visit):
    assert visit.page.evaluate(FORMULAS) == []


def test_images_are_loaded_and_described(visit):
    assert visit.page.evaluate(IMAGES) == []


def test_page_is_light(visit):
    first, whole = visit.own_bytes(visit.first_view), visit.own_bytes(visit.requests)
    assert first <= 1 * MB, f"first view {first / MB:.2f} MB"
    assert whole <= 3 * MB, f"page {whole / MB:.2f} MB"


def test_sliders_move_their_picture_by_keyboard(visit):
    assert slider_faults(visit.page) == []


@pytest.mark.parametrize("number", ["01", "02", "03", "04", "07", "08"])
def test_chapter_moves_without_a_kernel(number):
    texts = [(SITE / page).read_text(encoding="utf8") for page in DOCUMENTS if page.startswith(f"chapters/{number}_")]
    assert any('type="range"' in text for text in texts)


@a_few
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, scheme):
    page = visit.page
    page.add_style_tag(content="* { transition: none !important }")  # colours would fade
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=scheme)
    if not page.evaluate("() => Boolean(window.axe)"):
        page.add_script_tag(path=str(axe_script()))
    # A dark page is the light one in other colours, and only rules on colours can judge it otherwise.
    colours = {"runOnly": ["color-contrast", "link-in-text-block"]} if scheme == "dark" else {}
    options = {"resultTypes": ["violations"], **colours}
    found = page.evaluate("options => axe.run(document, options).then(r => r.violations)", options)
    ours = [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not any(rule["id"] == name and part in node["html"] for name, part, _ in THEME)
    ]
    assert ours == []


@a_few
def test_a_phone_scrolls_the_page_only_downwards(visit):
    visit.page.set_viewport_size(PHONE)
    visit.page.wait_for_timeout(100)
    assert visit.page.evaluate(OVERFLOW) == []
    visit.page.set_viewport_size(VIEWPORT)


@a_few
def test_print_hides_the_frame_and_opens_what_is_folded(visit):
    page = visit.page
    page.emulate_media(media="print")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    frame = page.locator(".bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, input[type=range]")
    assert frame.filter(visible=True).count() == 0
    assert page.locator("details:not([open])").count() == 0
    if visit.name in DOCUMENTS:
        assert page.locator("h1").filter(visible=True).count() == 1
    folded = page.locator(".bd-article .toggle-hidden *:not(button, button *)")
    assert folded.evaluate_all("all => all.filter(n => n.matches('p, pre') && !n.checkVisibility()).length") == 0
    page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")


GOOD = "const m = this.parentNode.querySelector('img'); m.src = m.src.replace('%23000', '%23fff'); m.alt = 'white'; "
SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9' fill='%23000'><rect width='9' height='9'/></svg>"


@pytest.mark.parametrize(
    ("script", "faults"),
    [
        (GOOD + "this.parentNode.querySelector('output').value = 'white'", 0),
        (GOOD, 1),  # nothing is announced
        ("throw new Error('broken'); " + GOOD, 3),
        ("", 3),
    ],
)
def test_slider_check_can_fail(context, script, faults):
    page = context.new_page()
    slider = f'<input type="range" max="3" value="0" aria-label="shade" oninput="{script}">'
    image = f'<img src="data:image/svg+xml,{SVG}" alt="black"> <output>black</output>'
    page.set_content(f"<figure>{slider}{image}</figure>")
    assert len(slider_faults(page)) == faults
    page.close()


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_first_address_leads_to_the_first_chapter(context, bases, scheme):
    page = context.new_page()
    page.goto(f"{bases[scheme]}/index.html")
    page.wait_for_url("**/chapters/intro.html")
    page.close()


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_search_finds_the_log_determinant(context, bases, scheme):
    visit = Visit(context, bases[scheme], "search.html?q=log-determinant")
    results = visit.page.locator("#search-results li a")
    results.first.wait_for()
    visit.page.wait_for_timeout(500)
    assert any("linearized" in (link or "") for link in results.evaluate_all("all => all.map(a => a.href)"))
    assert visit.faults == []
    visit.page.close()


@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors_resolve(page):
    assert broken_links(page) == []


@pytest.mark.parametrize("page", DOCUMENTS)
def test_widget_manager_is_loaded_only_where_a_widget_is_embedded(page):
    text = (SITE / page).read_text(encoding="utf8")
    embeds = "application/vnd.jupyter.widget-view+json" in text
    assert ("embed-amd.js" in text) == embeds
    assert ("require.js" in text) == embeds


@pytest.mark.parametrize("page", DOCUMENTS)
def test_tables_are_drawn_as_tables(page):
    """A cell that returns Markdown and is not told so shows its bars and dashes as a paragraph."""
    assert not re.search(r"<p>[^<]*\|\s*(—|---)\s*\|", (SITE / page).read_text(encoding="utf8"))


@pytest.mark.parametrize("page", DOCUMENTS)
def test_page_describes_itself(page):
    assert 20 <= len(read(SITE / page).metas.get("description") or "") <= 205


def executed():
    """Pages made by a notebook."""
    sources = {page: (SITE / "_sources" / page).with_suffix(".md") for page in DOCUMENTS}
    return [page for page, source in sources.items() if "kernelspec" in source.read_text(encoding="utf8")[:500]]


@pytest.mark.parametrize("page", executed())
def test_executed_notebook_lies_beside_its_page(page):
    path = (SITE / page).with_suffix(".ipynb")
    notebook = nbformat.read(path, 4)
    assert path.name in read(SITE / page).links
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs
    # A cell whose last line returns an array would print it over pages.
    dumps = [output.data.get("text/plain", "") for output in outputs if output.output_type == "execute_result"]
    assert max(map(len, dumps), default=0) < 1000
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "{glue" not in text
    assert "```{" not in text


@pytest.mark.parametrize(
    "pattern",
    [
        r'caption-number">(Fig)\. (\d+)\.(\d+)',
        r'eqno">(\()(\d+)\.(\d+)\)',
        r'caption-number">(Exercise|Theorem) (\d+)\.(\d+)',
    ],
    ids=["figures", "equations", "exercises and theorems"],
)
def test_numbers_run_from_one_in_each_chapter(pattern):
    numbers = {}
    for page in DOCUMENTS:
        for kind, chapter, number in re.findall(pattern, (SITE / page).read_text(encoding="utf8")):
            numbers.setdefault((kind, int(chapter)), []).append(int(number))
            assert page.startswith((f"chapters/{int(chapter):02d}_", "chapters/appendix"))
    assert numbers
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in numbers.values()), numbers


def test_zip_holds_the_site():
    with zipfile.ZipFile(SITE.parent / "site.zip") as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert names == {path.relative_to(SITE).as_posix() for path in SITE.rglob("*") if path.is_file()}


def test_shared_files_are_listed_once(context, bases, record_property):
    visit = Visit(context, bases["http"], DOCUMENTS[0])
    shared = sorted(name for name in visit.files(visit.requests) if is_shared(name))
    sizes = {name: (SITE / name).stat().st_size for name in shared}
    visit.page.close()
    record_property("shared", sizes)  # printed at the end by conftest.py
    assert sum(sizes.values()) <= 6 * MB


def test_public_address_shows_nowhere_unless_it_is_set():
    texts = {page: (SITE / page).read_text(encoding="utf8") for page in DOCUMENTS}
    for page, text in texts.items():
        for part in ('rel="canonical"', "og:url", "/issues/new"):
            assert (part in text) == PUBLISHED, (page, part)
    for page in executed():
        assert ("colab.research.google.com" in texts[page]) == PUBLISHED
        notebook = nbformat.read((SITE / page).with_suffix(".ipynb"), 4)
        assert ("git" in notebook.cells[0].source) == PUBLISHED


def test_the_site_holds_no_solution_and_no_hidden_test_of_an_assignment():
    from assignment_secrets import pages_that_tell  # needs nbgrader, which the other tests of the site do not

    assert pages_that_tell(SITE) == []
