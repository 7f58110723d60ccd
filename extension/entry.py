"""Loads the extension where the WebUI is known, else says so in one sentence, in the console and in the tab."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from html import escape
from typing import Any

_TITLE = "Edit Assumption"


def load() -> type[Any] | None:
    """The class of the panel's script, registered with the WebUI; None where the WebUI is not one that is known."""
    try:
        from .running_host import host

        host()
        from .register import register
        from .script import EditAssumption

        register()
    except Exception as error:  # whatever it is, the WebUI's other extensions are not to suffer from it
        sentence = (
            f"{_TITLE} does not know this WebUI and is off ({error}); use A1111 1.10, Forge, Forge Neo or reForge, each in its "
            "newest version."
        )
        print(sentence)
        with suppress(Exception):
            _add_tab(lambda: _tab(sentence))
        return None
    return EditAssumption


def _add_tab(tab: Callable[[], Any]) -> None:
    from modules import script_callbacks

    script_callbacks.on_ui_tabs(lambda: [(tab(), _TITLE, "edit_assumption")])


def _tab(sentence: str) -> Any:
    import gradio as gr

    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.HTML(f"<p>{escape(sentence)}</p>")
    return blocks
