"""The rules by which a chapter becomes slides: one figure or one idea on each, the chapter's text in the notes.

- The title with what the chapter does; the learning objectives.
- In each section, under its heading, in order: a slide for each numbered formula with the sentences around it, for each
  theorem, figure (with its caption and what to see), table, list, and for what is to be seen in printed numbers.
- A section with none of these gives one slide of its paragraphs' first sentences.
- The questions for oneself, their answers in the notes; the titles of the exercises; the summary, with what comes next.
  Code and solutions give no slides.
- Each paragraph goes to the notes of the slide that it leads to or explains.
"""

import re

from slides.outline import Slide, quoted, split
from slides.sections import section_slides
from slides.sentences import first


def opening_slides(title, blocks):
    """The title, with what the chapter does, and the learning objectives."""
    texts = [block.text for block in blocks if block.kind == "text"]
    promise = next((text for text in texts if text.startswith("**What you will do.**")), "")
    shown = [("text", promise.removeprefix("**What you will do.**").strip())] if promise else []
    slides = [Slide(title, [("opening", ""), *shown], notes=texts)]
    for block in blocks:
        head, body = quoted(block) if block.kind == "quote" else ("", "")
        if head == "Learning objectives":
            slides.append(Slide(head, [("list", re.findall(r"- (.+(?:\n {2}.+)*)", body))], notes=[]))
        elif block.kind in {"quote", "table"}:
            slides[-1].notes.append(body or block.text)
    return slides


def exercise_slides(section):
    """The titles of the exercises with their minutes; their texts are in the notes."""
    exercises = [quoted(block) for block in section.blocks if block.kind == "quote"]
    exercises = [(head.removeprefix("Exercise "), body) for head, body in exercises if head.startswith("Exercise ")]
    items = [f"**{head}** {(re.match(r'[(][^)]*[)]', body) or [''])[0]}" for head, body in exercises]
    notes = [f"**{head}.** {body}" for head, body in exercises]
    return [Slide(section.title, [("list", items)], notes=notes)] if items else []


def question_slides(section):
    """The questions for oneself; their answers are in the notes."""
    questions = [block.text for block in section.blocks if re.match(r"\*\*\d+\.\*\* ", block.text)]
    notes = [quoted(block)[1] if block.kind == "quote" else block.text for block in section.blocks]
    return [Slide(section.title, [("list", questions)], notes=notes)] if questions else []


def closing_slides(sections):
    """The summary, and what comes next."""
    summary, following = sections.get("Summary"), sections.get("What's next")
    if summary is None:
        return []
    slides = section_slides(summary)
    texts = [block.text for block in following.blocks if block.kind == "text"] if following else []
    if slides and texts:
        slides[-1].parts.append(("next", first(" ".join(texts), 200)))
    if slides:
        slides[-1].notes += texts
    return slides


def compose(blocks):
    """Title of a chapter, and its slides."""
    title, opening, sections = split(blocks)
    slides, named = opening_slides(title, opening), {section.title: section for section in sections}
    for section in sections:
        if section.title == "Exercises":
            slides += exercise_slides(section)
        elif section.title == "Check yourself":
            slides += question_slides(section)
        elif section.title not in {"Summary", "What's next", "References"}:
            slides += section_slides(section, formulas_only=section.title == "Set-up")
    slides += closing_slides(named)
    for slide in slides:  # a slide that its text does not explain is still announced
        slide.notes = [note for note in slide.notes if note] or [f"{slide.kicker} {slide.title}.".strip()]
    return title, slides
