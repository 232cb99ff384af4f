"""Starts the kernel of one submission: limits, refusals, then ipykernel.

Run as ``guard.py SETTINGS.json CONNECTION.json`` inside what ``isolation`` arranged. Refusals by Python's audit hook
work on every system, also where there are no namespaces, and tell the report what a submission tried. They bind honest
and curious students; code that leaves Python is held by the namespaces only.
"""

import json
import os
import resource
import sys
from pathlib import Path

CHANGES = {
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "shutil.rmtree",
}
LISTS = {"os.listdir", "os.scandir", "os.chdir"}
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn"}
LOCAL = {"127.0.0.1", "::1", "localhost"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def limit(memory, seconds):
    """Memory and processor time of this process, size of each file."""
    for what, value in (("DATA", memory), ("FSIZE", 50_000_000), ("CORE", 0), ("CPU", seconds)):
        hard = resource.getrlimit(getattr(resource, f"RLIMIT_{what}"))[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, f"RLIMIT_{what}"), (value, value))


def from_a_cell():
    """Tell whether code of the notebook asks, rather than the kernel itself or a library that is being imported."""
    frame = sys._getframe(2)
    while frame:
        name = frame.f_code.co_filename
        if "importlib" in name:
            return False
        if f"ipykernel_{os.getpid()}" in name:
            return True
        frame = frame.f_back
    return False


def refusals(room, hidden, log):
    """An audit hook that refuses hidden files, writing outside the room, other programs and the network."""
    room, hidden = os.path.realpath(room), [os.path.realpath(path) for path in hidden]
    realpath, write = os.path.realpath, log.write
    itself = realpath(__file__)
    devices = ("/dev/null", "/dev/shm", "/dev/tty", "/proc/self")

    def inside(path, folder):
        return path == folder or path.startswith(folder + os.sep)

    def refuse(what, detail):
        write(json.dumps([what, str(detail)[:200]]) + "\n")
        log.flush()
        raise PermissionError(f"the grader refuses: {what} {detail}")

    def hook(event, values):
        if event == "open" or event in LISTS or event in CHANGES:
            if not values or not isinstance(values[0], (str, bytes, os.PathLike)):
                return
            path = realpath(os.fsdecode(values[0]))
            own = inside(path, room)
            if path == itself:  # asked for by tracebacks that run through this file
                raise FileNotFoundError(path)
            if not own and any(inside(path, folder) for folder in hidden):
                refuse("reading", os.fsdecode(values[0]))
            changes = event in CHANGES or (event == "open" and isinstance(values[2], int) and values[2] & WRITING)
            if changes and not own and not path.startswith(devices):
                refuse("writing", path)
        elif event in PROGRAMS and from_a_cell():
            refuse("starting a program:", values[0] if values else "")
        elif event == "socket.connect" and isinstance(values[1], tuple) and values[1][0] not in LOCAL:
            refuse("the network:", values[1][0])
        elif event == "socket.getaddrinfo" and values[0] not in (None, "", *LOCAL):
            refuse("the network:", values[0])

    return hook


def main(settings_file, connection_file, *options):
    """Shut in, limit, refuse, start."""
    settings = json.loads(Path(settings_file).read_text(encoding="utf8"))
    room, hidden = settings["room"], settings["hidden"]
    os.environ.pop("JPY_PARENT_PID", None)  # inside a namespace the grader has another number
    if settings["level"] == "full":
        import jail

        jail.enter(room, hidden)
        jail.fork()
    connection = Path(connection_file).name
    limit(settings["memory_megabytes"] * 1_000_000, int(settings["total_seconds"]) + 60)
    sys.path[0] = ""  # the room, not the folder of the grader
    sys.argv = ["ipykernel", "-f", connection, *options]
    from ipykernel.kernelapp import launch_new_instance

    log = open(".refused", "a", encoding="utf8")  # open as long as the kernel
    sys.addaudithook(refusals(room, hidden, log))
    launch_new_instance()


if __name__ == "__main__":
    main(*sys.argv[1:])
