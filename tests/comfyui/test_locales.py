"""Translations, as ComfyUI's front end reads them: it takes `@`, `{`, `}` and `|` for marks of its own (vue-i18n)."""

import json
import re

import pytest
from i18n_marks import LITERAL, MARKS
from servers import REPOSITORY

FILES = sorted((REPOSITORY / "locales").rglob("*.json"))


def texts(entry, path=""):
    if isinstance(entry, dict):
        for name, inner in entry.items():
            yield from texts(inner, f"{path}/{name}")
    else:
        yield path, entry


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_no_mark_of_the_front_ends_own_stands_bare(file):
    found = list(texts(json.loads(file.read_text(encoding="utf-8"))))
    assert found and not [path for path, text in found if MARKS.search(LITERAL.sub("", text))]


def test_the_packs_own_widgets_speak_every_language():
    words = (REPOSITORY / "web/js/words.js").read_text(encoding="utf-8")
    spoken = dict(re.findall(r"^  (\w+): \{\n(.*?)^  \},$", words, re.MULTILINE | re.DOTALL))
    assert set(spoken) == {file.parent.name for file in FILES}
    names = [re.findall(r'^    "?([\w ]+)"?: ', texts, re.MULTILINE) for texts in spoken.values()]
    assert len(names[0]) > 4 and all(other == names[0] for other in names)
