"""What a release and its DOI are made from says the same everywhere."""

import json
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
ZENODO = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]


def test_version_is_the_same_in_package_citation_and_changelog():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf8"), re.M)[1]
    assert PROJECT["version"] == CITATION["version"] == newest


def test_zenodo_says_what_the_citation_says():
    assert ZENODO["title"] == CITATION["title"]
    assert ZENODO["keywords"] == CITATION["keywords"]
    assert ZENODO["license"] in CITATION["license"]
    assert [author["name"] for author in CITATION["authors"]] == [creator["name"] for creator in ZENODO["creators"]]
    paper = CITATION["references"][0]["identifiers"][0]["value"]
    assert paper in [related["identifier"] for related in ZENODO["related_identifiers"]]
