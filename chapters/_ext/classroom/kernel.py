"""A kernel of its own for one submission: shut in, with fixed variables, watched, and killed where it grows too big."""

import asyncio
import json
import os
import sys
from pathlib import Path

import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from classroom import isolation

GUARD = str(Path(__file__).with_name("guard.py"))
MAX_PROCESSES, GRACE, TIMED_OUT = 64, 5, "TimeLimit"
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
FIXED_VARIABLES = {
    "COURSE_SCALE": "quick",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "TQDM_DISABLE": "1",
    "TZ": "UTC",
}


def environment(room, root):
    """The variables that a submission's kernel sees: few, and the same on every machine."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    places = dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR"), str(room))
    return kept | FIXED_VARIABLES | places | {"PYTHONPATH": str(root)}


OPTIONS = {
    "allow_errors": True,
    "coalesce_streams": True,
    "error_on_timeout": {"ename": TIMED_OUT, "evalue": "stopped", "traceback": []},
    "interrupt_on_timeout": True,
    "iopub_timeout": GRACE,
    "raise_on_iopub_timeout": True,
    "skip_cells_with_tag": "",
    "startup_timeout": 120,
}


class Runner(NotebookClient):
    """A notebook client that stops a cell that prints too much."""

    max_output = 1_000_000
    printed, killed, watch = 0, "", None

    def process_message(self, msg, cell, cell_index):
        """Count what a cell sends; beyond the limit nothing is kept and the cell is interrupted, once."""
        before, self.printed = self.printed, self.printed + len(str(msg["content"]))
        if self.printed > self.max_output and msg["msg_type"] not in ("status", "error"):
            if before <= self.max_output:
                self.interruption = asyncio.ensure_future(self.km.interrupt_kernel())
            return None
        return super().process_message(msg, cell, cell_index)


def manager(settings, number):
    """A kernel manager whose kernel starts behind the guard; sockets in the room, so that none needs a network."""
    room = Path(settings["room"])
    command = [*isolation.prefix(settings["level"]), sys.executable, GUARD, settings["file"], "{connection_file}"]
    folder = room / ".kernels" / "python3"
    folder.mkdir(parents=True, exist_ok=True)
    # Interrupted by a message: a signal would go to the program that holds the namespaces, too, and end it.
    spec = {"argv": command, "display_name": "Python 3", "language": "python", "interrupt_mode": "message"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf8")
    specs = KernelSpecManager(kernel_dirs=[str(folder.parent)], ensure_native_kernel=False)
    connection = str(room / f"kernel-{number}.json")
    made = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs, connection_file=connection)
    made.transport, made.ip = "ipc", f"k{number}"  # relative: the whole path could be too long for a socket
    return made


async def start(notebook, settings, number, **options):
    """Start the kernel number ``number`` of a submission; returns its client."""
    runner = Runner(notebook, km=manager(settings, number), **OPTIONS, **options)
    runner.max_output, runner.owns_km = settings["max_output"], True
    variables = environment(settings["room"], settings["root"])
    with open(Path(settings["file"]).with_name("kernel.log"), "ab") as log:
        await runner.async_start_new_kernel(env=variables, cwd=settings["room"], stdout=log, stderr=log)
    await runner.async_start_new_kernel_client()
    limit = 1.5 * settings["memory_megabytes"] * 1_000_000
    runner.watch = asyncio.ensure_future(watch(runner, runner.km.provisioner.pid, limit))
    return runner


async def watch(runner, pid, limit):
    """Kill a kernel whose processes together grow too large or too many; one process alone meets its limit first."""
    while True:
        await asyncio.sleep(0.2)
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            size = sum(process.memory_info().rss for process in family)
        except psutil.Error:
            continue
        if size > limit or len(family) > MAX_PROCESSES:
            runner.killed = "too much memory" if size > limit else "too many processes"
            await runner.km.provisioner.kill()
            return


async def stop(runner):
    """End a kernel and whatever it started."""
    runner.watch.cancel()
    if runner.km:
        await runner.km.shutdown_kernel(now=True)
        await runner._async_cleanup_kernel()
