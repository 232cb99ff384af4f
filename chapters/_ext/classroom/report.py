"""The files and the summary of a grading run, and the versions it ran with."""

import csv
import os
import platform
import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

GRADES = ["student", "assignment", "auto", "manual", "total", "needs_manual", "max", "remark"]
CELLS = ["student", "assignment", "cell", "auto", "manual", "needs_manual", "max", "comment"]
MANUAL = ["student", "assignment", "cell", "points", "comment"]


def number(value):
    """A number as short as it goes; nothing for none."""
    return "" if value is None else f"{value:g}"


def write_text(path, text):
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf8", newline="\n")
    os.replace(part, path)


def write_table(path, columns, rows):
    """Write a CSV file whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, path)


def read_manual(path, points):
    """Points given by hand: {(student, assignment): {cell: (points, comment)}}.

    Args:
        path: A CSV file with the columns student, assignment, cell, points, comment.
        points: Points by cell of each assignment.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, a row names no cell, or its points are no number between 0 and the cell's.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"manual must be a CSV file, got {path}")
    found = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if missing := [column for column in MANUAL if column not in (rows.fieldnames or [])]:
            raise ValueError(f"{path}: the column {missing[0]} is missing; needed are {', '.join(MANUAL)}")
        for row in rows:
            place = f"{path}, line {rows.line_num}"
            student, assignment, cell = (row[column].strip() for column in MANUAL[:3])
            if not (row["points"] or "").strip():
                continue  # not graded yet
            if assignment not in points:
                continue  # of an assignment that is not graded now
            if cell not in points[assignment]:
                raise ValueError(f"{place}: {assignment} has no cell {cell!r} with points")
            try:
                given = float(row["points"])
            except ValueError:
                raise ValueError(f"{place}: points must be a number, got {row['points']!r}") from None
            if not 0 <= given <= points[assignment][cell]:
                raise ValueError(f"{place}: points must lie between 0 and {points[assignment][cell]:g}, got {given:g}")
            cells = found.setdefault((student, assignment), {})
            if cell in cells:
                raise ValueError(f"{place}: {student}, {assignment}, {cell} is there twice")
            cells[cell] = given, (row["comment"] or "").strip()
    return found


def grade_row(result):
    """One row of grades.csv: ``auto`` is what nbgrader gave, ``manual`` a person, whose points count where both did."""
    cells = result["cells"]
    auto = sum(cell["auto"] or 0 for cell in cells if cell["manual"] is None)
    manual = [cell["manual"] for cell in cells if cell["manual"] is not None]
    return {
        "student": result["student"],
        "assignment": result["assignment"],
        "auto": number(auto),
        "manual": number(sum(manual)) if manual else "",
        "total": number(auto + sum(manual)),
        "needs_manual": sum(cell["needs_manual"] for cell in cells),
        "max": number(sum(cell["max"] for cell in cells)),
        "remark": "; ".join(result["remarks"]),
    }


def cell_rows(result, manual):
    """Rows of grades_cells.csv of one submission."""
    for cell in result["cells"]:
        comment = manual.get(cell["cell"], (None, ""))[1]
        numbers = {key: number(cell[key]) for key in ("auto", "manual", "max")}
        own = {"student": result["student"], "assignment": result["assignment"], "cell": cell["cell"]}
        yield own | numbers | {"needs_manual": int(cell["needs_manual"]), "comment": comment}


def differences(lock):
    """Lines on what is installed otherwise than the lock file says; none where all agrees."""
    if not Path(lock).is_file():
        return [f"no lock file {lock}"]
    lines = []
    for line in Path(lock).read_text(encoding="utf8").splitlines():
        line = re.sub(r"\s#.*|^#.*", "", line).strip()
        if not line or line.startswith("-"):
            continue
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate():
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            lines.append(f"{wanted.name} is not installed, the lock says {wanted.specifier}")
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            lines.append(f"{wanted.name} {version}, the lock says {wanted.specifier}")
    return lines


def summary(results, says, versions):
    """The report as text: how it was run, with which versions, what happened, and the points."""
    rows = [grade_row(result) for result in results]
    lines = [f"isolation: {says}", f"system: Python {platform.python_version()}, {platform.system()}"]
    lines.append(f"versions: {len(versions)} differ from the lock" if versions else "versions: as in the lock")
    lines += [f"  {line}" for line in versions] + [""]
    lines += [
        f"{row['student']}, {row['assignment']}: {row['total']} of {row['max']}"
        + (f", {row['needs_manual']} to be graded by hand" if row["needs_manual"] else "")
        + (f"; {row['remark']}" if row["remark"] else "")
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def write(folder, results, by_hand, text):
    """Write the tables and the summary."""
    write_table(folder / "grades.csv", GRADES, map(grade_row, results))
    keys = [(result["student"], result["assignment"]) for result in results]
    rows = [row for result, key in zip(results, keys, strict=True) for row in cell_rows(result, by_hand.get(key, {}))]
    write_table(folder / "grades_cells.csv", CELLS, rows)
    write_text(folder / "report.txt", text)
