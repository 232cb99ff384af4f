"""The graded assignments: nothing leaks, every submission gets the points beside it, last year's solutions fail."""

from functools import cache

import assignment_secrets
import pytest
from classroom_setup import DEMO, SUBMISSIONS, by_student, grade, gradebook, hand_in, release, submissions, variants

NAMES = variants.names()
SEEDS = (1, 2)
EVERY = [(name, path.stem) for name in NAMES for path in sorted((SUBMISSIONS / name).glob("*.py"))]
RELEASES = [pytest.param("demo", seed, DEMO, id=f"demo-{seed}") for seed in (0, *SEEDS)]
RELEASES += [pytest.param(n, s, variants.ASSIGNMENTS, id=f"{n}-{s}") for n in NAMES for s in (0, *SEEDS, 2027)]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Results by student of one assignment: the test submissions, or in a variant its own solution and last year's."""

    @cache
    def batch(name, seed=0):
        folder = tmp_path_factory.mktemp(f"{name}-{seed}")
        kinds = {"reference": "reference", "empty": "empty"} | {p.stem: p for p in (SUBMISSIONS / name).glob("*.py")}
        for student, kind in (kinds if seed == 0 else {"reference": "reference", "last-year": "last-year"}).items():
            hand_in(folder / "submitted", student, name, submissions.notebook(name, kind, seed))
        return by_student(grade(folder / "submitted", folder / "out", seed=seed))

    return batch


def automatic(name, seed=0):
    """Points that nbgrader gives by itself."""
    cells = release.master_notebook(name, seed).cells
    return sum(
        c.metadata.nbgrader.points
        for c in cells
        if c.metadata.get("nbgrader", {}).get("grade") and c.cell_type == "code"
    )


@pytest.mark.parametrize(("name", "seed", "folder"), RELEASES)
def test_the_release_holds_no_solution_no_hidden_test_and_nothing_that_tells_of_them(name, seed, folder):
    assert len(assignment_secrets.secrets(name, seed, folder)) >= 3  # the search has something to look for
    notebook = release.student_notebook(name, seed, folder)
    assert assignment_secrets.leaks("\n".join(cell.source for cell in notebook.cells), name, seed, folder) == []
    for cell in notebook.cells:
        assert not any(word in cell.source.upper() for word in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS"))
        assert set(cell) <= {"cell_type", "id", "metadata", "source", "outputs", "execution_count"}
        assert set(cell.metadata) <= {"nbgrader", "deletable", "editable"}
        assert (cell.get("outputs"), cell.get("execution_count")) in [([], None), (None, None)]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.mark.parametrize("name", NAMES)
def test_an_assignment_has_twenty_points_and_enough_test_submissions(name):
    assert sum(gradebook.points_of(release.master_notebook(name)).values()) == 20
    totals = [submissions.read(path).total for path in (SUBMISSIONS / name).glob("*.py")]
    assert sum(total == automatic(name) for total in totals) >= 2
    assert sum(total < automatic(name) for total in totals) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_reference_gets_all_points_and_an_empty_submission_none(name, graded):
    results = graded(name)
    assert results["reference"]["total"] == automatic(name)
    assert results["empty"]["total"] == 0
    assert results["reference"]["remarks"] == results["empty"]["remarks"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "student"), EVERY)
def test_a_submission_gets_the_points_beside_it(name, student, graded):
    expected, found = submissions.read(SUBMISSIONS / name / f"{student}.py"), graded(name)[student]
    got = {cell: found["points"][cell] for cell in expected.points}
    assert (got, found["total"]) == (expected.points, expected.total), found["remarks"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_last_years_solution_loses_half_the_points_of_a_variant_and_its_own_keeps_them(name, seed, graded):
    results = graded(name, seed)
    assert results["reference"]["total"] == automatic(name, seed)
    assert results["last-year"]["total"] <= automatic(name, seed) / 2
