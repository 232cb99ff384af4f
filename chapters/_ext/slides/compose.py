"""The rules by which a chapter becomes slides: one figure or one idea on each, the chapter's text in the notes.

- The title with what the chapter does; the learning objectives.
- In each section, under its heading, in order: a slide for each numbered formula with the sentences around it, for each
  theorem, figure (with its caption and what to see), table, list, and for what is to be seen in printed numbers.
- A section with none of these gives one slide of its paragraphs' first sentences.
- The titles of the exercises; the summary, with what comes next. Code and solutions give no slides.
- Each paragraph goes to the notes of the slide that it leads to or explains.
"""

import re
from dataclasses import dataclass, field

from slides.blocks import Block
from slides.sentences import first, last, length

ROOM = 330  # letters of running text beside a formula or a figure
LIST_ROOM, LIST_ITEMS = 520, 5
STATEMENTS = re.compile(r"\*\*(?:Theorem|Lemma|Proposition|Corollary|Definition)\b")
SEE = "**What to see.**"
PRINTED_LINES, PRINTED_WIDTH, TABLE_ROWS = 6, 92, 12


@dataclass
class Slide:
    """One slide: its title, what it shows as pairs of kind and content, and the notes of the speaker in Markdown."""

    title: str
    parts: list
    kicker: str = ""
    notes: list = field(default_factory=list)


@dataclass
class Section:
    """A heading, the heading above it, and the blocks below."""

    title: str
    above: str
    blocks: list


def split(blocks):
    """Title of the chapter, the blocks below it, and the sections."""
    title, opening, sections, above = "", [], [], ""
    for block in blocks:
        if block.kind != "heading":
            (sections[-1].blocks if sections else opening).append(block)
        elif block.level == 1:
            title = block.text
        else:
            above = block.text if block.level == 2 else above
            sections.append(Section(block.text, above if block.level > 2 else "", []))
    return title, opening, sections


def quoted(block):
    """Title and body of a quoted block."""
    head, _, body = block.text.partition("\n")
    return head.strip("* "), body.strip()


def opening_slides(title, blocks):
    """The title, with what the chapter does, and the learning objectives."""
    texts = [block.text for block in blocks if block.kind == "text"]
    promise = next((text for text in texts if text.startswith("**What you will do.**")), "")
    shown = [("text", promise.removeprefix("**What you will do.**").strip())] if promise else []
    slides = [Slide(title, [("opening", ""), *shown], notes=texts)]
    for block in blocks:
        head, body = quoted(block) if block.kind == "quote" else ("", "")
        if head == "Learning objectives":
            slides.append(Slide(head, [("list", re.findall(r"- (.+(?:\n {2}.+)*)", body))], notes=[]))
        elif block.kind in {"quote", "table"}:
            slides[-1].notes.append(body or block.text)
    return slides


def shorter(item, room=210):
    """A bullet of a slide: its first sentences."""
    return item if length(item) <= room else first(item, room)


def list_parts(items):
    """Bullets in portions that a slide can hold."""
    portions, used = [[]], 0
    for item in map(shorter, items):
        if portions[-1] and (used + length(item) > LIST_ROOM or len(portions[-1]) == LIST_ITEMS):
            portions.append([])
            used = 0
        portions[-1].append(item)
        used += length(item)
    return [[("list", portion)] for portion in portions]


def is_small(block):
    """Tell printed lines that can be read from a distance."""
    lines = block.text.splitlines()
    return len(lines) <= PRINTED_LINES and max(map(len, lines)) <= PRINTED_WIDTH


def seen(section, k):
    """What to see in the figure or table at position k: the paragraph that says so, else the sentences that name it."""
    for block in section.blocks[k + 1 :]:
        if block.kind in {"figure", "table"}:
            break
        if block.text.startswith(SEE):
            return block.text.removeprefix(SEE).strip()
    if number := section.blocks[k].figure.get("number"):
        texts = [block.text for block in section.blocks if block.kind == "text" and f"Fig. {number}*" in block.text]
        return " ".join(text.removeprefix(SEE).strip() for text in texts)
    return ""


def continues(block):
    """Tell a paragraph that goes on with the sentence of the formula above it."""
    return block.kind == "text" and bool(re.match(r"[a-z]|\$[^$]+\$ (?:is|are)\b", block.text))


