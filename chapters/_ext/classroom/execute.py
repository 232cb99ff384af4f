"""Run one prepared notebook in a kernel that is shut in; a process of its own for each submission.

A cell that fails, runs too long, prints without end or kills the kernel costs what it holds. After a kernel's death a
new one gets the answers again, without the cell that did it, and goes on behind it.
"""

import asyncio
import copy
import json
import os
import time
from pathlib import Path

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from classroom import kernel
from classroom.collect import one_line
from classroom.release import grade_id

MAX_STARTS = 4


def failure(name, text):
    """An error as an output of a cell: without one nbgrader would give a cell that never ran its points."""
    return nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def label(cell, index):
    """How the report names a cell."""
    return grade_id(cell) or f"number {index + 1}"


class Execution:
    """One submission's run: the notebook, its limits, the kernel of the moment, and remarks."""

    def __init__(self, notebook, settings):
        self.notebook, self.settings = notebook, settings
        self.trouble, self.notes, self.not_run = {}, {}, []  # trouble: a cell that must not run again
        self.room = Path(settings["room"])
        self.starts, self.runner = 0, None
        self.deadline = time.monotonic() + settings["total_seconds"]

    def left(self):
        """Seconds that a cell may take now."""
        self.allowed = min(self.settings["cell_seconds"], max(1, int(self.deadline - time.monotonic())))
        return self.allowed

    async def start(self):
        """Start the next kernel."""
        self.starts += 1
        options = {"timeout_func": lambda cell: self.left(), "on_cell_executed": self.executed}
        self.runner = await kernel.start(self.notebook, self.settings, self.starts, **options)

    def executed(self, cell, cell_index, execute_reply):
        """Called with a cell's reply: an error must stand among the outputs, whatever the cell did to them."""
        reply = execute_reply["content"]
        if reply["status"] == "error":
            if not any(output.output_type == "error" for output in cell.outputs):
                cell.outputs.append(failure(reply["ename"], reply["evalue"]))
            if reply["ename"] == kernel.TIMED_OUT:
                self.trouble[cell_index] = f"stopped after {self.allowed:g} s"
            elif reply["ename"] == "MemoryError":
                self.notes[cell_index] = f"needed more than {self.settings['memory_megabytes']:g} MB of memory"

    async def run_cell(self, cell, index):
        """Run a cell; tells whether its kernel is still alive."""
        self.runner.printed = 0
        try:
            await self.runner.async_execute_cell(cell, index)
        except DeadKernelError:
            self.trouble[index] = self.runner.killed or "the kernel died"
        except CellTimeoutError:
            self.trouble[index] = f"could not be stopped after {self.allowed:g} s; its kernel was killed"
        else:
            if self.runner.printed > self.runner.max_output:
                self.trouble[index] = f"stopped after printing {self.runner.max_output / 1e6:g} MB"
                cell.outputs.append(failure("OutputLimit", self.trouble[index]))
            return True
        cell.outputs.append(failure("KernelDied", self.trouble[index]))
        return False

    async def again(self, until):
        """A new kernel with the answers before a cell, without those that made trouble; tells whether that worked."""
        await kernel.stop(self.runner)
        if self.starts == MAX_STARTS:
            return False
        await self.start()
        for index, cell in enumerate(self.notebook.cells[:until]):
            if index not in self.trouble and not cell.metadata.get("nbgrader", {}).get("grade"):
                if not await self.run_cell(copy.deepcopy(cell), index):
                    return False
        return True

    async def run(self):
        """Run every cell."""
        await self.start()
        alive, late = True, False
        for index, cell in enumerate(self.notebook.cells):
            if cell.cell_type != "code":
                continue
            late = late or time.monotonic() >= self.deadline
            if late or not alive:
                why = (
                    f"the notebook's {self.settings['total_seconds']:g} s were over" if late else "its kernel was gone"
                )
                cell.outputs = [failure("NotRun", f"not run: {why}")]
                self.not_run.append(label(cell, index))
            elif not await self.run_cell(cell, index):
                alive = await self.again(index + 1)
        await kernel.stop(self.runner)

    def remarks(self):
        """Lines for the report."""
        lines = [
            f"cell {label(self.notebook.cells[i], i)}: {what}"
            for i, what in sorted((self.notes | self.trouble).items())
        ]
        if self.not_run:
            lines.append(f"{len(self.not_run)} cells were not run, from {self.not_run[0]} on")
        refused = self.room / ".refused"
        if refused.is_file():
            tries = [
                json.loads(line) for line in refused.read_text(encoding="utf8", errors="replace").splitlines()[:100]
            ]
            lines += [
                f"refused: {one_line(f'{what} {detail}', 120)}" for what, detail in dict.fromkeys(map(tuple, tries))
            ][:3]
        return lines


def clean(notebook):
    """Warnings cost no points: nbgrader gives 0 to a test cell with anything on stderr, so that goes to stdout.

    Cells are numbered by place: a kernel that died may or may not have told its count.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "stream":
                output.name = "stdout"
            elif output.output_type == "execute_result":
                output.execution_count = number


def main(folder):
    """Run the notebook of a job's folder; the result lies beside it, complete or not there at all."""
    folder = Path(folder)
    try:
        settings = json.loads((folder / "settings.json").read_text(encoding="utf8"))
        os.chdir(settings["room"])
        execution = Execution(nbformat.read(folder / "prepared.ipynb", 4), settings)
        asyncio.run(execution.run())
        clean(execution.notebook)
        nbformat.write(execution.notebook, folder / "executed.ipynb")
        (folder / "remarks.json").write_text(json.dumps(execution.remarks()), encoding="utf8")
    except Exception as error:
        (folder / "error.txt").write_text(f"{type(error).__name__}: {error}", encoding="utf8")
