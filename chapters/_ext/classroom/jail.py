"""Linux only: what a submission sees of the files, arranged from inside a mount namespace of its own.

``unshare`` has made the namespaces. Hidden folders become empty, everything becomes read-only but one room, and every
privilege is given up, so that none of this can be undone from within. Python has no functions for it,
the C library has.
"""

import ctypes
import os
import sys

MS_BIND, TMPFS_FLAGS = 0x1000, 0x2 | 0x4  # nosuid, nodev
MOUNT_SETATTR, RDONLY, AT_RECURSIVE, AT_FDCWD = 442, 0x1, 0x8000, -100
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
LIBC = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    """Stop where a system call failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind, flags, options=""):
    """Mount a file system, or show a folder at another place."""
    call = LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    check(call, f"mount {target}")


def set_read_only(path, on, below=False):
    """Make a mount read-only or writable; ``below`` takes those inside it, too."""
    attributes = (ctypes.c_uint64 * 4)(RDONLY if on else 0, 0 if on else RDONLY, 0, 0)
    flags = AT_RECURSIVE if below else 0
    call = LIBC.syscall(MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, attributes, ctypes.sizeof(attributes))
    check(call, f"mount_setattr {path}")


def arrange(room, hidden):
    """Hide folders and files, keep the room, make the rest read-only."""
    kept = os.open(room, os.O_PATH | os.O_DIRECTORY) if room else None
    for path in hidden:
        if os.path.isdir(path):
            mount("none", path, "tmpfs", TMPFS_FLAGS, "size=1m,mode=755")
        elif os.path.exists(path):
            mount("/dev/null", path, "", MS_BIND)
    if os.path.isdir("/dev/shm"):
        mount("none", "/dev/shm", "tmpfs", TMPFS_FLAGS, "size=256m,mode=1777")
    if room:
        os.makedirs(room, exist_ok=True)  # it may lie in a folder that is hidden now
        mount(f"/proc/self/fd/{kept}", room, "", MS_BIND)
        os.close(kept)
    set_read_only("/", True, below=True)
    if os.path.isdir("/dev/shm"):
        set_read_only("/dev/shm", False)
    if room:
        set_read_only(room, False)
        os.chdir(room)


def give_up_privileges():
    """Drop every capability for good."""
    number = 0
    while LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    check(LIBC.capset(header, nothing), "capset")


def fork():
    """Return in a child; the parent, first process of the namespace, waits and ends as the child does."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 128 - code)


def enter(room, hidden):
    """Shut this process in."""
    arrange(room, hidden)
    give_up_privileges()


if __name__ == "__main__":  # a trial: does this system let us?
    try:
        enter("", [])
    except (OSError, AttributeError) as error:
        sys.exit(f"{error}")
