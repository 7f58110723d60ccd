"""Translations of the extension for A1111 and Forge: each language has every text of the panel, the tab and the settings."""

import ast
import json

import pytest
from servers import REPOSITORY

FILES = sorted((REPOSITORY / "localizations").glob("*.json"))
PLACES = {"Button": [0], "Accordion": [0], "_button": [1], "_lines": [1, 3], "OptionInfo": [1], "info": [0]}
"""Function to the places of texts among its arguments."""
AXES = "[Edit Assumption] "


def name_of(call):
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def texts_of(call):
    """What a call puts on the page."""
    named = [keyword.value for keyword in call.keywords if keyword.arg in ("label", "info")]
    placed = [call.args[place] for place in PLACES.get(name_of(call), ()) if place < len(call.args)]
    yield from (node.value for node in (*named, *placed) if isinstance(node, ast.Constant))
    if name_of(call) == "axis":
        yield AXES + call.args[0].values[-1].value


def shown():
    texts = {"Edit Assumption", "Edits"}
    for path in (REPOSITORY / "extension").glob("*.py"):
        calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
        texts |= {text for call in calls for text in texts_of(call)}
    return texts


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_language_has_every_text_and_no_other(file):
    assert set(json.loads(file.read_text(encoding="utf-8"))) == shown()
