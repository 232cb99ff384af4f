"""How submissions are shut in: no network, no hidden file, no writing elsewhere, no kernel that outlives its grader."""

import json
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
from classroom_setup import isolation, nbformat, variants


def wait(condition):
    """Wait until something is so, two minutes at most."""
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


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


@pytest.mark.slow
@pytest.mark.parametrize("level", [level for level in isolation.LEVELS if isolation.works(level)])
def test_no_kernel_outlives_a_grader_that_is_killed(level, tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    settings = {
        "room": str(room),
        "hidden": [],
        "level": level,
        "root": str(variants.ROOT),
        "file": str(tmp_path / "settings.json"),
    }
    settings |= {"memory_megabytes": 1000, "total_seconds": 600, "cell_seconds": 600, "max_output": 1000}
    (tmp_path / "settings.json").write_text(json.dumps(settings), encoding="utf8")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("open('started', 'w'); import time; time.sleep(600)")]
    )
    nbformat.write(notebook, tmp_path / "prepared.ipynb")
    code = f"import sys; sys.path.insert(0, {str(isolation.HERE.parent)!r})\nfrom classroom import execute\n"
    grader = subprocess.Popen([sys.executable, "-c", code + f"execute.main({str(tmp_path)!r})"])
    wait(lambda: (room / "started").exists())
    kernels = psutil.Process(grader.pid).children(recursive=True)
    assert kernels
    grader.kill()
    grader.wait()
    wait(lambda: not any(kernel.is_running() and kernel.status() != psutil.STATUS_ZOMBIE for kernel in kernels))
