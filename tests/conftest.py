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
