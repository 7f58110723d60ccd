"""``<edit:name:0.8>`` in a prompt: a saved edit and its strength, written as A1111 writes its extra networks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import EditError
from .wording import shortened

_OPENING = "<edit:"
_MARK = re.compile(_OPENING + "([^>]+)>")


@dataclass(frozen=True)
class PromptEdit:
    """An edit that a prompt names.

    Args:
        name: what the user calls it.
        strength: any number; whoever puts the edit on checks its limits.
    """

    name: str
    strength: float = 1.0


def read_mark(items: Sequence[str]) -> PromptEdit:
    """What stands between the colons of a mark, "edit" left out.

    Raises:
        EditError: that is not a name, or a name and a number. It begins with a small letter, for a longer sentence.
    """
    name, *strengths = [item.strip() for item in items] or [""]
    written = f"<edit:{':'.join(items)}>"
    if not name:
        raise EditError(f"{written} names no edit; write one such as <edit:blue roses:0.8>.")
    if len(strengths) > 1:
        raise EditError(f"{written} has more than a name and a strength; write <edit:{name}:0.8>.")
    try:
        return PromptEdit(name, *map(float, strengths))
    except ValueError:
        raise EditError(f"the strength in {written} is no number; write one such as <edit:{name}:0.8>.") from None


def read_prompt(prompt: str) -> tuple[str, list[PromptEdit]]:
    """The prompt without its marks, and what they name, in their order. Of an edit named twice the last strength is meant.

    Raises:
        EditError: a mark is not understood or has no end.
    """
    named = [_said_of_prompt(mark[1]) for mark in _MARK.finditer(prompt)]
    text = _MARK.sub("", prompt)
    if _OPENING in text:
        rest = text[text.index(_OPENING) :]
        raise EditError(f"In the prompt, “{shortened(rest)}” has no “>” behind a name; write <edit:blue roses:0.8>.")
    return text, named


def _said_of_prompt(inner: str) -> PromptEdit:
    try:
        return read_mark(inner.split(":"))
    except EditError as error:
        raise EditError(f"In the prompt, {error}") from None
