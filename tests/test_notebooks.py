"""MyST text becomes Markdown that a plain JupyterLab or a Colab shows."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chapters" / "_ext"))
from plain_markdown import Names, plain

PERSON = SimpleNamespace(last_names=["Karras"])
ENTRY = SimpleNamespace(persons={"author": [PERSON] * 3}, fields={"year": "2022"})


class Environment:
    """The part of Sphinx's environment that knows labels, numbers and citations."""

    domains = {
        "std": SimpleNamespace(
            labels={"ch-a": ("chapters/a", "ch-a", "Title")}, anonlabels={"fig-x": ("chapters/a", "fig-x")}
        ),
        "math": SimpleNamespace(equations={"eq-x": ("chapters/a", 1)}),
    }
    toc_fignumbers = {"chapters/a": {"figure": {"fig-x": (4, 2)}, "displaymath": {"equation-eq-x": (4, 1)}}}

    def get_domain(self, name):
        """Citations."""
        return SimpleNamespace(bibdata=SimpleNamespace(data=SimpleNamespace(entries={"karras": ENTRY})))


NAMES = Names(Environment(), "chapters/a", {"gap": {"data": {"text/plain": "0.1234"}}})
LINKED = Names(Environment(), "chapters/a", {}, "https://x.github.io/y/")


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("A gap of {glue:text}`gap:.2f`.", "A gap of 0.12."),
        ("In {numref}`fig-x` and {eq}`eq-x`.", "In *Fig. 4.2* and (4.1)."),
        ("By {footcite:t}`karras`, see {ref}`ch-a`.", "By Karras et al. (2022), see *Title*."),
        ("Shown {footcite:p}`karras,karras`.", "Shown (Karras et al., 2022; Karras et al., 2022)."),
        ("A {term}`score` and a {term}`score <Score>`.", "A score and a score."),
        ("By {prf:ref}`thm-a` and {ref}`ex-a`.", "By *the theorem* and *the exercise*."),
        ("{ref}`here <ch-a>`", "*here*"),
        ("(ch-a)=\n# Title", "# Title"),
        ("```{math}\n:label: eq-x\na = b\n```", "$$\na = b \\tag{4.1}\n$$"),
        ("```{math}\na \\\\ b\n```", "$$\n\\begin{aligned}\na \\\\ b\n\\end{aligned}\n$$"),
        (":::{admonition} Aims\n:class: note\n- one\n:::", "> **Aims**\n>\n> - one"),
        ("```{exercise} Derive\n:label: ex\nWhy?\n```", "> **Exercise Derive**\n>\n> Why?"),
        ("```{footbibliography}\n```", ""),
        (":::{dropdown} Answer\nNo, $a$.\n:::", "<details><summary>Answer</summary>\n\nNo, $a$.\n\n</details>"),
        (
            ":::{exercise} Go\n:label: ex\nWhy?\n\n```{dropdown} Hint\nThink.\n```\n:::",
            "> **Exercise Go**\n>\n> Why?\n>\n> <details><summary>Hint</summary>\n>\n> Think.\n>\n> </details>",
        ),
    ],
)
def test_plain_markdown(source, result):
    assert plain(source, NAMES) == result


def test_references_are_links_where_the_address_is_known():
    assert plain("{ref}`ch-a`", LINKED) == "[Title](https://x.github.io/y/chapters/a.html#ch-a)"
