"""A deck as one HTML page for reveal.js, with its pictures inside."""

import html
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from slides.blocks import figure_shape, png_size
from slides.sentences import length

FOLDER = Path(__file__).parent
LINE = 60  # letters of a formula beyond which it is broken where it has parts


def formula(text, options):
    """A formula for MathJax; the script of the deck finds it by its class."""
    display = options["display_mode"]
    tag, sides = ("div", r"\[{}\]") if display else ("span", r"\({}\)")
    return f'<{tag} class="math">{sides.format(html.escape(text.strip(), quote=False))}</{tag}>'


PARSER = (
    MarkdownIt("commonmark", {"html": False, "typographer": True})
    .enable(["table", "replacements", "smartquotes"])
    .use(dollarmath_plugin, double_inline=True, renderer=formula)
)


def block_html(text):
    """HTML of Markdown paragraphs."""
    return PARSER.render(text)


def inline_html(text):
    """HTML of Markdown within a line."""
    return PARSER.renderInline(text)


def figure_html(figure):
    """A picture with its description, or a widget."""
    if "html" in figure:
        return figure["html"]
    width, height = png_size(figure["png"])
    return (
        f'<img src="data:image/png;base64,{figure["png"]}" alt="{html.escape(figure["alt"])}" '
        f'width="{width}" height="{height}">'
    )


def in_lines(tex):
    """A long formula of several parts, one below the other."""
    tag = "".join(re.findall(r"\s*\\tag\{[^}]*\}", tex))
    parts = re.split(r"\s*\\q?quad(?![a-zA-Z])\s*", re.sub(r"\s*\\tag\{[^}]*\}", "", tex).strip())
    if len(parts) == 1 or r"\begin{" in tex or length(tex) <= LINE:
        return tex
    lines = [parts[0]]
    for part in parts[1:]:
        if length(lines[-1] + part) <= LINE:
            lines[-1] += r" \quad " + part
        else:
            lines.append(part)
    return r"\begin{gathered}" + r" \\[8pt] ".join(lines) + r"\end{gathered}" + tag


def part_html(kind, content, number):
    """HTML of one part of a slide."""
    if kind == "list":
        return "<ul>" + "".join(f"<li>{inline_html(' '.join(item.split()))}</li>" for item in content) + "</ul>"
    if kind == "math":
        return f'<div class="equation">{formula(in_lines(content), {"display_mode": True})}</div>'
    if kind == "figure":
        return f'<div class="picture">{figure_html(content)}</div>'
    if kind == "caption":
        label = f"<b>Fig. {number}.</b> " if number else ""
        return f'<p class="caption">{label}{inline_html(content)}</p>'
    if kind == "printed":
        return f"<pre>{html.escape(content)}</pre>"
    if kind == "opening":
        return ""
    return f'<div class="{kind}">{block_html(content)}</div>'


def slide_data(slide):
    """What the template needs of one slide."""
    figure = next((content for kind, content in slide.parts if kind == "figure"), {})
    parts = [(kind, part_html(kind, content, figure.get("number", ""))) for kind, content in slide.parts]
    kinds = {kind for kind, _ in slide.parts}
    shape = figure_shape(figure) if figure else "opening" if "opening" in kinds else "plain"
    return {
        "title": inline_html(slide.title),
        "kicker": inline_html(slide.kicker),
        "shape": shape,
        "main": [text for kind, text in parts if kind == "figure"] if figure else [text for _, text in parts],
        "side": [text for kind, text in parts if kind != "figure"] if figure else [],
        "notes": block_html("\n\n".join(slide.notes)),
    }


def plain_text(text):
    """A title without marks."""
    return re.sub(r"[*`$]", "", text)


def deck_html(title, slides, *, book, license_line):
    """The page of one deck; its first slide names the book."""
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=False, trim_blocks=True, lstrip_blocks=True)
    template = environment.get_template("deck.html")
    slides[0].kicker = book
    data = [slide_data(slide) for slide in slides]
    return template.render(title=html.escape(plain_text(title)), slides=data, license_line=license_line)
