"""Public velocity models from the web: a registry with checksums, and a download that verifies them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

_OPENFWI = "https://huggingface.co/datasets/ashynf/OpenFWI/resolve/9ed98af51d841bc7b7a43911021f87df6a730db5/FlatVel_A"


@dataclass(frozen=True)
class PublicModels:
    """One file that can be downloaded.

    Attributes:
        url: Where it is.
        known_hash: Its checksum, "md5:..." or "sha256:...".
        licence: Under which licence, and by whose declaration.
        source: What it is, and whom to cite.
        options: What `load_velocity_models` needs to read it.
    """

    url: str
    known_hash: str
    licence: str
    source: str
    options: Mapping[str, object] = field(default_factory=dict)


# Each checksum was found, equal, in two public projects that use the file; data/README.md says more.
PUBLIC_MODELS: Mapping[str, PublicModels] = MappingProxyType(
    {
        "marmousi": PublicModels(
            "https://zenodo.org/records/16114161/files/marmousi_vp.bin",
            "md5:3603290793a5d870fb1290301bc68dbd",
            "CC BY 4.0, as declared with doi:10.5281/zenodo.16114161",
            "Marmousi, P velocity, 751 x 2301 cells of 4 m; Versteeg (1994), The Leading Edge 13, 927-936",
            MappingProxyType({"shape": (2301, 751), "axes": "xz"}),
        ),
        "marmousi2": PublicModels(
            "https://ahay.org/data/marm2/vp_marmousi-ii.segy",
            "sha256:2722a5de0645d8fcf5750f380893d4875383af9b24988ece0bd07b943f5b0c91",
            "CC BY 4.0, Allied Geophysical Laboratories, University of Houston (SEG wiki, AGL Elastic Marmousi)",
            "Marmousi2, P velocity, 2801 x 13601 cells of 1.25 m; Martin et al. (2006), The Leading Edge 25, 156-166",
            MappingProxyType({"unit": "km/s"}),
        ),
        "openfwi-flatvel-a-1": PublicModels(
            f"{_OPENFWI}/model/model1.npy",
            "sha256:6c721820e0b351315c9d0788bb1b085d6dc3820fe4e3dd73399b1496e35c1015",
            "CC BY-NC-SA 4.0 (no commercial use; share alike), OpenFWI; from an unofficial mirror",
            "OpenFWI FlatVel-A, file 1 (training), 500 models of 70 x 70 cells of 10 m; Deng et al. (2022), NeurIPS",
        ),
        "openfwi-flatvel-a-49": PublicModels(
            f"{_OPENFWI}/model/model49.npy",
            "sha256:93d49930a714d6cc5af802c478803864ed9129d63251ca03a4b1093cd06ba1f5",
            "CC BY-NC-SA 4.0 (no commercial use; share alike), OpenFWI; from an unofficial mirror",
            "OpenFWI FlatVel-A, file 49 (test), 500 models of 70 x 70 cells of 10 m; Deng et al. (2022), NeurIPS",
        ),
    }
)


def fetch_velocity_models(name: str, *, folder: str | Path | None = None) -> Path:
    """Download a public file of velocity models once, verify its checksum, and return where it is.

    A file that is there already is verified and not fetched again; one that fails is replaced. Nothing is left under
    its name before it is verified. The licence of the file binds you: read it in `PUBLIC_MODELS`, which also has the
    options that `load_velocity_models` needs to read the file::

        load_velocity_models(path, **PUBLIC_MODELS[name].options)

    Args:
        name: A key of `PUBLIC_MODELS`.
        folder: Where to keep it; None is the user's cache folder.

    Returns:
        The path of the verified file.

    Raises:
        ValueError: An unknown name, or a download whose checksum is wrong.
        ImportError: pooch (extra `formats`) is not installed.
        ConnectionError: It cannot be fetched, as without a network; the message says how to do it by hand.
    """
    if name not in tuple(PUBLIC_MODELS):
        raise ValueError(f"name must be one of {tuple(PUBLIC_MODELS)}, got {name!r}")
    try:
        import pooch
    except ImportError as error:
        raise ImportError("a download needs pooch: pip install pooch (extra `formats`)") from error
    entry = PUBLIC_MODELS[name]
    folder = Path(pooch.os_cache("velocity-models") if folder is None else folder)
    target = f"{name}{Path(entry.url).suffix}"
    try:
        return Path(pooch.retrieve(entry.url, entry.known_hash, fname=target, path=folder, progressbar=True))
    except OSError as error:  # all that requests raises is one
        raise ConnectionError(
            f"{name} could not be fetched ({type(error).__name__}: {error}); by hand: save {entry.url} as "
            f"{folder / target} and call this again, which verifies it"
        ) from error
