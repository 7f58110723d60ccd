"""What a release says of itself, in all places that say it."""

import re

import edit_assumption
import pytest
import yaml
from servers import REPOSITORY

TEMPLATES = sorted((REPOSITORY / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))


def text(path):
    return (REPOSITORY / path).read_text(encoding="utf-8")


def test_every_place_names_the_same_version():
    """ComfyUI's Registry reads it from pyproject.toml, a node pack without metadata from the package."""
    said = {
        "pyproject.toml": re.search(r'^version = "(.+)"$', text("pyproject.toml"), re.M)[1],
        "CITATION.cff": yaml.safe_load(text("CITATION.cff"))["version"],
        "CHANGELOG.md": re.search(r"^## (\S+)", text("CHANGELOG.md"), re.M)[1],
    }
    assert said == dict.fromkeys(said, edit_assumption.__version__)


def test_the_citation_has_what_the_format_asks_for():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert all(set(paper) >= {"type", "title", "authors", "year"} for paper in citation["references"])


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_an_issue_template_has_what_github_asks_for(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    inputs = [field for field in form["body"] if field["type"] != "markdown"]
    assert inputs and all(field["attributes"]["label"] and field["id"] for field in inputs)
