"""What the WebUI calls, and when."""

from __future__ import annotations

from modules import extra_networks, script_callbacks, shared, ui_extra_networks

from .api import add_routes
from .extra_networks import EditsPage, PromptEdits
from .sampler_edits import before_step
from .settings_page import add_settings
from .tab import tab
from .xyz import add_axes


def register() -> None:
    """Called for each load of the extension's script; the WebUI forgets callbacks when it loads scripts again."""
    script_callbacks.on_ui_settings(add_settings)
    script_callbacks.on_before_ui(_before_ui)
    script_callbacks.on_ui_tabs(lambda: [(tab(), "Edit Assumption", "edit_assumption")])
    script_callbacks.on_cfg_denoiser(before_step)
    if shared.cmd_opts.api or shared.cmd_opts.nowebui:
        script_callbacks.on_app_started(lambda _, app: add_routes(app))


def _before_ui() -> None:
    extra_networks.register_extra_network(PromptEdits())
    ui_extra_networks.register_page(EditsPage())
    add_axes()
