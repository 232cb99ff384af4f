"""Memory that a program can have, by made-up kernels and by this one."""

import psutil
import pytest

from lib.memory import available_memory

GB = 10**9


def kernel(root, *, free_kb=8_000_000, groups="0::/user/job\n", **files):
    """A root folder whose files tell what a kernel would."""
    written = {"proc/meminfo": f"MemTotal: 16000000 kB\nMemAvailable: {free_kb} kB\n", "proc/self/cgroup": groups}
    for name, text in {**written, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(text))
    return root


def test_without_a_limit_it_is_what_the_machine_has_available(tmp_path):
    assert available_memory(kernel(tmp_path)) == 8_000_000 * 1024
    limits = {"sys/fs/cgroup/user/job/memory.max": "max\n", "sys/fs/cgroup/user/job/memory.current": 5 * GB}
    assert available_memory(kernel(tmp_path, **limits)) == 8_000_000 * 1024


@pytest.mark.parametrize("group", ["user/job", "user", ""])
def test_the_limit_of_any_group_above_counts_less_what_is_taken_and_cannot_be_dropped(tmp_path, group):
    limits = {
        f"sys/fs/cgroup/{group}/memory.max": 2 * GB,
        f"sys/fs/cgroup/{group}/memory.current": GB,
        f"sys/fs/cgroup/{group}/memory.stat": f"anon 600\ninactive_file {GB // 4}\nactive_file 7\n",
    }
    assert available_memory(kernel(tmp_path, **limits)) == 2 * GB - GB + GB // 4


def test_inside_a_container_the_path_of_the_host_is_not_there_and_the_base_counts(tmp_path):
    limits = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": 2 * GB,
        "sys/fs/cgroup/memory/memory.usage_in_bytes": GB,
    }
    groups = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n"
    assert available_memory(kernel(tmp_path, groups=groups, **limits)) == GB


def test_a_machine_with_less_than_the_limit_leaves_the_less(tmp_path):
    limits = {"sys/fs/cgroup/memory.max": 2 * GB, "sys/fs/cgroup/memory.current": 0}
    assert available_memory(kernel(tmp_path, free_kb=1000, groups="0::/\n", **limits)) == 1000 * 1024


def test_a_group_beyond_its_limit_leaves_nothing(tmp_path):
    limits = {"sys/fs/cgroup/memory.max": GB, "sys/fs/cgroup/memory.current": 2 * GB}
    assert available_memory(kernel(tmp_path, groups="0::/\n", **limits)) == 0


def test_here_it_is_a_number_of_bytes_or_unknown(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError

    assert 2**26 < available_memory() <= psutil.virtual_memory().total
    assert available_memory(tmp_path) == pytest.approx(psutil.virtual_memory().total, rel=0.01)  # no such files
    monkeypatch.setattr("os.sysconf", refuse, raising=False)
    assert available_memory(tmp_path) is None
