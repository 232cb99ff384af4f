"""A digest that is the same in another process and changes with anything that matters."""

import functools
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.content import content
from lib.network import ResidualMLP
from lib.problem import waveform_problem
from lib.scale import scale

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Point:
    """Two coordinates."""

    x: float
    y: object = None

    def size(self):
        """The first."""
        return self.x


def scaled(by):
    """A function that closes over a value."""
    return lambda x: by * x


def test_equal_values_have_equal_content():
    pairs = [
        (torch.arange(6.0).reshape(2, 3).T, torch.arange(6.0).reshape(2, 3).T.contiguous()),
        (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
        ({3, 1, 2}, {2, 3, 1}),
        (Point(1.0, [2]), Point(1.0, [2])),
        (scaled(2), scaled(2)),
        (functools.partial(max, 1, key=abs), functools.partial(max, 1, key=abs)),
        (ResidualMLP(3, seed=0), ResidualMLP(3, seed=0)),
        ([1, 2].append, [1, 2].append),
    ]
    for one, other in pairs:
        assert content(one) == content(other)


def test_different_values_have_different_content():
    values = [
        None, 0, 0.0, False, "0", b"0", 1, 1.0, [1], (1,), {1}, {1: 1}, [1, 1], [[1], 1], [1, [1]], ["1", "1"], ["11"],
        torch.ones(2), torch.ones(2, 1), torch.ones(2, dtype=torch.float64), np.ones(2), np.ones((2, 1)), np.float32(1),
        Point(1.0), Point(2.0), Point(1.0, 2.0), scaled(1), scaled(2), scaled, content, len, torch, torch.float32,
        functools.partial(scaled, 1), functools.partial(scaled, 2), functools.partial(scaled, by=1), Path("a"),
        ResidualMLP(3, seed=0), ResidualMLP(3, seed=1), ResidualMLP(4, seed=0), Point(1.0).size, Point, dict,
    ]  # fmt: skip
    assert len({content(value) for value in values}) == len(values)


def test_the_source_of_a_function_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = set()
    for number in (1, 2):
        (tmp_path / f"module{number}.py").write_text(f"def f():\n    return {number}\n")
        function = __import__(f"module{number}").f
        function.__module__ = "module"
        found.add(content(function))
    assert len(found) == 2


def test_content_is_the_same_in_another_process_and_after_use():
    problem = waveform_problem(scale("quick"), thinned=True)
    before = content(problem)
    problem.chi2(problem.examples(1))
    assert content(problem) == before
    code = "from lib.content import *; from lib.problem import *; from lib.scale import *\n"
    code += "print(content(waveform_problem(scale('quick'), thinned=True)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == before
    assert content(waveform_problem(scale("quick"), thinned=True, seed=1)) != before


def test_what_has_no_content_is_refused():
    ring = []
    ring.append(ring)
    with open(__file__) as file:
        for value in (file, threading.Lock(), np.array([len, threading.Lock()]), ring, [{"a": iter([file])}]):
            with pytest.raises(TypeError, match="value must"):
                content(value)
    namespace = {}
    exec("def f(): pass", namespace)
    with pytest.raises(TypeError, match="source of .*f must be in a file"):
        content(namespace["f"])


def test_functions_side_by_side_on_one_line_differ():
    one, two, again = [lambda k: {"a": k + 1}, lambda k: {"a": k + 2}, lambda k: {"a": k + 1}]  # fmt: skip
    inner, other = (lambda: [k * 2 for k in (1, 2)]), (lambda: [k * 3 for k in (1, 2)])
    assert content(one) != content(two)
    assert content(one) == content(again)
    assert content(inner) != content(other)
    assert content(lambda x: x.sin()) != content(lambda x: x.cos())
