"""Slides of one section of a chapter, and the division of its text among their notes."""

import re

from slides.blocks import Block, figure_shape
from slides.outline import Slide, quoted
from slides.sentences import first, last, length, sentences

ROOM, ROOM_BELOW = 330, 230  # letters of running text beside a formula or a figure, and below a flat figure
LIST_ROOM, LIST_ITEMS = 520, 5
STATEMENTS = re.compile(r"\*\*(?:Theorem|Lemma|Proposition|Corollary|Definition)\b")
SEE = "**What to see.**"
PRINTED_LINES, PRINTED_WIDTH = 6, 82


def shorter(item, room=260):
    """A bullet of a slide: its first sentences, without those that only announce what follows."""
    parts = sentences(item)
    said = " ".join([part for part in parts if not part.endswith(":")] or parts).rstrip(":")
    return re.sub(r"^(\*?)([a-z])", lambda start: start[1] + start[2].upper(), first(said, room))


def list_parts(items):
    """Bullets in portions that a slide can hold."""
    items = [shorter(item) for item in items]
    count = max(-(-sum(map(length, items)) // LIST_ROOM), -(-len(items) // LIST_ITEMS))
    size = -(-len(items) // count)  # portions of about one length
    return [[("list", items[k : k + size])] for k in range(0, len(items), size)]


def is_small(block):
    """Tell printed lines that can be read from a distance; where stored results come from belongs to the page."""
    lines = block.text.splitlines()
    return (
        not block.text.startswith(("made by ", "made on "))
        and len(lines) <= PRINTED_LINES
        and max(map(len, lines)) <= PRINTED_WIDTH
    )


def seen(section, k):
    """What to see in the figure or table at position k: the paragraph that says so, else the sentences that name it."""
    for block in section.blocks[k + 1 :]:
        if block.kind in {"figure", "table"}:
            break
        if block.text.startswith(SEE):
            return told(block)
    if number := section.blocks[k].figure.get("number"):
        texts = [block.text for block in section.blocks if block.kind == "text" and f"Fig. {number}*" in block.text]
        return " ".join(text.removeprefix(SEE).strip() for text in texts)
    return ""


def told(block):
    """A paragraph without its opening mark and without what only announces a cell."""
    parts = sentences(block.text.removeprefix(SEE))
    return " ".join(part for part in parts if not part.endswith(":"))


def is_numbered(block):
    """Tell a formula that the text refers to."""
    return block.kind == "math" and r"\tag{" in block.text


def continues(block):
    """Tell a paragraph that goes on with the sentence of the formula above it."""
    return block.kind == "text" and bool(re.match(r"[a-z]|\$[^$]+\$ (?:is|are)\b", block.text))


def formula_parts(section, k):
    """A formula between the sentences that lead to it and go on from it."""
    nothing = Block("", "")
    after, later = [*section.blocks[k + 1 :], nothing, nothing][:2]
    parts, start = [("math", section.blocks[k].text)], k
    for start in range(k - 1, -1, -1):
        block = section.blocks[start]
        if block.kind == "math" and not is_numbered(block):  # a step on the way
            parts.insert(0, ("math", block.text))
        elif block.kind != "printed":
            break
    earlier, before = [nothing, nothing, *section.blocks][start + 1 : start + 3]
    if before.kind == "text":
        said = before.text.removeprefix(SEE).strip()
        if is_numbered(earlier) and continues(before):  # its first sentence went on from the formula above
            said = " ".join(sentences(said)[1:])
        if said:
            parts.insert(0, ("text", last(said, ROOM)))
    if continues(after):
        parts.append(("text", first(told(after), 0 if is_numbered(later) else ROOM)))
    return parts


def block_parts(section, k, printed):
    """What the slides of one block show: one list of parts for each slide; none for a block without a slide."""
    block = section.blocks[k]
    if is_numbered(block):
        return [formula_parts(section, k)]
    if block.kind == "quote" and STATEMENTS.match(block.text):
        head, body = quoted(block)
        return [[("statement", f"**{head.replace(' ', ': ', 1)}.** {body}")]]
    if block.kind == "figure":
        see = seen(section, k)
        shape = figure_shape(block.figure)
        see = first(see, ROOM if shape == "tall" else ROOM_BELOW) if shape != "quiz" else ""  # it would tell the answer
        return [[("figure", block.figure), ("caption", block.text), *([("see", see)] if see else [])]]
    if block.kind == "table":
        see = seen(section, k)
        return [[("table", block.text), *([("text", first(see, ROOM))] if see else [])]]
    if block.kind == "list":
        return list_parts(block.items)
    pictured = any(other.kind in {"figure", "table"} for other in section.blocks[:k])
    if block.kind == "text" and block.text.startswith(SEE) and told(block) and not pictured:
        return [[("text", first(told(block), ROOM)), *(("printed", p) for p in printed[-1:])]]
    return []


def plain_slide(section):
    """One slide of a section that shows nothing: the first sentences of its paragraphs, and a few printed lines."""
    texts = [block.text for block in section.blocks if block.kind == "text"]
    items = [shorter(text, 200) for text in texts if not all(part.endswith(":") for part in sentences(text))][:4]
    parts = [("list", items) if len(items) > 1 else ("text", "".join(items))]
    parts += [("printed", block.text) for block in section.blocks if block.kind == "printed" and is_small(block)][-1:]
    return Slide(section.title, parts, section.above) if items else None


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
