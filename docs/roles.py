"""Docstrings name other objects as Sphinx does; the site shows these names as code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:func|class|meth|attr|data|mod):`([^`]+)`")


def plain(text: str) -> str:
    """``:func:`~.reach.reach``` becomes ```reach```: the name alone behind a tilde, else without leading dots."""

    def name(match: re.Match[str]) -> str:
        target = match[1]
        return f"`{target.rpartition('.')[2] if target.startswith('~') else target.lstrip('.')}`"

    return _ROLE.sub(name, text)


class Roles(Extension):
    """The extension that mkdocs.yml names."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite an object's docstring."""
        if obj.docstring:
            obj.docstring.value = plain(obj.docstring.value)
