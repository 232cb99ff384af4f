"""Sources of the assignments, and private variants of them made from one seed."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ASSIGNMENTS = ROOT / "chapters" / "assignments"


def names(folder=ASSIGNMENTS):
    """Names of the assignments in a folder: its MyST notebooks with nbgrader cells, sorted."""
    if not folder.is_dir():
        return []
    return sorted(path.stem for path in folder.glob("*.md") if "nbgrader" in path.read_text(encoding="utf8"))


def replacements(name, seed, folder=ASSIGNMENTS):
    """Pairs (old text, new text) that make variant ``seed``; none for variant 0."""
    if seed == 0:
        return []
    path = folder / f"{name}_variants.py"
    if not path.is_file():
        raise FileNotFoundError(f"{name} has no variants: {path} is missing")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.replacements(seed)


def source_text(name, seed=0, folder=ASSIGNMENTS):
    """Text of an assignment's source, with solutions and hidden tests, in one variant.

    Args:
        name: Name of the assignment, such as ``ps1``.
        seed: The variant; 0 is the published one.
        folder: Where the sources lie.

    Raises:
        FileNotFoundError: There is no such assignment, or it has no variants.
        ValueError: The name or the seed makes no sense, or a text that the variant replaces is not in the source.
    """
    if not re.fullmatch(r"\w[\w-]*", name):
        raise ValueError(f"name must be that of an assignment, such as ps1, got {name!r}")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or larger, got {seed!r}")
    path = folder / f"{name}.md"
    if not path.is_file():
        raise FileNotFoundError(f"no assignment {name!r}: there are {', '.join(names(folder)) or 'none'} in {folder}")
    text = path.read_text(encoding="utf8")
    for old, new in replacements(name, seed, folder):
        if not old or old not in text:
            raise ValueError(f"variant {seed} of {name} replaces a text that is not in the source: {old!r}")
        text = text.replace(old, new)
    return text
