"""Every chapter keeps the rules of CONTRIBUTING.md; the second half shows that the rules can fail."""

import re
from pathlib import Path

import pytest
import yaml
from chapter_lint import problems

ROOT = Path(__file__).resolve().parents[1]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
CHAPTERS = [chapter for part in TOC["parts"] for chapter in part["chapters"]]
LISTED = [TOC["root"], *(page["file"] for chapter in CHAPTERS for page in (chapter, *chapter.get("sections", ())))]

HEADER = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

"""
EXERCISE = """```{{exercise}} Title
:label: ex-{0}

(10 minutes, {1}) Why?

:::{{dropdown}} Hint
Think.
:::
```

```{{solution-start}} ex-{0}
:label: sol-{0}
:class: dropdown
```

```{{code-cell}} ipython3
assert 1 < 2
```

```{{solution-end}}
```

"""
CHAPTER = (
    HEADER
    + """(ch-test)=
# Test a rule

**What you will do.** Something.

:::{admonition} Learning objectives
- a
- b
- c
:::

| You need | Where |
|---|---|
| a number 0.5 in a table | here |

:::{tip}
Reading time: 30 minutes. Run time: 0.5 s. Memory: 1 GB.
:::

## Set-up

```{code-cell} ipython3
import matplotlib.pyplot as plt
import lib
from lib.widgets import slider
```

```{code-cell} ipython3
N = 0.5  # scale
```

## A claim

```{math}
:label: eq-test
a = 0.25
```

Math $a = 0.25$, roles {glue:text}`gap:.2f`, Figure 1.1 and version 0.1.0 are no typed results.

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  figure:
    name: fig-test
    caption: A line.
  image:
    alt: A straight line that rises.
---
plt.plot([0, 1])
plt.show()
```

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  figure:
    name: fig-slider
    caption: A line to move.
---
def draw(height):
    fig, ax = plt.subplots()
    ax.plot([0, height])
    return fig

slider(draw, (1, 2), name="height", label="Height", alt=lambda h: f"A line up to {h}.")
```

```{code-cell} ipython3
assert N > 0
```

## Check against quadrature

## Limits: where it breaks down

## Check yourself

**1.** Is it?

:::{dropdown} Answer
No.
:::

**2.** This question takes
two lines. Does it?

:::{dropdown} Answer
Yes.
:::

**3.** Why?

:::{dropdown} Answer
Because.
:::

## Exercises

"""
    + "".join(map(EXERCISE.format, "abc", ("derive", "derive and code", "code, then break it")))
    + """## Summary

- one
- two
- three

## What's next

## References

