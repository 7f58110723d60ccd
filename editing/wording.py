"""Prompts in messages: long ones shortened, many of them counted."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 3


def shortened(text: str) -> str:
    """A long text's beginning and end."""
    return text if len(text) <= 80 else f"{text[:40]}…{text[-40:]}"


def first_named(prompts: Sequence[str]) -> str:
    """The first prompts in quotation marks, and how many more there are."""
    shown = ", ".join(f"“{prompt}”" for prompt in prompts[:_NAMED])
    return shown + (f" and {len(prompts) - _NAMED} more" if len(prompts) > _NAMED else "")
