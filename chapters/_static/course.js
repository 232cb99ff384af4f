// Small corrections of the theme; loaded on every page, so keep it short.
(function () {
  "use strict";

  // A page opened from a folder may not read other files, so the search shows titles without excerpts there.
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }

  // What is wider than the text scrolls in its own box, which must be reachable by keyboard and have a name.
  const BOXES = { "div.math": "equation", "span.math": "formula", "table": "table", ".output": "output", "figure": "figure" };
  function markBoxes() {
    for (const formula of document.querySelectorAll("span.math")) {
      const block = formula.closest("p, li, td, dd, figcaption, h1, h2, h3, h4, summary");
      const inner = formula.querySelector("mjx-container");
      formula.classList.toggle("wide", Boolean(block && inner && inner.offsetWidth > block.clientWidth));
    }
    const wanted = "div.math, span.math.wide, .pst-scrollable-table-container, div.cell_output .output, figure";
    for (const box of document.querySelectorAll(wanted)) {
      if (box.scrollWidth <= box.clientWidth + 1 || getComputedStyle(box).overflowX === "visible") continue;
      const kind = Object.keys(BOXES).find((selector) => box.matches(selector) || box.querySelector(selector));
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", `${BOXES[kind]}, scrolls sideways`);
    }
  }

  // Names that a screen reader says: the words that are shown, not a second set.
  document.addEventListener("DOMContentLoaded", () => {
    for (const summary of document.querySelectorAll("details.hide > summary")) summary.removeAttribute("aria-label");
    for (const summary of document.querySelectorAll(".bd-sidebar .has-children > details > summary")) {
      const link = summary.closest(".has-children").querySelector("a");
      summary.setAttribute("aria-label", `Sections of ${link.textContent.trim()}`);
    }
    for (const entry of document.querySelectorAll(".citation-list > [role=doc-biblioentry]")) {
      entry.setAttribute("role", "listitem"); // the old role is deprecated, and its list would be empty
    }
  });

  // On paper nothing can be opened: print the folded cells and solutions, then fold them again.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const box of opened) box.open = true;
    for (const image of document.images) image.loading = "eager";
  });
  window.addEventListener("afterprint", () => opened.forEach((box) => (box.open = false)));

  window.addEventListener("load", () => {
    const formulas = window.MathJax && MathJax.startup ? MathJax.startup.promise : Promise.resolve();
    formulas.then(markBoxes);
    window.addEventListener("resize", markBoxes);
  });
})();
