"""Local Sphinx extension: all that depends on where the course is published, from one key.

The key is `repository: url:` of `_config.yml`, or the environment variable COURSE_REPOSITORY, which the publishing
workflow sets by itself, in a fork too. Unset: no button, no canonical address, nothing that could break. Set:
repository and issue buttons, notebooks that open on Binder, Colab and a JupyterHub, canonical addresses, social card,
site map.
"""

import os
import re
from html import escape
from pathlib import Path
from urllib.parse import quote, urlencode

from docutils import nodes

NOTEBOOKS = "notebooks"  # branch with the executed notebooks beside their sources; see .github/workflows/publish.yml
CARD = "social_card.png"
DESCRIPTION = "A course, executed from end to end, on memorization in learned priors for geophysical inverse problems."


def configure(app, config):
    """Set what follows from the address."""
    theme = config.html_theme_options
    config.course_hub = theme.pop("launch_buttons", {}).get("jupyterhub_url", "").rstrip("/")
    url = (os.environ.get("COURSE_REPOSITORY") or theme.get("repository_url") or "").rstrip("/").removesuffix(".git")
    config.course_repository = url
    if not url:
        return
    if not (parts := re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", url)):
        raise ValueError(f"repository: url: must look like https://github.com/owner/name, got {url!r}")
    theme.update(repository_url=url, use_repository_button=True, use_issues_button=True)
    config.html_baseurl = config.html_baseurl or f"https://{parts[1].lower()}.github.io/{parts[2]}/"
    config.html_baseurl = config.html_baseurl.rstrip("/") + "/"


def describe(doctree):
    """What stands after *What you will do*, else a page's first paragraph; at most 200 characters."""
    paragraphs = [p for p in doctree.findall(nodes.paragraph) if isinstance(p.parent, (nodes.section, nodes.document))]
    texts = [" ".join(p.astext().split()) for p in paragraphs]
    wanted = [text.removeprefix("What you will do. ") for text in texts if text.startswith("What you will do.")]
    text = (wanted or texts or [DESCRIPTION])[0]
    return text if len(text) <= 200 else text[:200].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def launch_buttons(config, pagename):
    """Buttons that open a page's executed notebook where somebody else computes."""
    owner, name = config.course_repository.split("/")[-2:]
    path = f"{pagename}.ipynb"
    buttons = [
        ("Colab", f"https://colab.research.google.com/github/{owner}/{name}/blob/{NOTEBOOKS}/{path}", "logo_colab.png"),
        ("Binder", f"https://mybinder.org/v2/gh/{owner}/{name}/{NOTEBOOKS}?urlpath=lab/tree/{path}", "logo_binder.svg"),
    ]
    if config.course_hub:
        query = {"repo": config.course_repository, "branch": NOTEBOOKS, "urlpath": f"lab/tree/{name}/{path}"}
        pull = f"{config.course_hub}/hub/user-redirect/git-pull?{urlencode(query, safe='/')}"
        buttons.append(("JupyterHub", pull, "logo_jupyterhub.svg"))
    links = [
        {"type": "link", "text": text, "url": url, "icon": f"_static/images/{logo}", "tooltip": f"Open on {text}"}
        for text, url, logo in buttons
    ]
    group = {"type": "group", "buttons": links, "icon": "fas fa-rocket", "label": "launch-buttons"}
    return group | {"tooltip": "Run this page"}


def feedback(config, pagename, pathto):
    """Line of the footer that says where to report an error of this page."""
    errata = f'<a href="{pathto("chapters/appendix_errata")}">errata</a>'
    mark = f'<span data-book-pdf="{pathto("book.pdf", 1)}"></span>'  # print_book.py makes it a link
    if not config.course_repository:
        return f"<p>Found an error? The {errata} say how to report it, and list what was corrected. {mark}</p>"
    query = urlencode({"title": f"{pagename}: ", "body": "What is wrong, and where on the page?"}, quote_via=quote)
    issue = f"{config.course_repository}/issues/new?{query}"
    return f'<p>Found an error? <a href="{escape(issue)}">Report it on this page</a>; see also the {errata}. {mark}</p>'


def dress(app, pagename, templatename, context, doctree):
    """Give a page its description, feedback line, launch buttons and social card."""
    config, pathto = app.config, context["pathto"]
    description = describe(doctree) if doctree is not None else DESCRIPTION
    tags = [("name", "description", description)]
    if pagename in app.env.found_docs:
        context["theme_extra_footer"] = feedback(config, pagename, pathto) + (context.get("theme_extra_footer") or "")
    if config.course_repository:
        if pagename == "404":
            context["metatags"] = f'<base href="{config.html_baseurl}">\n' + context.get("metatags", "")
        elif (Path(app.outdir).parent / "jupyter_execute" / f"{pagename}.ipynb").exists():
            context["header_buttons"].insert(0, launch_buttons(config, pagename))
        tags += [
            ("property", "og:type", "article"),
            ("property", "og:title", re.sub(r"<[^>]+>", "", context.get("title", "")) or config.html_title),
            ("property", "og:description", description),
            ("property", "og:url", config.html_baseurl + app.builder.get_target_uri(pagename)),
            ("property", "og:image", f"{config.html_baseurl}_static/{CARD}"),
            ("name", "twitter:card", "summary_large_image"),
        ]
    lines = [f'<meta {kind}="{key}" content="{escape(str(value))}" />' for kind, key, value in tags]
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines])


def write_sitemap(app, error):
    """List the pages for search engines."""
    if error or not app.config.course_repository:
        return
    pages = sorted(app.builder.get_target_uri(name) for name in app.env.found_docs)
    places = "\n".join(f"<url><loc>{escape(app.config.html_baseurl + page)}</loc></url>" for page in pages)
    text = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    (Path(app.outdir) / "sitemap.xml").write_text(f"{text}{places}\n</urlset>\n", encoding="utf8")


def setup(app):
    """Register the hooks."""
    app.add_config_value("course_repository", "", "html", str)
    app.add_config_value("course_hub", "", "html", str)
    app.connect("config-inited", configure, priority=300)
    app.connect("html-page-context", dress, priority=600)  # after the theme made its buttons
    app.connect("build-finished", write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
