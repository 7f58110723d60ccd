"""The panel below txt2img and img2img, and what it does to a generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from modules import scripts
from modules.ui_components import InputAccordion

from ..editing.errors import EditError
from .chance_rows import DREW_KEY, parameters_of
from .generation_request import CONCEPTS_KEY, NAMED_KEY, RECIPE_KEY, GenerationRequest, pasted_named, pasted_recipe
from .panel import DEFAULTS, fill, fill_preset, presets, recipe_inputs, recipe_of, saved_edits, says_nothing, switched_on
from .remarks import NOT_DONE_KEY, say_not_done
from .sampler_edits import edit_while_sampling
from .text_encoder_edits import edit_while_encoding

ASKED = "edit_assumption"
"""Attribute of the processing object: its :class:`~.generation_request.GenerationRequest`."""
CHANGED = "edit_assumption_changed"
"""Attribute of the processing object: what goes before the panel's own values, such as an XYZ plot's. Fields of the panel,
"enabled", and "named" for a saved edit."""


_IN_PROMPT = "<edit:"


@dataclass(frozen=True)
class Panel:
    """The components that the tab sends to.

    Args:
        enabled, inputs: as :meth:`EditAssumption.ui` gives them.
        saved: the list of saved edits.
    """

    enabled: Any
    inputs: list[Any]
    saved: Any


PANELS: dict[bool, Panel] = {}
"""By whether it is img2img's. The WebUI builds the tabs after the panels of the same page."""


class EditAssumption(scripts.Script):
    """Always there; does nothing while its panel is off and the prompt names no edit."""

    def title(self) -> str:
        """Name, also for the API's ``alwayson_scripts``."""
        return "Edit Assumption"

    def show(self, is_img2img: bool) -> Any:
        """In both tabs."""
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any]:
        """The panel; its values are the arguments of the methods below: enabled, then as in ``panel.DEFAULTS``, and last the
        recipes of named edits in the parameters that were pasted."""
        prefix = "edit_assumption_img2img" if is_img2img else "edit_assumption_txt2img"
        with InputAccordion(False, label=self.title(), elem_id=prefix) as enabled:
            with gr.Row():
                saved, preset = saved_edits(prefix), presets(prefix)
            inputs = recipe_inputs(prefix)
            saved.input(fill, [saved], inputs)
            preset.input(fill_preset, [preset], inputs[:1])
            pasted = gr.Textbox("", visible=False, elem_id=f"{prefix}_pasted")
        self.infotext_fields = [
            (enabled, lambda parameters: pasted_recipe(parameters) is not None),
            (inputs[0], pasted_recipe),
            *((field, _default(name)) for field, name in list(zip(inputs, DEFAULTS, strict=True))[1:]),
            (pasted, lambda parameters: parameters.get(NAMED_KEY, "")),
        ]
        self.paste_field_names = [RECIPE_KEY]
        PANELS[is_img2img] = Panel(enabled, inputs, saved)
        return [enabled, *inputs, pasted]

    def before_process(self, p: Any, enabled: bool = False, *values: Any) -> None:
        """Read the panel. What is wrong with it is said by the sampler, which this cannot be later than."""
        p.extra_generation_params.pop(NOT_DONE_KEY, None)
        changed = dict(getattr(p, CHANGED, {}))
        named = changed.pop("named", None)
        asked = GenerationRequest(always={named: 1.0} if named else {})
        setattr(p, ASKED, asked)
        edit_while_encoding(p, asked)
        # The API may give fewer values than there are.
        fields = dict(zip((*DEFAULTS, "pasted"), values, strict=False))
        asked.pasted = pasted_named(fields.pop("pasted", ""))
        fields |= changed
        try:
            if not switched_on(fields.pop("enabled", enabled)):
                return
            if says_nothing(fields.get("recipe")):
                say_not_done(p, "the panel is on and its recipe is empty; write a line such as: a rose -> a blue rose")
            else:
                asked.panel = recipe_of(fields)
        except EditError as error:
            asked.wrong = error

    def process_batch(self, p: Any, *args: Any, **kwargs: Any) -> None:
        """After the prompt's extra networks are known: write down what it takes to draw the picture again."""
        asked = getattr(p, ASKED, None)
        if asked is None:
            return
        for key in (RECIPE_KEY, NAMED_KEY, CONCEPTS_KEY, DREW_KEY):  # a plot's cells may share one dictionary
            p.extra_generation_params.pop(key, None)
        try:
            p.extra_generation_params.update({**asked.parameters(), **parameters_of(p, asked.recipes())})
        except EditError as error:
            asked.wrong = asked.wrong or error
        if any(_IN_PROMPT in prompt for prompt in [*p.negative_prompts, *(getattr(p, "hr_negative_prompts", None) or ())]):
            say_not_done(p, "<edit:…> in the negative prompt is read as words; write it into the prompt.")

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
