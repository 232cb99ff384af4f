"""The registry of public models and its download; no test reaches the network."""

import hashlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import requests  # pooch downloads with it

from lib.download import PUBLIC_MODELS, PublicModels, fetch_velocity_models
from lib.loaders import load_velocity_models

README = Path(__file__).parent.parent / "data" / "README.md"
MODELS = np.random.default_rng(0).uniform(1500, 4500, (3, 6, 7)).astype("<f4")
HASH = "sha256:" + hashlib.sha256(MODELS.tobytes()).hexdigest()


@pytest.fixture
def server(monkeypatch):
    """A registry of one small file, and a server that counts its calls; None for no network."""

    class Server:
        content, calls = MODELS.tobytes(), 0

        def __call__(self, url, output_file, *_):
            self.calls += 1
            if self.content is None:
                raise requests.exceptions.ConnectionError("no network")
            assert url == "https://example.org/vp.bin"
            Path(output_file).write_bytes(self.content)

    fake = Server()
    entry = PublicModels("https://example.org/vp.bin", HASH, "CC0", "made here", {"shape": MODELS.shape})
    monkeypatch.setattr("lib.download.PUBLIC_MODELS", {"small": entry})
    monkeypatch.setattr("pooch.core.choose_downloader", lambda *_, **__: fake)
    return fake


@pytest.mark.parametrize("name", PUBLIC_MODELS)
def test_an_entry_has_a_secure_address_a_checksum_a_licence_and_a_source(name):
    entry = PUBLIC_MODELS[name]
    assert re.fullmatch(r"https://[\w.]+/[\w./-]+\.(npy|bin|segy)", entry.url)
    assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", entry.known_hash)
    assert re.match(r"CC BY(-NC-SA)? 4\.0", entry.licence)
    assert re.search(r"\((19|20)\d\d\)", entry.source)
    assert set(entry.options) <= {"shape", "axes", "unit"}


@pytest.mark.parametrize("name", PUBLIC_MODELS)
def test_an_entry_has_a_row_in_the_readme_of_the_data(name):
    entry, text = PUBLIC_MODELS[name], README.read_text(encoding="utf8")
    row = next(line for line in text.splitlines() if line.startswith(f'| `"{name}"`'))
    assert entry.url.split("/")[2] in row
    assert entry.licence.split(",")[0].split(" (")[0] in row


def test_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        PUBLIC_MODELS["marmousi"] = None
    with pytest.raises(TypeError):
        PUBLIC_MODELS["marmousi"].options["axes"] = "zx"


def test_raw_options_fit_the_file_they_are_for(tmp_path):
    path = tmp_path / "marmousi.bin"  # a file of the published size, 6 912 204 bytes
    path.write_bytes(np.linspace(1500, 5500, 1_728_051, dtype="<f4").tobytes())
    assert path.stat().st_size == 6_912_204
    models = load_velocity_models(path, **PUBLIC_MODELS["marmousi"].options)
    assert models.shape == (1, 751, 2301)
    assert (models[0].diff(dim=0) > 0).all()  # stored trace by trace: depth is the fast axis


def test_a_file_is_fetched_once_verified_and_read(tmp_path, server):
    first = fetch_velocity_models("small", folder=tmp_path / "new")
    assert first == tmp_path / "new" / "small.bin"
    assert np.array_equal(load_velocity_models(first, shape=MODELS.shape).numpy(), MODELS)
    assert fetch_velocity_models("small", folder=str(tmp_path / "new")) == first
    assert server.calls == 1
    first.write_bytes(b"spoilt")
    assert fetch_velocity_models("small", folder=tmp_path / "new").read_bytes() == MODELS.tobytes()
    assert server.calls == 2


def test_the_cache_of_the_user_is_the_default_folder(tmp_path, server, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    assert fetch_velocity_models("small") == tmp_path / "velocity-models" / "small.bin"


def test_a_wrong_checksum_leaves_nothing(tmp_path, server):
    server.content = MODELS.tobytes()[:-1]
    with pytest.raises(ValueError, match="does not match the known hash"):
        fetch_velocity_models("small", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_message_says_how_to_do_it_by_hand(tmp_path, server):
    server.content = None
    by_hand = tmp_path / "small.bin"
    with pytest.raises(ConnectionError, match=re.escape(f"save https://example.org/vp.bin as {by_hand} and call")):
        fetch_velocity_models("small", folder=tmp_path)
    calls = server.calls
    by_hand.write_bytes(MODELS.tobytes())
    assert fetch_velocity_models("small", folder=tmp_path) == by_hand
    assert server.calls == calls


def test_without_pooch_the_extra_is_named(tmp_path, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match="pip install pooch .extra `formats`"):
        fetch_velocity_models("small", folder=tmp_path)


@pytest.mark.parametrize("name", ["marmousi3", None, ["small"]])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match=r"name must be one of \('marmousi', .*got"):
        fetch_velocity_models(name)
