"""Every file in data/ is listed in data/README.md with its checksum, and every maker exists."""

import hashlib
import re

import numpy as np
import pytest

from lib.scale import DATA

FILES = sorted(path for path in DATA.iterdir() if path.suffix not in {".md", ".py", ".pyc"} and path.is_file())
ROWS = {
    match[1]: match[0]
    for match in re.finditer(r"^\| `([\w.]+)` \|.*\|$", (DATA / "README.md").read_text(encoding="utf8"), re.M)
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_is_listed_with_its_checksum(path):
    assert hashlib.sha256(path.read_bytes()).hexdigest() in ROWS[path.name]


@pytest.mark.parametrize("name", sorted(ROWS))
def test_listed_file_and_its_maker_exist(name):
    assert (DATA / name).is_file()
    maker = re.search(r"`(make_\w+\.py)`", ROWS[name])
    assert (DATA / maker[1]).is_file()


def test_headline_says_how_it_was_made_and_keeps_its_promise():
    with np.load(DATA / "headline.npz", allow_pickle=False) as result:
        assert {"device", "commit", "seed", "command", "guidance"} <= set(result.files)
        assert np.abs(result["memorized"] - result["copied"]).max() < 0.01  # m/s
        assert result["chi2_memorized"].min() > 1.1 > result["chi2_population"].max()
