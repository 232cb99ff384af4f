"""Find what was handed in, and read it without trusting it."""

import stat
from dataclasses import dataclass
from pathlib import Path

import nbformat

MEGABYTE = 1_000_000


class Refused(Exception):
    """A submission that cannot be graded; the message is the line for the report."""


@dataclass(frozen=True)
class Submission:
    """One student's notebook of one assignment; without a path, ``missing`` says why."""

    student: str
    assignment: str
    path: Path | None
    missing: str = ""


def there(path):
    """Tell whether something of this name is there, be it a link that leads nowhere."""
    return path.exists() or path.is_symlink()


def find(submitted, assignments):
    """Every student's submissions, sorted; an assignment that nobody handed in is left out.

    Args:
        submitted: Folder with ``STUDENT/ps1/ps1.ipynb`` or ``STUDENT/ps1.ipynb``.
        assignments: Names of the assignments.

    Raises:
        FileNotFoundError: There is no such folder, or nothing of these assignments in it.
    """
    submitted = Path(submitted)
    if not submitted.is_dir():
        raise FileNotFoundError(f"submitted must be a folder with one folder for each student, got {submitted}")
    students = sorted(p for p in submitted.iterdir() if not p.name.startswith(".") and (p.is_dir() or p.is_symlink()))
    found = {(s.name, name): look(s, name) for s in students for name in assignments}
    handed_in = {name for (_, name), submission in found.items() if submission.path or submission.missing != "nothing"}
    if not handed_in:
        raise FileNotFoundError(f"no STUDENT/NAME/NAME.ipynb in {submitted} for any of {', '.join(assignments)}")
    return [submission for (_, name), submission in sorted(found.items()) if name in handed_in]


def look(folder, name):
    """The submission of one student, whose folder this is."""
    if folder.is_symlink():
        return Submission(folder.name, name, None, "the student's folder is a link to elsewhere: not followed")
    nested = folder / name
    if nested.is_symlink():
        return Submission(folder.name, name, None, f"the folder {name} is a link to elsewhere: not followed")
    for path in (nested / f"{name}.ipynb", folder / f"{name}.ipynb"):
        if there(path):
            return Submission(folder.name, name, path)
    others = sorted(p.name for p in (nested if nested.is_dir() else folder).glob(f"*{name}*.ipynb"))
    if nested.is_dir() or others:
        instead = f"; there is {', '.join(others)[:100]}" if others else ""
        return Submission(folder.name, name, None, f"no notebook {name}.ipynb was handed in{instead}")
    return Submission(folder.name, name, None, "nothing")


def read(submission, max_megabytes):
    """Read a submitted notebook.

    Raises:
        Refused: It is missing, a link, too large, or no notebook.
    """
    if submission.path is None:
        why = submission.missing
        raise Refused("nothing was handed in" if why == "nothing" else why)
    status = submission.path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise Refused("the notebook is a link to elsewhere: not followed")
    if not stat.S_ISREG(status.st_mode):
        raise Refused("the notebook is not a file")
    if status.st_size > max_megabytes * MEGABYTE:
        raise Refused(
            f"the notebook has {status.st_size / MEGABYTE:.1f} MB, more than the {max_megabytes:g} MB allowed: not read"
        )
    try:
        text = submission.path.read_bytes().decode("utf8")
        notebook = nbformat.reads(text, as_version=4)
        if not all(isinstance(cell.source, str) and isinstance(cell.metadata, dict) for cell in notebook.cells):
            raise TypeError("a cell has no text")
        if not isinstance(notebook.metadata, dict):
            raise TypeError("metadata is no table")
    except OSError as error:
        raise Refused(f"the notebook cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, nbformat.reader.NotJSONError, RecursionError) as error:
        raise Refused(f"the notebook is not valid JSON ({one_line(error)})") from None
    except Exception as error:  # whatever a stranger's file makes the library raise
        raise Refused(f"the file is JSON but no notebook ({type(error).__name__}: {one_line(error)})") from None
    return notebook


def one_line(text, length=80):
    """A text from outside, made fit for one line of a report."""
    words = "".join(c if c.isprintable() else " " for c in str(text)).split()
    line = " ".join(words)
    return line if len(line) <= length else line[: length - 3] + "..."
