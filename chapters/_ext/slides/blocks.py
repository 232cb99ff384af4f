"""The blocks of an executed chapter: headings, texts, formulas, figures, tables and printed lines, in order."""

import base64
import re
import struct
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

KINDS = {
    "heading_open": "heading",
    "paragraph_open": "text",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "blockquote_open": "quote",
    "table_open": "table",
    "math_block": "math",
    "fence": "code",
}
FLAT = 1.55  # a picture wider than this, over its height, takes the width of the slide
PARSER = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)


@dataclass
class Block:
    """One block: its kind, its Markdown or its words, and for a heading its level, for a figure what belongs to it."""

    kind: str
    text: str
    level: int = 0
    items: list = field(default_factory=list)
    figure: dict = field(default_factory=dict)


def list_items(tokens, lines):
    """Markdown of each item of a list."""
    found = [token.map for token in tokens if token.type == "list_item_open" and token.level == 1]
    texts = ["\n".join(lines[start:end]) for start, end in found]
    return [" ".join(re.sub(r"^\s*(?:[-*+]|\d+[.)])\s+", "", text).split()) for text in texts]


def png_size(data):
    """Width and height of a PNG in base64."""
    return struct.unpack(">II", base64.b64decode(data[:64])[16:24])


def figure_shape(figure):
    """How a figure's slide is laid out: text below a flat picture, beside a high one; widgets keep their own shape."""
    if "html" in figure:
        return "quiz" if "course-quiz" in figure["html"] else "tall"
    width, height = png_size(figure["png"])
    return "flat" if width > FLAT * height else "tall"


def markdown_blocks(source):
    """Blocks of one Markdown cell."""
    source = re.sub(r"\((\(\d+\.\d+\))\)", r"\1", source)  # the number of a formula brings parentheses of its own
    tokens, lines, found = PARSER.parse(source), source.splitlines(), []
    for k, token in enumerate(tokens):
        if token.level or token.type not in KINDS or token.map is None:
            continue
        start, end = token.map
        text, kind = "\n".join(lines[start:end]).strip(), KINDS[token.type]
        if kind == "heading":
            found.append(Block(kind, tokens[k + 1].content, level=int(token.tag[1])))
        elif kind == "math":
            found.append(Block(kind, token.content.strip()))
        elif kind == "list":
            close = next(m for m in range(k, len(tokens)) if not tokens[m].level and tokens[m].type.endswith("_close"))
            found.append(Block(kind, text, items=list_items(tokens[k : close + 1], lines)))
        elif kind == "quote":
            found.append(Block(kind, "\n".join(re.sub(r"^>\s?", "", line) for line in lines[start:end]).strip()))
        else:
            found.append(Block(kind, text))
    return found


def figure_block(cell, data):
    """The figure or the widget that a cell shows; its caption and number were resolved when the site was built."""
    options = cell.metadata.get("mystnb", {})
    figure = dict(options.get("figure", {}))
    if "text/html" in data:
        figure["html"] = data["text/html"]
    else:
        figure["png"] = "".join(data["image/png"].split())
    figure["alt"] = " ".join(str(options.get("image", {}).get("alt", "")).split())
    return Block("figure", " ".join(str(figure.get("caption", "")).split()), figure=figure)


def output_blocks(cell):
    """Blocks of what a code cell shows: its figure, its tables, its printed lines."""
    found, named = [], "figure" in cell.metadata.get("mystnb", {})
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if named and ("image/png" in data or "text/html" in data):
            found.append(figure_block(cell, data))
        elif "text/markdown" in data:
            found += [block for block in markdown_blocks(data["text/markdown"]) if block.kind == "table"]
        elif output.output_type == "stream" and output.name == "stdout" and output.text.strip():
            if found and found[-1].kind == "printed":
                found[-1].text += "\n" + output.text.rstrip()
            else:
                found.append(Block("printed", output.text.rstrip()))
    return found


def notebook_blocks(notebook):
    """All blocks of a notebook; of its code only what it shows."""
    found = []
    for cell in notebook.cells:
        found += markdown_blocks(cell.source) if cell.cell_type == "markdown" else output_blocks(cell)
    return found
