"""The grader: broken submissions get a line each, nothing leaks, nothing is written elsewhere, twice is once."""

import csv
import socket
import subprocess
import sys
import threading

import broken_submissions
import pytest
from classroom_setup import DEMO, by_student, grade, hand_in, isolation, jobs, submissions, variants

ROOT = variants.ROOT
CACHES = (".git", ".venv", "_build", "_vendor", ".pytest_cache", ".ruff_cache", ".hypothesis", "__pycache__")


def state(folder):
    """What lies in a folder: sizes and times of change, caches left out."""
    paths = (
        path for path in folder.rglob("*") if not set(path.relative_to(folder).parts) & set(CACHES) and path.is_file()
    )
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def demo(kind):
    """A submission of the tiny assignment."""
    return submissions.notebook("demo", kind, 0, DEMO)


def grades(out):
    """Rows of grades.csv."""
    with (out / "grades.csv").open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """All broken submissions and the two good ones, graded at once."""
    folder = tmp_path_factory.mktemp("batch")
    submitted, out, outside = folder / "submitted", folder / "out", folder / "outside"
    outside.mkdir()
    due = broken_submissions.write_all(submitted, outside)
    for kind in ("reference", "empty"):
        hand_in(submitted, kind, "demo", demo(kind))
    before = state(ROOT), state(submitted)
    results = grade(submitted, out, folder=DEMO, **broken_submissions.LIMITS)
    return {
        "due": due, "out": out, "outside": outside, "results": by_student(results), "submitted": submitted,
        "before": before, "after": (state(ROOT), state(submitted)),
        "text": (out / "report.txt").read_text(encoding="utf8"),
    }  # fmt: skip


@pytest.mark.slow
def test_every_broken_submission_gets_its_line_and_its_points(batch):
    found = {student: ("; ".join(r["remarks"]), r["total"]) for student, r in batch["results"].items()}
    wrong = {
        student: found[student]
        for student, (words, points) in batch["due"].items()
        if words not in found[student][0] or found[student][1] != points
    }
    assert wrong == {}
    assert all("\n" not in remarks for remarks, _ in found.values())


@pytest.mark.slow
def test_the_reference_gets_all_points_and_an_empty_one_none_without_a_remark(batch):
    good, empty = batch["results"]["reference"], batch["results"]["empty"]
    assert (good["total"], good["points"]["why"], good["remarks"]) == (6, None, [])
    assert (empty["total"], empty["points"]["why"], empty["remarks"]) == (0, 0, [])


@pytest.mark.slow
def test_nothing_is_written_outside_the_grading_folder(batch):
    assert batch["before"] == batch["after"]
    assert not {"python.txt", "program.txt"} & {path.name for path in batch["outside"].iterdir()}
    shut_in = "could write to a folder of their own only" in batch["text"]
    assert shut_in == (isolation.best_level() == "full")
    assert list(batch["outside"].iterdir()) == [] or not shut_in  # past Python only where the report says so
    assert sorted(path.name for path in batch["out"].iterdir()) == [
        "autograded", "feedback", "gradebook.db", "grades.csv", "grades_cells.csv", "report.txt",
    ]  # fmt: skip


@pytest.mark.slow
def test_feedback_loads_nothing_and_hides_the_hidden_tests(batch):
    page = (batch["out"] / "feedback" / "edited" / "demo" / "demo.html").read_text(encoding="utf8")
    assert "the square of the answer is not x" in page
    assert "isclose" not in page  # only in hidden tests
    assert "the original was used" in page
    for path in (batch["out"] / "feedback").rglob("*.html"):
        text = path.read_text(encoding="utf8")
        assert not any(word in text for word in ("<script", "<link", "@import", 'src="http', "url(http"))


@pytest.mark.slow
def test_grading_again_gives_the_same_files(batch, tmp_path):
    some = ("crash", "edited", "missing", "reference")
    for student in some:
        (tmp_path / "submitted" / student).mkdir(parents=True)
        for path in (batch["submitted"] / student).glob("*.ipynb"):
            (tmp_path / "submitted" / student / path.name).write_bytes(path.read_bytes())
    hand_in(tmp_path / "submitted" / "missing", "demo", "other", demo("empty"))
    for name in ("a", "b"):
        grade(
            tmp_path / "submitted",
            tmp_path / name,
            folder=DEMO,
            at_once=1 if name == "a" else 2,
            **broken_submissions.LIMITS,
        )
    for name in ("grades.csv", "grades_cells.csv", "report.txt", *(f"feedback/{s}/demo/demo.html" for s in some)):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert [(row["student"], row["total"], row["max"]) for row in grades(tmp_path / "a")] == [
        ("crash", "3", "8"), ("edited", "3", "8"), ("missing", "0", "8"), ("reference", "6", "8"),
    ]  # fmt: skip


@pytest.mark.slow
def test_points_by_hand_count_and_a_weaker_isolation_is_told(tmp_path):
    hand_in(tmp_path / "submitted", "ada", "demo", demo("reference"))
    manual = tmp_path / "manual.csv"
    manual.write_text('student,assignment,cell,points,comment\nada,demo,why,1.5,"short, but right"\n', encoding="utf8")
    grade(tmp_path / "submitted", tmp_path / "out", folder=DEMO, manual=manual, level="none")
    (row,) = grades(tmp_path / "out")
    assert (row["auto"], row["manual"], row["total"], row["needs_manual"]) == ("6", "1.5", "7.5", "0")
    assert "network was not blocked" in (tmp_path / "out" / "report.txt").read_text(encoding="utf8")
    page = (tmp_path / "out" / "feedback" / "ada" / "demo" / "demo.html").read_text(encoding="utf8")
    assert "short, but right" in page
    assert "7.5 / 8.0" in page


def test_an_interrupted_run_leaves_the_last_results_as_they_were(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    hand_in(tmp_path / "submitted", "ada", "demo", demo("empty"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "grades.csv").write_text("last run", encoding="utf8")
    monkeypatch.setattr(jobs, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grade(tmp_path / "submitted", tmp_path / "out", folder=DEMO, level="none")
    assert {path.name: path.read_text(encoding="utf8") for path in (tmp_path / "out").iterdir()} == {
        "grades.csv": "last run"
    }


@pytest.mark.skipif(isolation.best_level() == "none", reason="this system allows no namespaces; the report says so")
def test_a_shut_in_program_reaches_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept(), daemon=True).start()
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), timeout=5)"
        command = [sys.executable, "-c", code]
        shut_in = subprocess.run(
            [*isolation.prefix(isolation.best_level()), *command], capture_output=True, check=False
        )
        assert b"unreachable" in shut_in.stderr
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(
    isolation.best_level() != "full", reason="this system allows no mount namespaces; the report says so"
)
def test_a_shut_in_program_sees_no_hidden_file_and_writes_to_its_room_only(tmp_path):
    room, hidden = tmp_path / "hidden" / "room", tmp_path / "hidden"
    room.mkdir(parents=True)
    (hidden / "solution").write_text("secret", encoding="utf8")
    code = f"import sys; sys.path.insert(0, {str(isolation.HERE)!r}); import jail, os\n" + (
        f"jail.enter({str(room)!r}, [{str(hidden)!r}])\n"
        f"os.system('cat {hidden}/solution; touch {tmp_path}/out; umount {hidden}; touch in; ls {hidden}')"
    )
    command = [*isolation.prefix("full"), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "room\n", done
    assert (room / "in").exists()
    assert not (tmp_path / "out").exists()
