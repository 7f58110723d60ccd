"""Sentences for the page, in HTML that the WebUI can translate: it looks up each text between two elements."""

from __future__ import annotations

import re
from html import escape

_ERROR = (
    "margin: 0; padding: 0.5em 0.8em; border: 1px solid var(--error-border-color); border-radius: 6px; "
    "color: var(--error-text-color); background: var(--error-background-fill);"
)
_NAME = re.compile("(“[^”]*”|<[^>]*>)")


def paragraph(sentence: str) -> str:
    """A paragraph, in which what stands in quotation marks or angle brackets is an element of its own."""
    parts = _NAME.split(sentence)
    return (
        f"<p>{''.join(f'<span>{escape(part)}</span>' if place % 2 else escape(part) for place, part in enumerate(parts))}</p>"
    )


def translatable(sentence: str) -> list[str]:
    """What a language has to have of a sentence that becomes a paragraph: the texts beside its names."""
    return [text for part in _NAME.split(sentence)[::2] if (text := part.strip()) and text != "."]


def refusal(sentence: str) -> str:
    """What is wrong, as a whole: what a language has of it, it has with the names."""
    return f"<div class='error' style='{_ERROR}'>{escape(sentence)}</div>"
