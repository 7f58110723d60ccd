"""The page "Edit Assumption" among the WebUI's settings, and what is said below a picture where it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from modules import shared

_SECTION = ("edit_assumption", "Edit Assumption")


def add_settings() -> None:
    """For the WebUI's callback that gathers settings."""
    options = {
        "edit_assumption_folder": shared.OptionInfo("", "Folder of saved edits", gr.Textbox).info(
            "empty for EditAssumption among the models"
        ),
        "edit_assumption_report": shared.OptionInfo(True, "Say below the picture what the edits did", gr.Checkbox),
    }
    for name, option in options.items():
        option.section = _SECTION
        shared.opts.add_option(name, option)


def say(p: Any, report: Callable[[], str]) -> None:
    """Below the picture, unless the settings say no.

    Args:
        p: the WebUI's processing object.
        report: gives lines.
    """
    if shared.opts.data.get("edit_assumption_report", True):
        p.comment("Edit Assumption: " + "; ".join(report().splitlines()))