def formula_parts(section, k):
    """A formula between the sentences that lead to it and go on from it."""
    before = section.blocks[k - 1] if k else Block("", "")
    after = section.blocks[k + 1] if k + 1 < len(section.blocks) else Block("", "")
    parts = []
    if before.kind == "text":
        parts.append(("text", last(before.text.removeprefix(SEE).strip(), ROOM)))
    parts.append(("math", section.blocks[k].text))
    if continues(after):
        parts.append(("text", first(after.text, ROOM)))
    return parts


def block_parts(section, k, printed):
    """What the slides of one block show: one list of parts for each slide; none for a block without a slide."""
    block = section.blocks[k]
    if block.kind == "math" and r"\tag{" in block.text:
        return [formula_parts(section, k)]
    if block.kind == "quote" and STATEMENTS.match(block.text):
        head, body = quoted(block)
        return [[("statement", f"**{head}.** {body}")]]
    if block.kind == "figure":
        see = seen(section, k)
        return [[("figure", block.figure), ("caption", block.text), *([("see", first(see, ROOM))] if see else [])]]
    if block.kind == "table" and block.text.count("\n") <= TABLE_ROWS:
        see = seen(section, k)
        return [[("table", block.text), *([("text", first(see, ROOM))] if see else [])]]
    if block.kind == "list":
        return list_parts(block.items)
    pictured = any(other.kind in {"figure", "table"} for other in section.blocks[:k])
    if block.kind == "text" and block.text.startswith(SEE) and not pictured:
        return [[("text", first(block.text.removeprefix(SEE).strip(), ROOM)), *(("printed", p) for p in printed[-1:])]]
    return []


def plain_slide(section):
    """One slide of a section that shows nothing: the first sentences of its paragraphs, and a few printed lines."""
    texts = [block.text for block in section.blocks if block.kind == "text"]
    parts = [("list", [first(text, 150).rstrip(":") for text in texts][:4])] if texts else []
    parts += [("printed", block.text) for block in section.blocks if block.kind == "printed" and is_small(block)][-1:]
    return Slide(section.title, parts, section.above) if texts else None


def noted(block):
    """What of a block goes to the notes."""
    if block.kind == "math":
        return f"$$\n{block.text}\n$$"
    return block.text if block.kind in {"text", "list", "quote"} else ""


def section_slides(section, formulas_only=False):
    """Slides of one section, its text divided among their notes."""
    slides, waiting, printed = [], [], []
    for k, block in enumerate(section.blocks):
        found = [] if formulas_only and block.kind != "math" else block_parts(section, k, printed)
        slides += [Slide(section.title, parts, section.above) for parts in found]
        if block.kind == "printed" and is_small(block):
            printed.append(block.text)
        explains = continues(block) or block.text.startswith(SEE)
        if found:
            slides[-len(found)].notes = [*waiting, noted(block)]
            waiting = []
        elif explains and slides and not waiting:
            slides[-1].notes.append(noted(block))
        else:
            waiting.append(noted(block))
    if not slides and not formulas_only and (only := plain_slide(section)):
        slides = [only]
    if slides:
        slides[-1].notes += waiting
    return slides


def exercise_slides(section):
    """The titles of the exercises with their minutes; their texts are in the notes."""
    exercises = [quoted(block) for block in section.blocks if block.kind == "quote"]
    exercises = [(head.removeprefix("Exercise "), body) for head, body in exercises if head.startswith("Exercise ")]
    items = [f"**{head}** {(re.match(r'[(][^)]*[)]', body) or [''])[0]}" for head, body in exercises]
    notes = [f"**{head}.** {body}" for head, body in exercises]
    return [Slide(section.title, [("list", items)], notes=notes)] if items else []


def closing_slides(sections):
    """The summary, and what comes next."""
    summary, following = sections.get("Summary"), sections.get("What's next")
    if summary is None:
        return []
    slides = section_slides(summary)
    texts = [block.text for block in following.blocks if block.kind == "text"] if following else []
    if slides and texts:
        slides[-1].parts.append(("next", first(" ".join(texts), 200)))
    if slides:
        slides[-1].notes += texts
    return slides


def compose(blocks):
    """Title of a chapter, and its slides."""
    title, opening, sections = split(blocks)
    slides, named = opening_slides(title, opening), {section.title: section for section in sections}
    for section in sections:
        if section.title == "Exercises":
            slides += exercise_slides(section)
        elif section.title not in {"Summary", "What's next", "References"}:
            slides += section_slides(section, formulas_only=section.title == "Set-up")
    slides += closing_slides(named)
    for slide in slides:  # a slide that its text does not explain is still announced
        slide.notes = [note for note in slide.notes if note] or [f"{slide.kicker} {slide.title}.".strip()]
    return title, slides
