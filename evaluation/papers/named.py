"""Names within prompts."""

from __future__ import annotations

import re


def in_place(prompt: str, name: str, replacement: str) -> str:
    """A prompt with something else in the place of a name, in whatever case it stands there; empty where it does not."""
    pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    return pattern.sub(lambda _: replacement, prompt) if pattern.search(prompt) else ""
