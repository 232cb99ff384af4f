"""Local Sphinx extension: pages that load their pictures late, and names of the package that lead to their reference.

The names are linked where a page imports them, and where its text first mentions one as `lib.module.name`.
"""

import re
from pathlib import Path

import imagesize
from docutils import nodes

IMPORT = re.compile(  # from lib.module import one, two; or (one, two) over several lines
    r'<span class="nn">(lib\.\w+)</span>([^\n]*?<span class="kn">import</span>)([^\n(]*\([^)]*\)|[^\n]*)'
)


def late_images(app, pagename, templatename, context, doctree):
    """Let pictures below the first load when they come near; with their size known, the text does not jump."""
    sources = {f"_images/{name}": Path(app.srcdir) / path for path, name in app.builder.images.items()}
    seen = 0

    def attributes(match):
        nonlocal seen
        seen += 1
        tag, source = match[0], re.search(r'src="(?:\.\./)*([^"]+)"', match[0])
        extra = ' loading="lazy"' if seen > 1 and "loading=" not in tag else ""
        path = sources.get(source[1]) if source else None
        if path and path.exists() and not re.search(r"\b(width|height)=", tag):
            width, height = imagesize.get(path)
            extra += f' width="{width}" height="{height}"' if width > 0 else ""
        return f"<img{extra}{tag[4:]}"

    if "body" in context:
        context["body"] = re.sub(r"<img\b[^>]*>", attributes, context["body"])


def reference(app, docname, name):
    """Address of a name's reference seen from a page; None for the reference itself and for names that have none."""
    found = app.env.domains["py"].objects.get(name)
    if found and found.docname != docname:
        return f"{app.builder.get_relative_uri(docname, found.docname)}#{found.node_id}"
    return None


def link_imports(app, pagename, templatename, context, doctree):
    """Link the names that a page's cells import from the package."""

    def names(match):
        def name(found):
            uri = reference(app, pagename, f"{match[1]}.{found[1]}")
            return f'<a class="api" href="{uri}">{found[0]}</a>' if uri else found[0]

        linked = re.sub(r'<span class="n">(\w+)</span>', name, match[3])
        return f'<span class="nn">{match[1]}</span>{match[2]}{linked}'

    if "body" in context and not pagename.startswith("_modules"):
        context["body"] = IMPORT.sub(names, context["body"])


def link_names(app, doctree, docname):
    """Link the first mention of each public name, `lib.module.name` in running text, to its reference."""
    seen = set()
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().removesuffix("()")
        inside_link = isinstance(literal.parent, (nodes.reference, nodes.title))
        if name in seen or inside_link or not re.match(r"lib\.\w", name):
            continue
        if target := reference(app, docname, name):
            seen.add(name)
            link = nodes.reference("", "", internal=True, refuri=target)
            literal.replace_self(link)
            link += literal


def drop_dead_links(app, pagename, templatename, context, doctree):
    """Remove a source listing's links back to the reference where a name has no entry there.

    A name that is imported into the module that shows it is listed with its neighbours, of which not all are public.
    """

    def kept(match):
        return match[0] if match[1] in app.env.domains["py"].objects else ""

    if "body" in context and pagename.startswith("_modules"):
        context["body"] = re.sub(r'<a class="viewcode-back" href="[^"#]*#([^"]+)">\[docs\]</a>', kept, context["body"])


def setup(app):
    """Register the hooks."""
    app.connect("doctree-resolved", link_names)
    app.connect("html-page-context", late_images, priority=700)
    app.connect("html-page-context", link_imports, priority=700)
    app.connect("html-page-context", drop_dead_links, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
