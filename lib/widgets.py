"""Interactive figures that need no kernel: a slider over frames drawn beforehand, and a quiz on pictures.

Both are plain HTML with the pictures inside. They work in a saved page, without a network too, and in JupyterLab; by
keyboard; with a screen reader, since the words change with the picture; and on paper, where the frame last chosen is
printed. Without JavaScript the first frame, or the list of answers, is what remains.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from lib.frames import Widget, finished, identifier, picture, spoken, words

# A white card with dark words, in light and dark pages alike: the pictures are drawn on white.
_STYLE = """<style>
.course-widget{background:#fff;color:#111;padding:.5rem;border-radius:.25rem;max-width:100%;text-align:left}
.course-widget img{display:block;max-width:100%;height:auto;margin:.25rem 0;padding:0!important;background:#fff}
.course-widget [hidden]{display:none!important}
.course-widget :focus-visible{outline:3px solid #0072B2;outline-offset:2px}
.course-widget output,.course-widget p{display:block;margin:.25rem 0;font-size:.9em;line-height:1.4}
.course-control{display:flex;flex-wrap:wrap;gap:.25rem .75rem;align-items:center}
.course-control label{font-weight:600}
.course-control input{flex:1 1 12rem;min-width:0;height:1.75rem;margin:0;accent-color:#0072B2}
.course-cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,8.5rem),1fr));gap:.75rem}
.course-widget button{font:inherit;color:#111;background:#eee;border:1px solid #555;border-radius:.25rem}
.course-widget button{padding:.2rem .6rem;min-height:1.75rem;margin:.15rem .1rem;cursor:pointer}
.course-widget button[aria-pressed=true]{background:#0072B2;color:#fff}
@media print{.course-widget input,.course-widget button{display:none}.course-widget{break-inside:avoid}}
</style>"""

# Each handler finds its own widget from the element that was used, so copies of the page's elements work too.
_SLIDE = """(e=>{const w=e.closest('.course-slider');if(!w)return;
const f=[...w.querySelectorAll('img')],m=f[e.value],o=w.querySelector('output');if(!m)return;
f.forEach(g=>{g.hidden=g!==m});e.setAttribute('aria-valuetext',m.dataset.value);
if(o)o.textContent=m.dataset.value+': '+m.alt})(this)"""

_GUESS = """(b=>{const w=b.closest('.course-quiz'),c=b.closest('[data-answer]');if(!w||!c)return;
if(!c.dataset.guess){c.dataset.guess=b.value;b.setAttribute('aria-pressed','true')}
const s=[...w.querySelectorAll('[data-guess]')],ok=d=>d.dataset.guess===d.dataset.answer,a=c.querySelector('p'),
o=w.querySelector('output');a.hidden=false;if(o)o.textContent=c.dataset.letter+': '+(ok(c)?'right. ':'wrong. ')+
a.textContent+' '+s.filter(ok).length+' of '+s.length+' right so far.'})(this)"""


# JupyterLab takes the arrow keys for itself, except where the element in focus has this attribute.
_KEYS = 'data-lm-suppress-shortcuts="true"'


def _handler(script: str) -> str:
    return html.escape(script.replace("\n", ""))


def slider(
    draw: Callable[[object], Figure],
    values: Sequence[object],
    *,
    name: str,
    label: str,
    alt: Callable[[object], str],
    unit: str = "",
    text: Callable[[object], str] | None = None,
    start: int = 0,
    colors: int = 64,
) -> Widget:
    """Draw a figure for each value and let the reader choose the value.

    Args:
        draw: Value -> new figure, of one size for all values; it is closed after use.
        values: At least two, in the order of the slider.
        name: Unique on its page; ids are made from it, so that a page built twice is the same.
        label: The quantity, shown before the slider.
        alt: Value -> what is seen in its frame, in words, from the numbers that are drawn.
        unit: Shown with the label and with every value.
        text: Value -> how it is written; None: three digits and the unit.
        start: Position of the frame shown at first, and printed; not the last, so that the right arrow moves it.
        colors: Colours left in each frame, 2 to 256: fewer are lighter.

    Returns:
        A widget that a notebook shows as the last expression of a cell.

    Raises:
        TypeError, ValueError: Fewer than two values or a bad start, a text that is empty or no str, frames of
            several sizes, or a widget of more than `lib.frames.MAX_BYTES`.
    """
    values, key = list(values), f"slider-{identifier(name)}"
    if len(values) < 2:
        raise ValueError(f"values must hold at least two, got {len(values)}")
    if isinstance(start, bool) or not isinstance(start, int) or not 0 <= start < len(values) - 1:
        raise ValueError(f"start must be a position from 0 to {len(values) - 2}, got {start!r}")
    title = words("label", label) + (f" ({words('unit', unit)})" if unit else "")
    written = text or (lambda value: f"{value:.3g} {unit}".strip())
    texts = [spoken("text", written, value) for value in values]
    alts = [spoken("alt", alt, value) for value in values]
    frames = []
    for k, value in enumerate(values):
        mark = f' data-value="{html.escape(texts[k])}"' + (" hidden" if k != start else "")
        frames.append(picture(draw, value, alt=alts[k], colors=colors, attributes=mark))
    sizes = {re.search(r'width="\d+" height="\d+"', frame)[0] for frame in frames}
    if len(sizes) > 1:
        raise ValueError(f"draw must return figures of one size, got {' and '.join(sorted(sizes))}")
    control = (
        f'<input type="range" id="{key}-input" min="0" max="{len(values) - 1}" step="1" value="{start}" '
        f'autocomplete="off" {_KEYS} aria-valuetext="{html.escape(texts[start])}" oninput="{_handler(_SLIDE)}">'
    )
    first = html.escape(f"{texts[start]}: {alts[start]}")
    return finished(
        "slider",
        name,
        f'<div class="course-widget course-slider" id="{key}" role="group" aria-label="{html.escape(title)}">{_STYLE}\n'
        f'<div class="course-control"><label for="{key}-input">{html.escape(title)}</label>{control}</div>\n'
        + "\n".join(frames)
        + f'\n<output for="{key}-input" aria-live="polite">{first}</output></div>',
    )


def quiz(
    draw: Callable[[object], Figure],
    cases: Sequence[object],
    *,
    name: str,
    question: str,
    choices: Sequence[str],
    answer: Callable[[object], str],
    explain: Callable[[object], str],
    alt: Callable[[object], str],
    colors: int = 64,
) -> Widget:
    """Draw one picture for each case and let the reader guess what it is; the first guess counts.

    Args:
        draw: Case -> new figure; it is closed after use.
        cases: What the pictures show, 2 to 26, lettered from A.
        name: Unique on its page; ids are made from it.
        question: Asked above the pictures.
        choices: The answers on the buttons, at least two that differ.
        answer: Case -> the right one of them.
        explain: Case -> a sentence shown after a guess.
        alt: Case -> what is seen, in words, without giving the answer away.
        colors: Colours left in each picture, 2 to 256.

    Returns:
        A widget that a notebook shows as the last expression of a cell.

    Raises:
        TypeError, ValueError: Too few or too many cases, choices that agree, an answer that is none of them, a text
            that is empty or no str, or a widget of more than `lib.frames.MAX_BYTES`.
    """
    cases, choices, key = list(cases), [words("choices", c) for c in choices], f"quiz-{identifier(name)}"
    if not 2 <= len(cases) <= 26:
        raise ValueError(f"cases must hold 2 to 26, got {len(cases)}")
    if len(choices) < 2 or len(set(choices)) < len(choices):
        raise ValueError(f"choices must be at least two that differ, got {choices}")
    cards, answers = [], []
    for letter, case in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", cases, strict=False):
        right, reason = spoken("answer", answer, case), html.escape(spoken("explain", explain, case))
        if right not in choices:
            raise ValueError(f"answer must be one of {choices}, got {right!r} for case {letter}")
        right = html.escape(right)
        buttons = " ".join(
            f'<button type="button" value="{choice}" aria-pressed="false" aria-label="{letter}: {choice}" '
            f'{_KEYS} onclick="{_handler(_GUESS)}">{choice}</button>'
            for choice in map(html.escape, choices)
        )
        shown = picture(draw, case, alt=f"{letter}: {spoken('alt', alt, case)}", colors=colors)
        cards.append(
            f'<div role="group" aria-label="{letter}" data-letter="{letter}" data-answer="{right}">{shown}\n'
            f"<div><b>{letter}</b> {buttons}</div><p hidden>{reason}</p></div>"
        )
        answers.append(f"<li>{right}. {reason}</li>")
    return finished(
        "quiz",
        name,
        f'<div class="course-widget course-quiz" id="{key}" role="group" aria-labelledby="{key}-question">{_STYLE}\n'
        f'<p id="{key}-question"><b>{html.escape(words("question", question))}</b></p>\n'
        f'<div class="course-cards">{"".join(cards)}</div>\n<output aria-live="polite">No guess yet.</output>\n'
        f'<details><summary {_KEYS}>All answers</summary><ol type="A">{"".join(answers)}</ol></details></div>',
    )
