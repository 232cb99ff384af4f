"""What a chapter is cut into, and what slides are made of."""

from dataclasses import dataclass, field

TABLE_LINES, TABLE_COLUMNS = 11, 7  # a larger table cannot be read from a distance


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


def fits(table):
    """Tell a table that a slide can hold."""
    lines = table.text.splitlines()
    return len(lines) <= TABLE_LINES and lines[0].strip("| ").count("|") < TABLE_COLUMNS


def split(blocks):
    """Title of the chapter, the blocks below it, and the sections."""
    title, opening, sections, above = "", [], [], ""
    for block in blocks:
        if block.kind == "table" and not fits(block):
            block.kind = "bulk"
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
