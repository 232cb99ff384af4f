"""Rules for the chapters' sources. ``problems(text, numbered)`` returns one message for each broken rule."""

import ast
import importlib
import re
from statistics import median

import jupytext
from chapter_template import template_problems

MAX_LINES, MAX_PLOT_LINES, MAX_MEDIAN = 20, 25, 8
ALLOWED_TAGS = {"hide-input", "hide-output"}
WIDGETS = {"slider", "quiz"}  # of lib.widgets; they bring the alt texts of their frames along
COUNTED_WORDS = r"(?:sections?|sec\.|figures?|fig\.|eqs?\.|tables?|chapters?|versions?|python|cc by)[\s(]*$"
LITERAL = re.compile(
    r"(?<![\w.])\d*\.\d+(?!\.?\d)"  # 0.37, .37; not 0.1.0
    r"|(?<![\w.])\d+(?:\.\d+)?e[-+]?\d+"  # 1e-3
    r"|(?<![\w.])\d+\s?(?:%|per ?cent)"  # 12 %
)


def split_cells(text):
    """Code cells and the joined prose."""
    cells = jupytext.reads(text, fmt="md:myst").cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    return code, "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def outside_fences(prose):
    """Prose without code blocks, math blocks and tips; the text of other directives stays."""
    kept, fences = [], []
    for line in prose.splitlines():
        fence = re.match(r"\s*(`{3,}|:{3,})(.*)", line)
        if fence and fences and fence[1] == fences[-1][0] and not fence[2].strip():
            fences.pop()
        elif fence:
            directive = re.match(r"\{([\w:-]+)\}", fence[2])
            hidden = directive is None or directive[1] in {"math", "code", "literalinclude", "tip"}
            fences.append((fence[1], hidden))
        elif not any(hidden for _, hidden in fences):
            kept.append(line)
            continue
        kept.append("")
    return "\n".join(kept)


def typed_numbers(prose):
    """Decimals, powers of ten and percentages that stand in prose instead of coming from glue."""
    found = []
    prose = outside_fences(prose)
    prose = re.sub(r"\$\$.*?\$\$|\\begin\{(\w+\*?)\}.*?\\end\{\1\}", "", prose, flags=re.S)
    prose = re.sub(r"(?<!\\)\$[^$]+\$|`[^`]*`|\]\([^)]*\)|https?://\S+|<[^>\n]+>", " ", prose)
    allowed = False
    for line in prose.splitlines():
        if mark := re.match(r"% lint: literal\b(.*)", line):
            allowed = True
            if not mark[1].strip():
                found.append("'% lint: literal' needs a reason")
        elif not line.strip():
            allowed = False
        elif not allowed and not re.match(r"\s*(#|\||%|:\w[\w-]*:|[:`]{3,})", line):
            for number in LITERAL.finditer(line):
                if not re.search(COUNTED_WORDS, line[: number.start()], re.I):
                    found.append(f"number typed in prose, use glue or math: {number[0]!r} in {line!r}")
    return found


def missing_imports(tree):
    """Imports from lib that do not exist."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            wanted = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        for module, name in wanted:
            if not re.match(r"lib(\.|$)", module or ""):
                continue
            try:
                if name and not hasattr(importlib.import_module(module), name):
                    importlib.import_module(f"{module}.{name}")
                importlib.import_module(module)
            except ImportError:
                yield f"{module}.{name}" if name else module


def top_level_nodes(tree):
    """Nodes that run when the cell runs: not the bodies of the functions it defines."""
    stack = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, ast.Lambda):
            stack.extend(ast.iter_child_nodes(node))


def draws(tree, plotters):
    """Tell whether the cell calls pyplot or lib.plotting (styles apart)."""
    for node in top_level_nodes(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.split(".")[0] in plotters and not re.search(r"style|rcParams|close|cm\.", name):
                return True
    return False


def widget_calls(tree, makers):
    """Calls of lib.widgets in a cell."""
    nodes = (node for node in top_level_nodes(tree) if isinstance(node, ast.Call))
    return [node for node in nodes if ast.unparse(node.func).removeprefix("widgets.") in makers]


def widget_problems(call):
    """Problems of one interactive figure: words for its frames, and a name that ids can be made from."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    name = given.get("name")
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        yield "widget whose name is no plain text"
    alt = given.get("alt")
    if alt is None or isinstance(alt, ast.Lambda) and isinstance(alt.body, ast.Constant):
        yield "widget whose alt text does not follow its frames (alt=)"


def cell_problems(cell, plotters):
    """Problems of one code cell."""
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    here = f"cell {first[:40]!r}"
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:
        return [f"{here}: not plain Python (no magics, no !pip)"]
    tags, options = set(cell.metadata.get("tags", [])), cell.metadata.get("mystnb", {})
    figure, image = options.get("figure") or {}, options.get("image") or {}
    widgets = widget_calls(tree, WIDGETS)
    found = [f"{here}: tag {tag} is not allowed" for tag in sorted(tags - ALLOWED_TAGS)]
    found += [f"{here}: {problem}" for call in widgets for problem in widget_problems(call)]
    found += [f"{here}: {name} does not exist" for name in missing_imports(tree)]
    if re.search(r"""["']jet(_r)?["']|\bcm\.jet|plt\.jet""", cell.source):
        found.append(f"{here}: the colour map jet is not allowed")
    length = code_lines(cell)
    if length > (MAX_PLOT_LINES if "hide-input" in tags and figure else MAX_LINES):
        found.append(f"{here}: {length} lines")
    if "hide-input" in tags and not figure:
        found.append(f"{here}: hide-input is for figures only")
    if figure or widgets or draws(tree, plotters):
        if not str(figure.get("name", "")).startswith("fig-"):
            found.append(f"{here}: figure without a name that starts with fig-")
        if not str(figure.get("caption", "")).strip():
            found.append(f"{here}: figure without a caption")
        if not widgets and len(str(image.get("alt", "")).strip()) < 10:
            found.append(f"{here}: figure without an alt text (mystnb: image: alt:)")
    return found + typed_numbers(str(figure.get("caption", "")))


def code_lines(cell):
    """Lines that are neither blank nor only a comment."""
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in cell.source.splitlines())


def problems(text, numbered):
    """All problems of one chapter; the template is asked of numbered chapters only."""
    code, prose = split_cells(text)
    source = "\n".join(cell.source for cell in code)
    plotters = {"plt", *re.findall(r"from lib import .*?\b(plotting)\b", source)}
    for names in re.findall(r"from lib\.plotting import \(?([\w\s,]+)", source):
        plotters.update(name.strip() for name in names.split(","))
    found = [message for cell in code for message in cell_problems(cell, plotters)]
    names = re.findall(r"""\b(?:slider|quiz)\(.*?\bname=["']([\w-]*)["']""", source, re.S)
    found += [f"two widgets of one name: {name}" for name in sorted({n for n in names if names.count(n) > 1})]
    if code and median(map(code_lines, code)) > MAX_MEDIAN:
        found.append(f"median cell has {median(map(code_lines, code))} lines, more than {MAX_MEDIAN}")
    if "[^" in re.sub(r"\$[^$]*\$|`[^`]*`", "", prose):
        found.append("footnote [^...]: use a parenthesis or a citation")
    return found + typed_numbers(prose) + (template_problems(text, code, prose) if numbered else [])
