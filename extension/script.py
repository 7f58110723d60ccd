"""The panel below txt2img and img2img, and what it does to a generation."""

from __future__ import annotations

from typing import Any

import gradio as gr
from modules import scripts
from modules.ui_components import InputAccordion

from ..editing.errors import EditError
from .asked import RECIPE_KEY, Asked, pasted_recipe
from .panel import DEFAULTS, recipe_inputs, recipe_of
from .session import edit_while_sampling
from .text_changes import edit_while_encoding

ASKED = "edit_assumption"
"""Attribute of the processing object: its :class:`~.asked.Asked`."""
CHANGED = "edit_assumption_changed"
"""Attribute of the processing object: what goes before the panel's own values, such as an XYZ plot's. Fields of the panel,
"enabled", and "named" for a saved edit."""


class EditAssumption(scripts.Script):
    """Always there; does nothing while its panel is off and the prompt names no edit."""

    def title(self) -> str:
        """Name, also for the API's ``alwayson_scripts``."""
        return "Edit Assumption"

    def show(self, is_img2img: bool) -> Any:
        """In both tabs."""
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any]:
        """The panel; its values are the arguments of the methods below: enabled, and then as in ``panel.DEFAULTS``."""
        prefix = "edit_assumption_img2img" if is_img2img else "edit_assumption_txt2img"
        with InputAccordion(False, label=self.title(), elem_id=prefix) as enabled:
            inputs = recipe_inputs(prefix)
        self.infotext_fields = [
            (enabled, lambda parameters: pasted_recipe(parameters) is not None),
            (inputs[0], pasted_recipe),
            *((field, _default(name)) for field, name in list(zip(inputs, DEFAULTS, strict=True))[1:]),
        ]
        self.paste_field_names = [RECIPE_KEY]
        return [enabled, *inputs]

    def before_process(self, p: Any, enabled: bool = False, *values: Any) -> None:
        """Read the panel. What is wrong with it is said by the sampler, which this cannot be later than."""
        changed = dict(getattr(p, CHANGED, {}))
        named = changed.pop("named", None)
        asked = Asked(always={named: 1.0} if named else {})
        setattr(p, ASKED, asked)
        edit_while_encoding(p, asked)
        try:
            if changed.pop("enabled", enabled):
                # The API may give fewer values than there are.
                asked.panel = recipe_of({**dict(zip(DEFAULTS, values, strict=False)), **changed})
        except EditError as error:
            asked.wrong = error

    def process_batch(self, p: Any, *args: Any, **kwargs: Any) -> None:
        """After the prompt's extra networks are known: write down what it takes to draw the picture again."""
        asked = getattr(p, ASKED, None)
        if asked is None:
            return
        try:
            p.extra_generation_params.update(asked.parameters())
        except EditError as error:
            asked.wrong = error

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None:
        """The sampler exists now, and will be asked next."""
        asked = getattr(p, ASKED, None)
        if asked is not None and asked.anything:
            edit_while_sampling(p, asked)


def _default(name: str) -> Any:
    """Settings stand in the recipe's text where they are not the default, so the panel's own go back to it."""

    def value(parameters: dict[str, Any]) -> Any:
        return gr.update() if pasted_recipe(parameters) is None else gr.update(value=DEFAULTS[name])

    return value