```{footbibliography}
```
"""
)

LONG = "\n".join(["assert 1 < 2"] * 9)
BROKEN = {  # name of a fault: text in the good chapter, its replacement, part of the message
    "decimal in prose": ("# A claim\n", "# A claim\n\nThe gap is 0.37 here.\n", "'0.37'"),
    "decimal after a directive": ("# A claim\n", "# A claim\n\n```{note}\nA.\n```\n\nThe gap is 0.37.\n", "'0.37'"),
    "decimal inside a directive": ("# A claim\n", "# A claim\n\n```{note}\nThe gap is 0.37.\n```\n", "'0.37'"),
    "percentage in prose": ("# A claim\n", "# A claim\n\nIt falls by 12 % here.\n", "'12 %'"),
    "power in prose": ("# A claim\n", "# A claim\n\nDown to 1e-9 here.\n", "'1e-9'"),
    "opt-out without reason": ("# A claim\n", "# A claim\n\n% lint: literal\nIt is 0.3.\n", "needs a reason"),
    "decimal in a caption": ("caption: A line.", "caption: A line at 0.37 here.", "'0.37'"),
    "jet": ("plt.plot([0, 1])", "plt.plot([0, 1], cmap='jet')", "jet"),
    "pip": ("N = 0.5", "!pip install x\nN = 0.5", "not plain Python"),
    "magic": ("N = 0.5", "%pip install x\nN = 0.5", "not plain Python"),
    "raises-exception": ("tags: [hide-input]", "tags: [raises-exception]", "raises-exception"),
    "skip-execution": ("tags: [hide-input]", "tags: [skip-execution]", "skip-execution"),
    "hidden set-up": ("N = 0.5", ":tags: [hide-input]\nN = 0.5", "for figures only"),
    "long cell": ("N = 0.5", "\n".join(["N = 1"] * 21), "21 lines"),
    "long figure": ("plt.show()", "\n".join(["N = 1"] * 25), "26 lines"),
    "long median": ("assert 1 < 2", f"{LONG}\n```\n\n```{{code-cell}} ipython3\n{LONG}", "median"),
    "no alt": ("alt: A straight", "width: A straight", "alt text"),
    "no caption": ("caption: A line.", "align: left", "caption"),
    "no figure name": ("name: fig-test", "name: test", "fig-"),
    "figure without metadata": ("assert N > 0", "assert N > 0\nplt.plot([0])", "without a caption"),
    "widget without alt texts": (', alt=lambda h: f"A line up to {h}.")', ")", "does not follow"),
    "widget with one alt text": ('f"A line up to {h}."', '"A line."', "does not follow"),
    "widget without a name": ('name="height", ', "", "no plain text"),
    "widget with a made-up name": ('name="height"', "name=str(N)", "no plain text"),
    "widget without a caption": ("caption: A line to move.", "align: left", "caption"),
    "widget without metadata": ("assert N > 0", "slider(draw, (1, 2), name='x', alt=str)", "without a caption"),
    "two widgets of one name": (
        "assert N > 0",
        "assert N > 0\nslider(draw, (1, 2), name='height', alt=str)",
        "one name: height",
    ),
    "unknown import": ("import lib\n", "from lib.no_such import x\n", "lib.no_such.x does not exist"),
    "unknown name": ("import lib\n", "from lib import no_such\n", "lib.no_such does not exist"),
    "footnote": ("# A claim\n", "# A claim\n\nText.[^1]\n", "footnote"),
    "front matter": ("kernelspec:", "title: x\nkernelspec:", "front matter"),
    "no label": ("(ch-test)=\n", "", "no label"),
    "no objectives": ("Learning objectives", "Aims", "Learning objectives"),
    "two objectives": ("- c\n:::", ":::", "3-5 learning objectives"),
    "no memory": (" Memory: 1 GB.", "", "memory"),
    "no scale cell": ("## A claim", "", "Set-up, body"),
    "late import": ("N = 0.5", "import os\nN = 0.5", "first cell"),
    "first cell works": ("import lib\n", "import lib\nN = 1\n", "only imports"),
    "no body": ("## A claim", "Text", "sections must be"),
    "no check": ("## Check against quadrature", "", "sections must be"),
    "order": ("## Limits: where it breaks down", "## Limit", "sections must be"),
    "long summary": ("- three\n", "- three\n- four\n", "3 bullets"),
    "no references": ("{footbibliography}", "{bibliography}", "footbibliography"),
    "no equation": (":label: eq-test\n", "", "labelled equation"),
    "no dropdown": (":label: sol-a\n:class: dropdown", ":label: sol-a", "dropdown solution"),
    "two exercises": (EXERCISE.format("c", "code, then break it"), "", "3-5 exercises with a label, there are 2"),
    "no minutes": ("(10 minutes, derive)", "(derive)", "(minutes, kind)"),
    "unknown kind": ("(10 minutes, derive)", "(10 minutes, read)", "(minutes, kind)"),
    "half a kind": ("(10 minutes, derive)", "(10 minutes, derive quickly)", "(minutes, kind)"),
    "two kinds": ("code, then break it", "code", "three kinds"),
    "no hint": ("{dropdown} Hint", "{note}", "no exercise has a hint"),
    "another dropdown": ("# A claim\n", "# A claim\n\n:::{dropdown} More\nText.\n:::\n", "a dropdown is an Answer"),
    "solution without code": ("```{code-cell} ipython3\nassert 1 < 2\n```", "So.", "does not execute"),
    "solution without assert": ("assert 1 < 2", "1 < 2", "no assert in its solution"),
    "solution that glues": ("assert 1 < 2", "assert 1 < 2\nglue('a', 1)", "glues a number"),
    "solution too early": ("## Limits: where", "## Limits\n\n```{solution-start} x\n", "outside of Exercises"),
    "cell after the exercises": ("## Summary\n", "## Summary\n\n```{code-cell} ipython3\nN\n```\n", "no solution's"),
    "no self-check": ("## Check yourself", "## Check me", "sections must be"),
    "two questions": ("**3.** Why?\n\n:::{dropdown} Answer\nBecause.\n:::\n", "", "3-5 self-check questions"),
    "question without answer": ("Why?\n\n:::{dropdown} Answer", "Why?\n\n:::{note}", "self-check: **1.**"),
    "answer in the open": (":::{dropdown} Answer\nNo.\n:::", "No.", "self-check: **1.**"),
    "miscounted question": ("**2.** This", "**3.** This", "self-check: **1.**"),
    "no question": ("Does it?", "It does.", "self-check: **1.**"),
    "code in the self-check": ("**3.** Why?\n", "```{code-cell} ipython3\nN\n```\n\n**3.** Why?\n", "prose only"),
    "assert only in solutions": ("assert N > 0", "N > 0", "no assert"),
}


def test_toc_lists_every_chapter():
    present = {f"chapters/{path.stem}" for path in (ROOT / "chapters").glob("*.md")}
    assert present == set(LISTED)


@pytest.mark.parametrize("name", LISTED)
def test_chapter_keeps_the_rules(name):
    text = (ROOT / f"{name}.md").read_text(encoding="utf8")
    if "{code-cell}" in text:
        assert "format_name: myst" in text[:2000], "its cells would not be collected as tests"
    found = problems(text, numbered=bool(re.match(r"chapters/\d\d_", name)))
    assert not found, "\n" + "\n".join(found)


def test_lint_accepts_a_good_chapter():
    assert problems(CHAPTER, numbered=True) == []


def test_lint_accepts_a_literal_with_a_reason():
    good = "# A claim\n\n% lint: literal quoted from the paper\nThey report 0.37 and\n- 12 %.\n"
    assert problems(CHAPTER.replace("# A claim\n", good), numbered=True) == []


@pytest.mark.parametrize(("old", "new", "message"), BROKEN.values(), ids=BROKEN)
def test_lint_refuses(old, new, message):
    assert old in CHAPTER
    found = problems(CHAPTER.replace(old, new), numbered=True)
    assert any(message in text for text in found), found
