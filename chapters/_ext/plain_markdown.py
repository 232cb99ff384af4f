"""MyST text as plain Markdown, for notebooks that open in a JupyterLab or a Colab that knows no MyST."""

import ast
import re

FENCE = re.compile(r"^(`{3,}|:{3,})\{([\w:-]+)\}\s*(.*)$")
SILENT = {"footbibliography", "bibliography", "solution-end", "exercise-end", "course-status"}


class Names:
    """What labels, equation numbers, citations and glued values stand for, seen from one page."""

    def __init__(self, env, docname, glued, base=""):
        self.env, self.docname, self.glued, self.base = env, docname, glued, base

    def number(self, label, kind="figure"):
        """Number of a labelled equation or figure, "4.2"; empty where it has none."""
        if kind == "displaymath":
            found = self.env.domains["math"].equations.get(label)
            place = (found[0], f"equation-{label}") if found else None
        else:
            place = self.env.domains["std"].anonlabels.get(label)
        numbers = self.env.toc_fignumbers.get(place[0], {}).get(kind, {}) if place else {}
        return ".".join(map(str, numbers.get(place[1], ()))) if place else ""

    def link(self, label, text=""):
        """A reference to a label: its text, as a link where the book's address is known."""
        place = self.env.domains["std"].labels.get(label) or self.env.domains["std"].anonlabels.get(label, ("", "", ""))
        kind = "the theorem" if label.startswith("thm-") else "the exercise"
        text = text or (place[2] if len(place) > 2 else "") or kind
        return f"[{text}]({self.base}{place[0]}.html#{place[1]})" if self.base and place[0] else f"*{text}*"

    def glue(self, body):
        """A value of the executed page in the format that the text asks for."""
        key, _, form = body.partition(":")
        data = self.glued.get(key, {}).get("data", {})
        value = next((text for mime, text in data.items() if mime.endswith("text/plain")), "?")
        try:
            value = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            return str(value)
        return format(value, form) if form else str(value)

    def cite(self, body, inside=False):
        """Authors and year; inside parentheses where the text does not name them itself."""
        texts = []
        for key in body.split(","):
            entry = self.env.get_domain("cite").bibdata.data.entries.get(key.strip())
            if entry is None:
                texts.append(key)
                continue
            names = [" ".join(person.last_names) for person in entry.persons.get("author", [])]
            shown = names[0] + " et al." if len(names) > 2 else " and ".join(names)
            year = entry.fields.get("year", "")
            texts.append(f"{shown}, {year}" if inside else f"{shown} ({year})")
        return f"({'; '.join(texts)})" if inside else ", ".join(texts)

    def role(self, match):
        """Plain text of one role."""
        role, body = match.groups()
        body = " ".join(body.split())
        pair = re.fullmatch(r"(.*?)\s*<([^<>]+)>", body, re.S)
        text, target = pair.groups() if pair else ("", body)
        if role.startswith("glue"):
            return self.glue(body)
        if "cite" in role:
            return self.cite(body, inside=role.endswith(":p"))
        if role == "eq":
            return f"({self.number(body, 'displaymath')})"
        if role == "math":
            return f"${body}$"
        if role == "numref" and (number := self.number(target)):
            return self.link(target, f"Fig. {number}")
        if role in {"ref", "numref", "prf:ref", "doc"}:
            return self.link(target, text)
        return text or (target if role == "term" else f"`{target}`")


def options_off(lines):
    """Options of a directive, and the lines of its body."""
    options, lines = {}, list(lines)
    while lines and (match := re.match(r":([\w-]+):\s*(.*)$", lines[0])):
        options[match[1]] = match[2]
        lines.pop(0)
    return options, lines


def directive(name, argument, lines, names):
    """Plain lines of one directive."""
    options, body = options_off(lines)
    if name in SILENT:
        return []
    if name == "math":
        text = "\n".join(body).strip()
        text = f"\\begin{{aligned}}\n{text}\n\\end{{aligned}}" if r"\\" in text and r"\begin{" not in text else text
        number = names.number(options.get("label", ""), "displaymath")
        return ["$$", text + (f" \\tag{{{number}}}" if number else ""), "$$"]
    inner = "\n".join(convert(body, names)).strip().splitlines()
    if name in {"solution-start", "solution"}:
        return ["**Solution.**", "", *inner, ""]
    if name == "dropdown":  # JupyterLab and Colab fold this too
        return [f"<details><summary>{argument}</summary>", "", *inner, "", "</details>", ""]
    title = argument if name == "admonition" else " ".join(filter(None, [name.split(":")[-1], argument]))
    title = re.sub(r"\{([\w:.-]+)\}`([^`]+)`", names.role, title)
    return [f"> {line}".rstrip() for line in [f"**{title[:1].upper()}{title[1:]}**", "", *inner]] + [""]


def convert(lines, names):
    """Plain lines of MyST lines."""
    result, lines = [], list(lines)
    while lines:
        line = lines.pop(0)
        if match := FENCE.match(line):
            end = next((k for k, other in enumerate(lines) if other.strip() == match[1]), len(lines))
            result += directive(match[2], match[3], lines[:end], names)
            del lines[: end + 1]
        elif line.startswith("```"):  # a plain code block keeps its text
            end = next((k for k, other in enumerate(lines) if other.strip() == "```"), len(lines) - 1)
            result += [line, *lines[: end + 1]]
            del lines[: end + 1]
        elif not re.match(r"(\([\w:.-]+\)=|%.*)$", line):
            result.append(line)
    return result


def plain(text, names):
    """Plain Markdown of a MyST cell."""
    text = "\n".join(convert(text.splitlines(), names))
    return re.sub(r"\{([\w:.-]+)\}`([^`]+)`", names.role, text).strip()
