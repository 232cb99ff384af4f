"""Widgets: what a parser finds in their HTML, ids, escaping, weight, and what they refuse."""

import base64
import io
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lib.frames import MAX_BYTES
from lib.widgets import quiz, slider

VOID = {"img", "input", "br"}


class Page(HTMLParser):
    """Elements of a page, each a dict of its attributes with its tag and its text; checks that all are closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        self.elements.append(dict(attrs) | {"tag": tag, "text": "", "inside": [e["tag"] for e in self.open]})
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **wanted):
        """Elements of one tag with these attributes."""
        return [e for e in self.elements if e["tag"] == tag and all(e.get(k) == v for k, v in wanted.items())]


def draw(value):
    """A line whose height is the value."""
    fig, ax = plt.subplots(figsize=(2, 1.5))
    ax.plot([0, 1], [0, float(value)], color="#D55E00")
    ax.set(ylim=(0, 5))
    return fig


def make(values=(1.0, 2.0, 3.0), **changes):
    """A small slider."""
    options = {"name": "height", "label": "Height", "unit": "km", "alt": lambda v: f"a line up to {v:.0f}"}
    return slider(draw, values, **(options | changes))


def ask(cases=(1, 2, 3), **changes):
    """A small quiz: is the line high?"""
    options = {
        "name": "lines",
        "question": "Is it high?",
        "choices": ("high", "low"),
        "answer": lambda v: "high" if v > 2 else "low",
        "explain": lambda v: f"It ends at {v}.",
        "alt": lambda v: "a line",
    }
    return quiz(draw, cases, **(options | changes))


def pixels(img):
    """The picture in an image element, [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(img["src"].split(",")[1]))).convert("RGB")).astype(int)


def test_slider_has_one_labelled_range_over_all_frames():
    page = Page(make()._repr_html_())
    (control,) = page.all("input")
    assert [control[k] for k in ("type", "min", "max", "step", "value")] == ["range", "0", "2", "1", "0"]
    assert control["id"] == "slider-height-input"  # from the name alone
    assert control["aria-valuetext"] == "1 km"
    assert control["autocomplete"] == "off"  # else a reloaded page shows another frame than its slider says
    (label,) = page.all("label", **{"for": control["id"]})
    assert label["text"] == "Height (km)"
    assert [img["alt"] for img in page.all("img")] == [f"a line up to {v}" for v in (1, 2, 3)]
    assert [img["data-value"] for img in page.all("img")] == ["1 km", "2 km", "3 km"]


def test_only_the_first_frame_shows_until_a_script_runs():
    for start in (0, 1):
        page = Page(make(start=start).html)
        assert ["hidden" not in img for img in page.all("img")] == [k == start for k in range(3)]
        (output,) = page.all("output", **{"aria-live": "polite"})
        assert output["text"] == f"{start + 1} km: a line up to {start + 1}"
        assert page.all("input")[0]["value"] == str(start)
        assert not page.all("script")  # a page that keeps only elements and attributes still works


def test_nothing_is_loaded_from_elsewhere():
    for html in (make().html, ask().html):
        page = Page(html)
        assert all(img["src"].startswith("data:image/png;base64,") for img in page.all("img"))
        assert not page.all("link")
        for forbidden in ("http:", "https:", "url(", "@import", "require"):
            assert forbidden not in html


def test_each_frame_shows_its_own_value_on_white_and_in_its_colour():
    frames = [pixels(img) for img in Page(make().html).all("img")]
    tops = [np.argwhere((abs(f - (0xD5, 0x5E, 0x00)) < 40).all(-1))[:, 0].min() for f in frames]
    assert tops[0] > tops[1] > tops[2]  # a higher line starts nearer to the top
    for frame, img in zip(frames, Page(make().html).all("img"), strict=True):
        assert frame.shape[:2] == (int(img["height"]), int(img["width"]))
        assert frame[0, 0].min() > 245


def test_fewer_colours_are_lighter_and_a_map_beside_lines_keeps_its_shades():
    def shades(value):
        fig = Figure(figsize=(4, 2), dpi=100)
        fig.add_axes((0, 0, 0.3, 0.6)).imshow(np.add.outer(np.arange(30.0), value * np.arange(30.0)), cmap="viridis")
        lines = fig.add_axes((0.4, 0.1, 0.6, 0.9))
        for k, color in enumerate(("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")):
            lines.plot(np.sin(np.arange(40) * (k + 1)), color=color, lw=0.8)
        return fig

    few, many = (slider(shades, (1.0, 2.0), name="map", label="x", alt=str, colors=c) for c in (8, 64))
    assert len(few.html) < len(many.html)
    error = abs(pixels(Page(many.html).all("img")[0]) - shades_buffer(shades(1.0)))[90:190, 10:110].max(-1)
    assert error.mean() < 13  # of 255, inside the map; without k-means the lines take the colours, and it is above 16


