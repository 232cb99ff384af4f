"""Sentences of a Markdown paragraph, and as many of them as a slide can hold."""

import re

# Formulas, code and links hold full stops of their own.
WHOLE = re.compile(r"\$[^$]+\$|`[^`]+`|\[[^\]]*\]\([^)]*\)")
SHORT = ("e.g.", "i.e.", "et al.", "cf.", "vs.", "Fig.", "Eq.", "eq.", "Sec.", "approx.", "resp.")
END = re.compile(r"(?<=[.!?])(?:[*\"')\]]*)\s+(?=[A-Z*\"'(\[\ue000])")


def sentences(text):
    """Split a paragraph at the ends of its sentences; formulas and code stay whole."""
    text, kept = " ".join(text.split()), []

    def mask(match):
        kept.append(match[0])
        return f"\ue000{len(kept) - 1}\ue001"

    masked, parts, start = WHOLE.sub(mask, text), [], 0
    for match in END.finditer(masked):
        if not masked[start : match.end()].rstrip().endswith(SHORT):
            parts.append(masked[start : match.end()].strip())
            start = match.end()
    parts.append(masked[start:].strip())
    return [re.sub("\ue000(\\d+)\ue001", lambda m: kept[int(m[1])], part) for part in parts if part]


def length(text):
    """Letters that a reader sees: the commands of a formula take less room than their names."""
    text = re.sub(r"\\(?:text|mathrm|operatorname|mathcal|mathbb|lVert|rVert|left|right|quad|top|!|,|;)", "", text)
    return len(re.sub(r"\\[a-zA-Z]+", "x", text).replace("$", "").replace("*", "").replace("{", "").replace("}", ""))


def first(text, room):
    """The first sentences that fit into a number of letters, at least one."""
    chosen, used = [], 0
    for sentence in sentences(text):
        used += length(sentence) + 1
        if chosen and used > room:
            break
        chosen.append(sentence)
    return " ".join(chosen)


def last(text, room):
    """The last sentences that fit, at least one."""
    chosen, used = [], 0
    for sentence in reversed(sentences(text)):
        used += length(sentence) + 1
        if chosen and used > room:
            break
        chosen.insert(0, sentence)
    return " ".join(chosen)
