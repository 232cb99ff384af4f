"""One visit of a page with a browser, and the questions asked of it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from site_files import SITE

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
KINDS = {".js", ".css", ".woff", ".woff2", ".ttf"}  # scripts, styles, fonts

FORMULAS = """() => {
  const faults = [];
  for (const node of document.querySelectorAll('.math')) {
    const drawn = node.closest('.highlight') || node.querySelector('mjx-container');
    if (!drawn) faults.push('raw: ' + node.textContent.slice(0, 80));
  }
  for (const node of document.querySelectorAll('mjx-merror, [data-mjx-error]')) {
    faults.push('error: ' + (node.getAttribute('data-mjx-error') || node.textContent));
  }
  const walker = document.createTreeWalker(document.querySelector('article') || document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    const shown = !text.parentElement.closest('pre, code, script, style, mjx-container, .math');
    const source = /\\\\[([]|\\$\\$|\\\\begin\\{|\\\\frac/.test(text.data);
    if (shown && source) faults.push('text: ' + text.data.trim().slice(0, 80));
  }
  return faults;
}"""

IMAGES = """() => [...document.images].flatMap(image => {
  const name = (image.currentSrc || image.src).slice(0, 100), faults = [];
  if (!image.complete || !image.naturalWidth) faults.push('not loaded: ' + name);
  if (!(image.getAttribute('alt') || '').trim()) faults.push('no alt text: ' + name);
  return faults;
})"""

# What a reader sees and hears of one slider: the pictures shown and the text announced.
SLIDER = """input => {
  const box = input.closest('figure, [role=group], .cell_output, .widget-container') || input.parentElement;
  const shown = [...box.querySelectorAll('img, canvas, svg')].filter(node => node.checkVisibility());
  const live = [...box.querySelectorAll('output, [aria-live]')].map(node => node.textContent.trim()).join(' ');
  return {pictures: shown.map(node => node.currentSrc || node.outerHTML).join('|'), count: shown.length,
          alts: shown.map(node => node.alt || node.getAttribute('aria-label') || '').join('|'), live: live,
          named: Boolean(input.labels && input.labels.length || input.getAttribute('aria-label'))};
}"""

OVERFLOW = """() => {
  const width = document.documentElement.clientWidth, faults = [];
  const page = document.scrollingElement;
  if (page.scrollWidth > width) faults.push(`the page scrolls sideways: ${page.scrollWidth} > ${width}`);
  for (const node of document.querySelectorAll('article *, footer *')) {
    const box = node.getBoundingClientRect();
    if (!box.width || box.right <= width + 1 || node.closest('mjx-assistive-mml, .visually-hidden, .sr-only')) continue;
    let parent = node;
    while (parent && !['auto', 'scroll'].includes(getComputedStyle(parent).overflowX)) parent = parent.parentElement;
    if (!parent || parent.matches('html, body, .bd-main, .bd-content'))
      faults.push(`${node.tagName}.${node.className} ends at ${Math.round(box.right)}`);
  }
  return faults.slice(0, 8);
}"""


class Visit:
    """A page that was opened, with everything it asked for."""

    def __init__(self, context, base, name):
        self.name, self.base = name, base
        self.faults, self.requests = [], []
        self.page = context.new_page()
        self.page.on("console", lambda m: self.faults.append(f"console: {m.text}") if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda r: self.faults.append(f"failed: {r.url} {r.failure}"))
        self.page.on("response", lambda r: self.faults.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        self.page.goto(f"{base}/{name}", wait_until="load")
        self.settle()
        self.first_view = set(self.requests)
        self.page.evaluate(
            """async () => {
              for (const image of document.images) image.loading = 'eager';
              await Promise.all([...document.images].filter(i => !i.complete).map(i => new Promise(done => {
                i.onload = i.onerror = done;
              })));
              for (const place of [document.body.scrollHeight, 0]) {
                window.scrollTo({top: place, behavior: 'instant'});
                await new Promise(requestAnimationFrame);
              }
            }"""
        )

    def settle(self):
        """Wait until formulas are drawn and fonts are there."""
        self.page.evaluate("() => window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => null) : null")
        self.page.evaluate("() => document.fonts.ready.then(() => null)")

    def elsewhere(self):
        """Requests that left the site."""
        return [u for u in self.requests if not u.startswith((self.base + "/", "data:", "blob:", "about:"))]

    def files(self, urls):
        """Files of the site behind addresses, once each."""
        local = {unquote(urlsplit(u.removeprefix(self.base)).path).lstrip("/") for u in urls if u.startswith(self.base)}
        return {name for name in local if (SITE / name).is_file()}

    def own_bytes(self, urls):
        """Bytes of what is not shared by all pages."""
        return sum((SITE / name).stat().st_size for name in self.files(urls) if not is_shared(name))


def is_shared(name):
    """Tell the theme's and MathJax's scripts, styles and fonts, and the search index; not the widget manager."""
    path = Path(name)
    ours = path.parts[0] == "_static" or path.parts[:2] == ("vendor", "mathjax") or name == "searchindex.js"
    return ours and path.suffix in KINDS


def slider_faults(page):
    """Sliders whose picture or announced text stays when the right arrow is pressed."""
    faults = []
    sliders = page.locator("input[type=range], [role=slider]:not(input)")
    for k in range(sliders.count()):
        slider = sliders.nth(k)
        if slider.is_disabled() or not slider.is_visible():
            faults.append(f"slider {k}: not usable")
            continue
        before = slider.evaluate(SLIDER)
        slider.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(50)
        after = slider.evaluate(SLIDER)
        still = [part for part in ("pictures", "alts", "live") if before[part] == after[part]]
        faults += [f"slider {k}: the {part} did not follow" for part in still]
        if not before["named"]:
            faults.append(f"slider {k}: no label")
        if not after["alts"].strip("| ") or not after["count"]:
            faults.append(f"slider {k}: no picture with an alt text")
    return faults
