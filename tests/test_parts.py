"""Files of finished tasks: whole or not used, whatever happened to them."""

import warnings

import numpy as np
import pytest

from lib.parts import part_path, read_part, write_part

FACTS = {"key": ["a / b", 1], "seed": 0}
ARRAYS = {"x": np.arange(3.0), "text": np.array("é")}


@pytest.fixture
def path(tmp_path):
    path = part_path(tmp_path, FACTS)
    write_part(path, FACTS, ARRAYS)
    return path


def equal(found):
    """The arrays that were written."""
    assert found.keys() == ARRAYS.keys()
    return all((found[name].dtype, found[name].tobytes()) == (a.dtype, a.tobytes()) for name, a in ARRAYS.items())


def test_a_part_comes_back_and_its_name_can_be_read(path):
    assert equal(read_part(path, FACTS))
    assert path.name.startswith("a_b_1-")
    assert path.name != part_path(path.parent, FACTS | {"seed": 1}).name
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_no_file_is_no_part(tmp_path):
    assert read_part(tmp_path / "none.npz", FACTS) is None


def test_no_damage_goes_unseen(path):
    whole = path.read_bytes()
    seen = 0
    damaged = [whole[:k] for k in range(0, len(whole), 7)]
    damaged += [whole[:k] + bytes([whole[k] ^ 0x55]) + whole[k + 1 :] for k in range(len(whole))]
    for data in damaged:
        path.write_bytes(data)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = read_part(path, FACTS)
        # Dates and the like may differ without harm; whatever comes back is what was written.
        assert (found is None and len(caught) == 1 and not path.exists()) or (found is not None and equal(found))
        seen += found is None
    assert seen > len(damaged) / 2


def test_a_pickle_is_not_opened(path):
    np.savez(path, facts=np.array([{}], dtype=object))
    with pytest.warns(UserWarning, match="allow_pickle"):
        assert read_part(path, FACTS) is None
