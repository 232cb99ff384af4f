"""A picture inside a page: one figure drawn, reduced to a few colours, and written as an image element."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

# A page may weigh 3 MB with all that is drawn on it, so one widget gets a tenth of that.
MAX_BYTES = 300_000


@dataclass(frozen=True)
class Widget:
    """An interactive figure; a notebook shows its HTML, a saved page keeps it.

    Attributes:
        html: Pictures, words and handlers, with nothing to load from elsewhere.
    """

    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html


def words(name: str, value: object) -> str:
    """Return `value` if it is a text with something in it (TypeError, ValueError)."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{name} must not be empty, got {value!r}")
    return value


def identifier(value: object) -> str:
    """Return `value` if it can be part of an element's id: lower-case letters, digits and hyphens."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", words("name", value)):
        raise ValueError(f"name must be lower-case letters and digits joined by hyphens, got {value!r}")
    return value


def spoken(name: str, describe: Callable[[object], str], value: object) -> str:
    """Call a function of the reader's that puts `value` into words."""
    if not callable(describe):
        raise TypeError(f"{name} must be a callable from a value to a str, got {type(describe).__name__}")
    return words(f"{name}({value!r})", describe(value))


def picture(draw: Callable[[object], Figure], value: object, *, alt: str, colors: int, attributes: str = "") -> str:
    """Draw one figure and return it as an image element; the figure is closed.

    Args:
        draw: Called with `value`; returns a new figure.
        value: What to draw.
        alt: Words for who does not see the picture.
        colors: Colours left in the picture, 2 to 256: fewer are lighter.
        attributes: Further attributes of the element, as HTML.

    Raises:
        TypeError, ValueError: `draw` is not callable or returns no figure, or `colors` is out of range.
    """
    if not callable(draw):
        raise TypeError(f"draw must be a callable from a value to a Figure, got {type(draw).__name__}")
    if isinstance(colors, bool) or not isinstance(colors, int) or not 2 <= colors <= 256:
        raise ValueError(f"colors must be a whole number from 2 to 256, got {colors!r}")
    figure = draw(value)
    if not isinstance(figure, Figure):
        raise TypeError(f"draw({value!r}) must return a matplotlib Figure, got {type(figure).__name__}")
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=figure.dpi)
    plt.close(figure)  # else the notebook would show it a second time
    image = Image.open(full).convert("RGB")
    # Maximum coverage keeps the colour of a thin line, k-means the shades of a map.
    few = image.quantize(colors, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    few.save(small, "png", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(small.getvalue()).decode()
    size = f'width="{image.width}" height="{image.height}"'
    return f'<img src="{source}" {size} alt="{html.escape(alt)}"{attributes}>'


def finished(kind: str, name: str, content: str) -> Widget:
    """Return the widget unless it is too heavy for a page."""
    if len(content) > MAX_BYTES:
        raise ValueError(
            f"{kind} {name!r} weighs {len(content) / 1000:.0f} kB, at most {MAX_BYTES / 1000:.0f} kB: "
            "draw fewer or smaller frames, or leave fewer colors"
        )
    return Widget(content)
