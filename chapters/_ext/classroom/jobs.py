"""Submissions as jobs: each is laid ready, run in a process of its own, some at a time, and its result fetched."""

import json
import multiprocessing
import time

import nbformat
import psutil
from tqdm import tqdm

from classroom import collect, execute
from classroom.repair import repair


def processes():
    """Processes that start quickly, from a server that has read the libraries."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["nbclient", "nbformat", "nbgrader.api", "nbgrader.preprocessors", "nbgrader.converters"]
    )
    return context


class Job:
    """One submission: its folder, its process, what came of it."""

    def __init__(self, submission, folder):
        self.submission, self.folder = submission, folder
        self.notebook, self.remarks, self.process = None, [], None

    def prepare(self, master, book, settings, max_megabytes):
        """Read and repair what was handed in and lay it ready; False where there is nothing to run."""
        try:
            handed_in = collect.read(self.submission, max_megabytes)
            prepared, self.remarks = repair(master, handed_in)
            prepared = book.sanitize(self.submission.assignment, prepared)
        except collect.Refused as error:
            self.remarks = [str(error)]
            return False
        except Exception as error:  # a stranger's file; the batch goes on
            self.remarks = [f"could not be prepared for grading ({type(error).__name__}: {collect.one_line(error)})"]
            return False
        room = self.folder / "room"
        room.mkdir(parents=True)
        file = self.folder / "settings.json"
        file.write_text(json.dumps(settings | {"room": str(room), "file": str(file)}), encoding="utf8")
        nbformat.write(prepared, self.folder / "prepared.ipynb")
        return True

    def start(self, context, seconds):
        """Run it in a process of its own."""
        self.process = context.Process(target=execute.main, args=(str(self.folder),))
        self.process.start()
        self.until = time.monotonic() + 2 * seconds + 120  # its own limits come first; this is for a grader that hangs

    def finished(self):
        """Tell whether the process is over, one way or the other, and fetch the result."""
        if self.process.is_alive() and time.monotonic() < self.until:
            return False
        self.stop()
        try:
            self.remarks += json.loads((self.folder / "remarks.json").read_text(encoding="utf8"))
            self.notebook = nbformat.read(self.folder / "executed.ipynb", 4)
        except (OSError, ValueError):
            log = self.folder / "error.txt"
            detail = collect.one_line(log.read_text(encoding="utf8"), 160) if log.is_file() else "it was stopped"
            self.remarks.append(f"could not be run, grade it again or by hand ({detail})")
        return True

    def stop(self):
        """End the process and everything it started."""
        try:
            family = psutil.Process(self.process.pid).children(recursive=True) if self.process.is_alive() else []
        except psutil.Error:
            family = []
        self.process.kill()
        for member in family:
            try:
                member.kill()
            except psutil.Error:
                pass
        self.process.join()


def run(jobs, together, seconds):
    """Run prepared jobs, some at a time, and yield each when it is over; stops them all when interrupted."""
    context, waiting, running = processes(), list(jobs), []
    try:
        with tqdm(total=len(waiting), desc="grading", unit="notebook", disable=None) as bar:
            while waiting or running:
                while waiting and len(running) < together:
                    running.append(waiting.pop(0))
                    running[-1].start(context, seconds)
                time.sleep(0.05)
                over = [job for job in running if job.finished()]
                running = [job for job in running if job not in over]
                for job in over:
                    yield job
                    bar.update()
    finally:
        for job in running:
            job.stop()
