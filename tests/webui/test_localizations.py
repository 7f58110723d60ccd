"""Translations of the extension for A1111 and Forge: each language has every text of the panel, the tab and the settings."""

import ast
import json

import pytest
from edit_assumption.extension.page_sentences import paragraph, translatable
from servers import REPOSITORY

FILES = sorted((REPOSITORY / "localizations").glob("*.json"))
PLACES = {"Button": [0], "Accordion": [0], "_button": [1], "_lines": [1, 3], "OptionInfo": [1], "info": [0]}
"""Function to the places of texts among its arguments."""
AXES = "[Edit Assumption] "
SOLVING = [*(REPOSITORY / "editing/assumptions").glob("*.py"), REPOSITORY / "editing/projections.py"]
"""What can be wrong with a recipe is said from here."""


def name_of(call):
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def texts_of(call):
    """What a call puts on the page."""
    named = [keyword.value for keyword in call.keywords if keyword.arg in ("label", "info")]
    placed = [call.args[place] for place in PLACES.get(name_of(call), ()) if place < len(call.args)]
    yield from (node.value for node in (*named, *placed) if isinstance(node, ast.Constant))
    if name_of(call) == "axis":
        yield AXES + call.args[0].values[-1].value


def walked(path):
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def errors_of(nodes):
    """The errors that say the same always, but for those that follow the number of a line."""
    calls = [node for node in nodes if isinstance(node, ast.Call) and name_of(node) == "EditError"]
    fixed = [call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)]
    return {sentence for sentence in fixed if sentence[0].isupper()}


def written(node):
    """A sentence of the source, with some word for what is put into it."""
    return "".join(part.value if isinstance(part, ast.Constant) else "name" for part in getattr(node, "values", [node]))


def told():
    """What the tab's status says of success and in its question, and what is said of an interruption and below an image."""
    nodes = walked(REPOSITORY / "extension/tab_actions.py")
    returned = [node.value.elts[0] for node in nodes if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)]
    asked = [node.args[0] for node in nodes if isinstance(node, ast.Call) and name_of(node) == "paragraph"]
    sentences = [written(node) for node in (*returned, *asked) if isinstance(node, ast.Constant | ast.JoinedStr)]
    turns = walked(REPOSITORY / "extension/queue_turns.py")
    (stopped,) = [node.body[0].value.value for node in turns if getattr(node, "name", "") == "__str__"]
    remarks = [node for node in walked(REPOSITORY / "extension/script.py") if isinstance(node, ast.Call)]
    below = [f"Edit Assumption: {call.args[1].value}" for call in remarks if name_of(call) == "say_not_done"]
    return {stopped, *below, *(text for sentence in sentences for text in translatable(sentence))}


def shown():
    texts = {"Edit Assumption", "Edits"} | told()
    for path in (REPOSITORY / "extension").glob("*.py"):
        nodes = walked(path)
        texts |= {text for node in nodes if isinstance(node, ast.Call) for text in texts_of(node)} | errors_of(nodes)
    return texts.union(*(errors_of(walked(path)) for path in SOLVING))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_language_has_every_text_and_no_other(file):
    assert set(json.loads(file.read_text(encoding="utf-8"))) == shown()


def test_a_paragraph_keeps_names_apart_from_what_is_translated():
    sentence = "Saved <b>. Write <edit:a & b:1> or “c”."
    assert paragraph(sentence) == (
        "<p>Saved <span>&lt;b&gt;</span>. Write <span>&lt;edit:a &amp; b:1&gt;</span> or <span>“c”</span>.</p>"
    )
    assert translatable(sentence) == ["Saved", ". Write", "or"]
