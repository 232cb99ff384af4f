"""Settings shared by the tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch; small problems: a second thread only waits

import matplotlib
import pytest
import torch
from hypothesis import settings

matplotlib.use("Agg")
settings.register_profile("course", deadline=None, max_examples=50)
settings.load_profile("course")


def pytest_collection_modifyitems(items):
    """Skip what needs a CUDA device where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def generator():
    """A seeded random generator."""
    return torch.Generator().manual_seed(0)


def pytest_terminal_summary(terminalreporter):
    """Print what all pages of the site share, with its size; browser tests measure it, perhaps in another process."""
    everything = (report for reports in terminalreporter.stats.values() for report in reports)
    reports = [report for report in everything if getattr(report, "when", "") == "call"]
    for key, sizes in (pair for report in reports for pair in getattr(report, "user_properties", [])):
        if key == "shared":
            total = sum(sizes.values())
            terminalreporter.section(f"scripts, styles and fonts shared by all pages: {total / 1e6:.2f} MB")
            for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
                terminalreporter.write_line(f"{size / 1000:8.1f} kB  {name}")
