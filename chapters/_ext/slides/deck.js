// Starts a deck: draws its formulas, makes each slide fit, and gives the speaker's notes formulas that any window draws.
"use strict";

const LARGEST = 33, SMALLEST = 22, SMALLEST_FORMULA = 0.66;

// MathML needs no style sheet, and the window of the speaker has none.
function notesAsMathML() {
  for (const node of document.querySelectorAll("aside.notes .math")) {
    const tex = node.textContent.trim(), display = tex.startsWith("\\[");
    node.innerHTML = MathJax.tex2mml(tex.slice(2, -2), {display});
  }
}

function tooLarge(body) {
  const room = body.getBoundingClientRect(), one = room.width / body.offsetWidth;
  const parts = body.querySelectorAll("p, li, pre, table, output, .statement, mjx-container[display]");
  return [...parts].some(node => {
    const box = node.getBoundingClientRect();
    return box.bottom > room.bottom + one || box.right > room.right + one;
  });
}

// A long formula becomes smaller by itself; then the text, until everything has its place.
function fit(slide) {
  const body = slide.querySelector(".body");
  if (!body || slide.dataset.fitted) return;
  for (const formula of body.querySelectorAll(".equation")) {
    const drawn = formula.querySelector("mjx-container");
    const tooWide = () => drawn.getBoundingClientRect().width > formula.getBoundingClientRect().width + 1;
    for (let size = 1.1; size > SMALLEST_FORMULA && tooWide(); size -= 0.03) formula.style.fontSize = `${size}em`;
  }
  for (let size = LARGEST; size >= SMALLEST; size -= 1) {
    slide.style.fontSize = `${size}px`;
    if (!tooLarge(body)) break;
  }
  slide.dataset.fitted = "yes";
}

async function start() {
  await MathJax.startup.promise;
  notesAsMathML();
  await MathJax.typesetPromise([...document.querySelectorAll(".page")]);
  await document.fonts.ready;
  const deck = new Reveal({
    width: 1280, height: 720, margin: 0, center: false, hash: true, slideNumber: "c/t", transition: "none",
    controlsLayout: "edges", scrollActivationWidth: null, plugins: [RevealNotes],
  });
  deck.on("slidechanged", event => fit(event.currentSlide));
  await deck.initialize();
  if (deck.isPrintView()) document.querySelectorAll(".slides section").forEach(fit);
  else fit(deck.getCurrentSlide());
  window.deck = deck;
  document.documentElement.dataset.ready = "yes";
}

start();
