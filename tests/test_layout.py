"""The house rules of lib: imports run downwards only, one concept a file of at most 200 lines, a light package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[1] / "lib"
ROWS = [  # a module imports only from rows above its own; rooms split off a module stand just above it
    {"checks"},
    {"gaussian"},
    {"mixture", "jacobian", "schedule", "diagnostics"},
    {"geology", "loaders"},
    {"acquisition"},
    {"forward", "velocity", "seismic"},
    {"guidance"},
    {"posterior", "samplers"},
    {"inversion", "scale", "plotting"},
    {"problem", "own_models"},
]
FILES = sorted(path for path in LIB.glob("*.py") if path.stem != "__init__")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "lib":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lib."):
            yield node.module.split(".")[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_come_from_rows_above(path):
    row = next(k for k, names in enumerate(ROWS) if path.stem in names)
    allowed = set().union(*ROWS[:row])
    assert set(imported(path)) <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_has_at_most_200_lines(path):
    assert len(path.read_text(encoding="utf8").splitlines()) <= 200


def test_importing_the_package_imports_nothing_heavy():
    code = "import lib, sys; print({'torch', 'numpy', 'deepwave', 'matplotlib'} & set(sys.modules))"
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=LIB.parent, text=True)
    assert printed.strip() == "set()"
