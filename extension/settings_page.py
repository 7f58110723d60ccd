"""The page "Edit Assumption" among the WebUI's settings."""

from __future__ import annotations

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