def shades_buffer(fig):
    """The figure as it would be without a palette."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=fig.dpi)
    return np.asarray(Image.open(buffer).convert("RGB")).astype(int)


def test_same_input_gives_the_same_page_and_names_keep_widgets_apart():
    assert make().html == make().html
    assert ask().html == ask().html
    ids = [
        e["id"] for html in (make().html, make(name="other").html, ask().html) for e in Page(html).elements if "id" in e
    ]
    assert len(ids) == len(set(ids)) >= 5
    page = Page(make().html + ask().html)
    known = {e["id"] for e in page.elements if "id" in e}
    assert {e[k] for e in page.elements for k in ("for", "aria-labelledby") if k in e} <= known


def test_texts_are_escaped():
    bad = '"><script>x</script>&amp;'
    page = Page(make(label=bad, unit="<b>", alt=lambda v: bad, text=lambda v: bad).html)
    assert not page.all("script")
    assert page.all("label")[0]["text"] == f"{bad} (<b>)"
    assert page.all("img")[0]["alt"] == page.all("img")[0]["data-value"] == bad
    asked = Page(ask(question=bad, choices=(bad, "low"), answer=lambda v: bad, explain=lambda v: bad).html)
    assert not asked.all("script")
    assert asked.all("button")[0]["value"] == asked.all("button")[0]["text"] == bad
    assert asked.all("div", **{"data-answer": bad})


def test_arrow_keys_are_left_to_the_widget_in_jupyterlab():
    elements = Page(make().html + ask().html).elements
    usable = [e for e in elements if e["tag"] in ("input", "button", "summary")]
    assert len(usable) == 1 + 6 + 1
    assert all(e["data-lm-suppress-shortcuts"] == "true" for e in usable)


def test_figures_are_closed():
    before = plt.get_fignums()
    make()
    ask()
    assert plt.get_fignums() == before


def test_repr_is_short():
    assert len(repr(make())) < 100  # a notebook stores it beside the HTML


def test_quiz_has_a_button_for_each_choice_and_hides_its_answers():
    page = Page(ask().html)
    assert [b["text"] for b in page.all("button", type="button")] == ["high", "low"] * 3
    assert [b["aria-label"] for b in page.all("button")][:3] == ["A: high", "A: low", "B: high"]
    assert [c["data-answer"] for c in page.elements if "data-answer" in c] == ["low", "low", "high"]
    hidden = [p for p in page.all("p") if "hidden" in p]
    assert [p["text"] for p in hidden] == ["It ends at 1.", "It ends at 2.", "It ends at 3."]
    assert [img["alt"] for img in page.all("img")] == ["A: a line", "B: a line", "C: a line"]
    (details,) = page.all("details")  # without a script the answers are one key press away
    assert "open" not in details
    assert [item["text"] for item in page.all("li")][2] == "high. It ends at 3."


@pytest.mark.parametrize("html", [make().html, ask().html], ids=["slider", "quiz"])
def test_style_prints_the_picture_and_keeps_it_on_white(html):
    style = Page(html).all("style")[0]["text"]
    assert "@media print" in style
    assert "max-width:100%;height:auto" in style
    assert "background:#fff" in style
    assert "[hidden]{display:none!important}" in style


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"values": ()}, ValueError, "values must hold at least two, got 0"),
        ({"values": (1.0,)}, ValueError, "values must hold at least two, got 1"),
        ({"alt": lambda v: " "}, ValueError, r"alt\(1.0\) must not be empty"),
        ({"alt": lambda v: None}, TypeError, r"alt\(1.0\) must be a str, got NoneType"),
        ({"alt": "a line"}, TypeError, "alt must be a callable .* got str"),
        ({"text": lambda v: ""}, ValueError, r"text\(1.0\) must not be empty"),
        ({"label": ""}, ValueError, "label must not be empty"),
        ({"name": "Two words"}, ValueError, "name must be lower-case letters and digits joined by hyphens, got 'Two"),
        ({"name": 3}, TypeError, "name must be a str, got int"),
        ({"start": 2}, ValueError, "start must be a position from 0 to 1, got 2"),
        ({"start": True}, ValueError, "start must be a position"),
        ({"colors": 1}, ValueError, "colors must be a whole number from 2 to 256, got 1"),
    ],
)
def test_slider_refuses(changes, error, message):
    with pytest.raises(error, match=message):
        make(**changes)
    assert not plt.get_fignums()


def test_slider_refuses_what_is_no_figure_frames_of_two_sizes_and_too_much_weight():
    options = {"name": "x", "label": "x", "alt": str}
    with pytest.raises(TypeError, match=r"draw\(1\) must return a matplotlib Figure, got NoneType"):
        slider(lambda v: None, (1, 2), **options)
    with pytest.raises(TypeError, match="draw must be a callable from a value to a Figure, got Figure"):
        slider(Figure(), (1, 2), **options)
    with pytest.raises(ValueError, match='figures of one size, got width="100"'):
        slider(lambda v: Figure(figsize=(v, 1), dpi=100), (1, 2), **options)

    def noise(seed):
        fig = Figure(figsize=(4, 4), dpi=100)
        fig.figimage(np.random.default_rng(seed).random((400, 400)))
        return fig

    with pytest.raises(ValueError, match=f"slider 'x' weighs .* kB, at most {MAX_BYTES // 1000} kB"):
        slider(noise, range(4), **options)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"cases": (1,)}, ValueError, "cases must hold 2 to 26, got 1"),
        ({"cases": range(27)}, ValueError, "cases must hold 2 to 26, got 27"),
        ({"choices": ("high",)}, ValueError, "choices must be at least two that differ"),
        ({"choices": ("high", "high")}, ValueError, "choices must be at least two that differ"),
        ({"answer": lambda v: "middle"}, ValueError, "answer must be one of .* got 'middle' for case A"),
        ({"explain": lambda v: ""}, ValueError, "must not be empty"),
        ({"alt": lambda v: ""}, ValueError, "must not be empty"),
        ({"question": ""}, ValueError, "question must not be empty"),
    ],
)
def test_quiz_refuses(changes, error, message):
    with pytest.raises(error, match=message):
        ask(**changes)
