"""Grade a folder of submissions.

Run as ``python chapters/_ext/classroom/grade.py SUBMITTED --out FOLDER [--variant SEED] [--manual manual.csv]``, or
``make grade SUBMITTED=folder``. Writes grades.csv, grades_cells.csv, report.txt, gradebook.db, feedback/ and
autograded/ into FOLDER, nothing elsewhere.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nbformat

from classroom import collect, isolation, jobs, kernel, report
from classroom.gradebook import Book, points_of
from classroom.release import master_notebook
from classroom.variants import ASSIGNMENTS, ROOT, names

LIMITS = {"cell_seconds": 60, "total_seconds": 300, "memory_megabytes": 2000, "max_output": 1_000_000}
MAX_MEGABYTES = 10
HIDDEN = ("chapters", "tests", "_build", ".git")
LOCK = ROOT / "requirements-classroom.txt"


def check(submitted, out):
    """Both folders, once they are apart.

    Raises:
        ValueError: One lies in the other.
    """
    submitted, out = Path(submitted).resolve(), Path(out).resolve()
    if submitted == out or submitted in out.parents or out in submitted.parents:
        raise ValueError(f"out must lie apart from the submissions, got {out} and {submitted}")
    return submitted, out


def fonts(work, masters):
    """Matplotlib's list of fonts, made once instead of in every kernel; empty where no assignment draws."""
    text = "\n".join(cell.source for master in masters.values() for cell in master.cells)
    if not re.search(r"(import|from) (lib|matplotlib)\b", text):
        return []
    folder = work / "fonts"
    folder.mkdir()
    command = [sys.executable, "-c", "import matplotlib.font_manager"]
    subprocess.run(command, env=kernel.environment(folder, ROOT), cwd=folder, check=False, capture_output=True)
    return list(folder.glob("fontlist*.json"))


def publish(made, out):
    """Put what a run made where the last run's results are."""
    for path in sorted(made.iterdir()):
        if (out / path.name).is_dir():
            shutil.rmtree(out / path.name)
        os.replace(path, out / path.name)


def grade(submitted, out, *, seed=0, manual=None, folder=ASSIGNMENTS, at_once=2, level=None, **limits):
    """Grade every submission of a folder.

    Args:
        submitted: Folder with ``STUDENT/ps1/ps1.ipynb`` or ``STUDENT/ps1.ipynb``.
        out: Folder for the results, made where missing; what an earlier run left there is replaced at the end.
        seed: The variant that was handed out.
        manual: CSV file of points given by hand: student, assignment, cell, points, comment.
        folder: Where the sources of the assignments lie.
        at_once: Submissions that run at the same time.
        level: Isolation, one of ``isolation.LEVELS``; the strongest that works here where none is given.
        limits: Any of ``cell_seconds``, ``total_seconds``, ``memory_megabytes``, ``max_output`` (bytes a cell).

    Returns:
        One dict for each student and assignment, sorted: student, assignment, cells (their points), remarks.

    Raises:
        FileNotFoundError: There are no submissions, or no file of points given by hand.
        OSError: This is Windows.
        ValueError: The folders, a limit, the isolation or a row of points given by hand make no sense.
    """
    if os.name != "posix":
        raise OSError("grading needs Linux or macOS; on Windows use its subsystem for Linux")
    submitted, out = check(submitted, out)
    if unknown := set(limits) - set(LIMITS):
        raise ValueError(f"no limit {', '.join(sorted(unknown))}; there are {', '.join(LIMITS)}")
    if level is not None and level not in isolation.LEVELS:
        raise ValueError(f"level must be one of {', '.join(isolation.LEVELS)}, got {level!r}")
    submissions = collect.find(submitted, names(folder))
    masters = {name: master_notebook(name, seed, folder) for name in {s.assignment for s in submissions}}
    points = {name: points_of(master) for name, master in masters.items()}
    by_hand = report.read_manual(manual, points) if manual else {}
    level = level or isolation.best_level()
    hidden = [str(path) for path in [submitted, out, Path(folder).resolve(), *(ROOT / name for name in HIDDEN)]]
    work = out / ".work"
    shutil.rmtree(work, ignore_errors=True)
    made = work / "made"
    made.mkdir(parents=True)
    try:
        book = Book(made / "gradebook.db")
        for name, master in sorted(masters.items()):
            book.add_assignment(name, master)
        settings = LIMITS | limits | {"level": level, "root": str(ROOT), "hidden": hidden}
        lists, ready, results = fonts(work, masters), [], []
        everything = [jobs.Job(submission, work / str(number)) for number, submission in enumerate(submissions)]

        def keep(job):
            results.append(record(job, book, by_hand, points, made))

        for job in everything:
            if job.prepare(masters[job.submission.assignment], book, settings, MAX_MEGABYTES):
                for path in lists:
                    shutil.copy(path, job.folder / "room")
                ready.append(job)
            else:
                keep(job)
        for job in jobs.run(ready, at_once, settings["total_seconds"]):
            keep(job)
        results.sort(key=lambda result: (result["student"], result["assignment"]))
        versions = report.differences(LOCK)
        report.write(made, results, by_hand, report.summary(results, isolation.SAYS[level], versions))
        publish(made, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return results


def record(job, book, by_hand, points, made):
    """Points, feedback and the executed notebook of a finished job."""
    student, name = job.submission.student, job.submission.assignment
    manual = by_hand.get((student, name), {})
    feedback, autograded = (made / kind / student / name for kind in ("feedback", "autograded"))
    feedback.mkdir(parents=True)
    try:
        cells = book.record(name, student, job.notebook, manual)
    except Exception as error:  # outputs are a stranger's, too; the batch goes on
        job.remarks.append(f"could not be recorded ({type(error).__name__}: {collect.one_line(error)})")
        job.notebook = None
        cells = book.record(name, student, None, manual)
    try:
        page = book.feedback(name, student, job.notebook, job.remarks)
    except Exception as error:
        job.remarks.append(f"no page of feedback ({type(error).__name__}: {collect.one_line(error)})")
        page = book.feedback(name, student, None, job.remarks)
    if job.notebook is not None:
        autograded.mkdir(parents=True)
        nbformat.write(job.notebook, autograded / f"{name}.ipynb")
    report.write_text(feedback / f"{name}.html", page)
    order = list(points[name])
    cells.sort(key=lambda cell: order.index(cell["cell"]))
    return {"student": student, "assignment": name, "cells": cells, "remarks": job.remarks}


def main(arguments=None):
    """The command."""
    parser = argparse.ArgumentParser(description="Grade a folder of submissions.")
    parser.add_argument("submitted", type=Path, help="folder with STUDENT/ps1/ps1.ipynb or STUDENT/ps1.ipynb")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the results; SUBMITTED-graded if left out")
    parser.add_argument("--variant", type=int, default=0, metavar="SEED", help="the variant that was handed out")
    parser.add_argument("--manual", type=Path, metavar="FILE", help="points given by hand, a CSV file")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="submissions that run at the same time")
    for limit, value in LIMITS.items():
        parser.add_argument(f"--{limit.replace('_', '-')}", type=type(value), default=value, metavar="N")
    options = parser.parse_args(arguments)
    limits = {limit: getattr(options, limit) for limit in LIMITS}
    out = options.out or options.submitted.resolve().with_name(f"{options.submitted.resolve().name}-graded")
    grade(options.submitted, out, seed=options.variant, manual=options.manual, at_once=options.at_once, **limits)
    print((out / "report.txt").read_text(encoding="utf8"), end="")
    print(f"\ngrades, feedback and this report are in {out}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what runs is stopped, too
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"nothing was graded: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
