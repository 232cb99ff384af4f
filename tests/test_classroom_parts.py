"""Parts of the classroom: variants, the frame of a submission, points by hand, versions, test submissions."""

import pytest
from classroom_setup import DEMO, collect, gradebook, hand_in, release, repair, report, submissions, variants

LOCK = variants.ROOT / "requirements-classroom.txt"


@pytest.fixture
def demo_copy(tmp_path):
    """The tiny assignment in a folder of its own, to be changed."""
    for path in DEMO.glob("demo*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_variant_is_the_same_each_time_and_differs_from_the_published_one():
    texts = [variants.source_text("demo", seed, DEMO) for seed in (0, 1, 1, 2)]
    assert texts[1] == texts[2]
    assert len(set(texts)) == 3
    assert "FACTOR = 3" in texts[1]


def test_a_variant_refuses_a_text_that_is_not_there(demo_copy):
    source = demo_copy / "demo.md"
    source.write_text(source.read_text(encoding="utf8").replace("Multiply", "Take"), encoding="utf8")
    with pytest.raises(ValueError, match="variant 1 of demo replaces a text that is not in the source"):
        variants.source_text("demo", 1, demo_copy)


@pytest.mark.parametrize(
    ("name", "seed", "error"),
    [
        ("nothing", 0, FileNotFoundError),
        ("../demo", 0, ValueError),
        ("demo", -1, ValueError),
        ("demo", "1", ValueError),
    ],
)
def test_a_wrong_name_or_seed_is_refused(name, seed, error):
    with pytest.raises(error, match="assignment|seed"):
        variants.source_text(name, seed, DEMO)


def test_the_release_is_the_same_file_each_time(tmp_path):
    paths = [release.write(tmp_path / name, 1, DEMO)[0] for name in ("a", "b")]
    assert paths[0].relative_to(tmp_path / "a").as_posix() == "demo/demo.ipynb"
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_submission_in_the_frame_is_the_master_with_the_students_text():
    master = release.master_notebook("demo", 0, DEMO)
    notebook, remarks = repair.repair(master, submissions.notebook("demo", "reference", 0, DEMO))
    assert remarks == []
    for cell, original in zip(notebook.cells, master.cells, strict=True):
        assert cell.metadata == original.metadata
        solution = original.metadata.get("nbgrader", {}).get("solution")
        assert (cell.source == original.source) == (not solution)


def test_moved_cells_another_variant_and_suspects_are_told():
    master = release.master_notebook("demo", 0, DEMO)
    moved = submissions.notebook("demo", "reference", 0, DEMO)
    moved.cells = moved.cells[::-1]
    notebook, remarks = repair.repair(master, moved)
    assert remarks == ["cells were moved, the original order was used"]
    assert [release.grade_id(c) for c in notebook.cells if release.grade_id(c)] == list(
        dict.fromkeys(release.grade_id(c) for c in master.cells if release.grade_id(c))
    )
    other = submissions.notebook("demo", "reference", 0, DEMO)
    for cell in other.cells:
        if "test" in (release.grade_id(cell) or ""):
            cell.source = "assert other"
    assert "another variant, or last year's?" in repair.repair(master, other)[1][0]
    suspect = submissions.filled(submissions.notebook("demo", "empty", 0, DEMO), {"root": "math.isclose = print"}, "")
    assert repair.repair(master, suspect)[1] == ["look by hand: replaces a function of a library"]


def test_helper_cells_stay_where_the_student_put_them():
    master = release.master_notebook("demo", 0, DEMO)
    notebook = submissions.notebook("demo", "reference", 0, DEMO)
    place = next(i for i, cell in enumerate(notebook.cells) if release.grade_id(cell) == "root")
    notebook.cells.insert(place + 1, repair.plain(notebook.cells[place]))
    repaired, _ = repair.repair(master, notebook)
    names = [release.grade_id(cell) for cell in repaired.cells]
    assert names[names.index("root") + 1] is None
    assert names.index("test-root") == names.index("root") + 2


def test_points_by_hand_are_checked(tmp_path):
    points = {"demo": gradebook.points_of(release.master_notebook("demo", 0, DEMO))}
    assert points["demo"] == {"test-scale-type": 1, "test-scale": 2, "test-root": 3, "why": 2}
    path, head = tmp_path / "manual.csv", "student,assignment,cell,points,comment\n"
    path.write_text(head + "ada,demo,why,2,good\nbob,demo,why,,\ncy,other,why,1,\n", encoding="utf8")
    assert report.read_manual(path, points) == {("ada", "demo"): {"why": (2.0, "good")}}
    for row, words in {
        "ada,demo,why,3,": "line 2: points must lie between 0 and 2, got 3",
        "ada,demo,why,nan,": "between 0 and 2",
        "ada,demo,why,x,": "line 2: points must be a number, got 'x'",
        "ada,demo,what,1,": "demo has no cell 'what'",
        "ada,demo,why,1,\nada,demo,why,2,": "line 3: ada, demo, why is there twice",
    }.items():
        path.write_text(head + row + "\n", encoding="utf8")
        with pytest.raises(ValueError, match=words):
            report.read_manual(path, points)
    path.write_text("student,cell\n", encoding="utf8")
    with pytest.raises(ValueError, match="the column assignment is missing"):
        report.read_manual(path, points)
    with pytest.raises(FileNotFoundError, match="manual must be a CSV file"):
        report.read_manual(tmp_path / "none.csv", points)


def test_an_assignment_that_nobody_handed_in_is_left_out(tmp_path):
    hand_in(tmp_path, "ada", "ps1", submissions.notebook("demo", "empty", 0, DEMO))
    (tmp_path / "bob").mkdir()
    found = collect.find(tmp_path, ["ps1", "ps2"])
    assert [(s.student, s.assignment, s.path is None) for s in found] == [("ada", "ps1", False), ("bob", "ps1", True)]
    with pytest.raises(collect.Refused, match="nothing was handed in"):
        collect.read(found[1], 10)
    with pytest.raises(FileNotFoundError, match="for any of ps3"):
        collect.find(tmp_path, ["ps3"])


def test_versions_that_differ_from_the_lock_are_named(tmp_path):
    (tmp_path / "lock.txt").write_text(
        "# head\nnumpy==1.0\npytest>=1\nnot-there==2\nx==1; python_version < '3'\n-e .\n", encoding="utf8"
    )
    first, second = report.differences(tmp_path / "lock.txt")
    assert first.startswith("numpy ")
    assert first.endswith(", the lock says ==1.0")
    assert second == "not-there is not installed, the lock says ==2"


def test_the_lock_holds_the_pins_of_the_course():
    def pins(name):
        lines = (variants.ROOT / name).read_text(encoding="utf8").splitlines()
        return {line.replace("_", "-").lower() for line in lines if "==" in line and not line.startswith("#")}

    assert "nbgrader==0.9.6" in pins("requirements-classroom.txt")
    assert pins("requirements.txt") <= pins("requirements-classroom.txt")


def test_a_test_submission_is_read(tmp_path):
    path = tmp_path / "wrong.py"
    text = '"""Adds.\n\npoints: test-scale 0,\n    total 4\n"""\n# base: reference\n'
    text += "# %% scale\ndef scale(x):\n    return x + 1\n"
    path.write_text(text + "# %% [markdown] why\n# It **adds**.\n#\n# So.\n", encoding="utf8")
    found = submissions.read(path)
    assert (found.title, found.base, found.points, found.total) == ("Adds.", "reference", {"test-scale": 0}, 4)
    assert found.cells == {"scale": "def scale(x):\n    return x + 1", "why": "It **adds**.\n\nSo."}
    cells = {release.grade_id(c): c.source for c in submissions.notebook("demo", path, 0, DEMO).cells}
    assert cells["scale"] == found.cells["scale"]
    assert "math.sqrt" in cells["root"]
    path.write_text(text.replace("%% scale", "%% scales"), encoding="utf8")
    with pytest.raises(ValueError, match="no solution cell named scales"):
        submissions.notebook("demo", path, 0, DEMO)
    path.write_text(text.replace("total 4", "total"), encoding="utf8")
    with pytest.raises(ValueError, match="points must read"):
        submissions.read(path)
