"""Edit Concepts: many concepts at once, in the text encoder."""

from __future__ import annotations

import time
from typing import Any

from comfy_api.latest import io, ui

from ..editing.carried_edits import carried_besides
from ..editing.concepts.concept_edit import ConceptEdit, ValueSearch, find_concept_values, write_concept_values
from ..editing.concepts.concept_lines import TEMPLATES
from ..editing.concepts.concept_recipe import (
    DEFAULT_REGULARIZATION,
    MODES,
    ConceptRecipe,
    layers_from_text,
    parse_concept_recipe,
)
from ..editing.concepts.concept_report import describe_concepts, shares_remarks, statistics_remarks
from ..editing.concepts.values import ValueSettings
from ..editing.lines import phrase_lines
from .comfy.concept_balancing import Rounds, balance_inputs
from .comfy.concept_captions import Captions, StatisticsType, layers_input, statistics_of
from .comfy.paths import kept_folder
from .comfy.progress import progress_to, stop_if_interrupted
from .comfy.schemas import EditType, advanced, schema
from .comfy.teachers import teachers
from .comfy.text_encoders import concept_edits_on, text_encoders, with_edit


class EditConcepts(io.ComfyNode):
    """Lines of concepts in, edited CLIP out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionConcepts",
            display_name="Edit Concepts",
            description="Changes what names mean to the text encoder, hundreds at once: who the president is, what an alias "
            "stands for, which artist is forgotten. Each name is thought through once, which takes a second or so, and kept.",
            search_aliases=["EMCID", "mass edit", "erase artists", "forget", "rectify", "update concept", "MEMIT"],
            inputs=[
                io.Clip.Input("clip", tooltip="The CLIP to edit. It is not changed; the edit is on the output."),
                io.String.Input(
                    "concepts",
                    multiline=True,
                    dynamic_prompts=False,
                    default="tench -> goldfish\nVan Gogh ->\nwhite shark ~ man-eater",
                    tooltip="One on each line. “tench -> goldfish”: a tench is drawn as a goldfish. “Van Gogh ->”: forgotten. "
                    "“white shark ~ man-eater”: man-eater means a white shark. Destinations parted by a pipe sign: each. "
                    "[pictures] at the end: your pictures say it. [everywhere]: all tokens change. # begins a comment, "
                    "! a setting.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The model, which is asked in the modes “attention” and “full”. It is not changed.",
                ),
                advanced(
                    io.Combo.Input(
                        "mode",
                        options=list(MODES),
                        default=MODES[0],
                        tooltip="attention: what the model's cross-attention layers make of the text decides, in a second or "
                        "so for each name. text: the text encoder alone, without a model. full: the whole model, on pictures "
                        "of the destination, as in EMCID's paper; slower.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "regularization",
                        default=DEFAULT_REGULARIZATION,
                        min=0.0001,
                        max=1000.0,
                        step=0.01,
                        round=0.0001,
                        tooltip="How strongly ordinary captions are held in place. Lower: more thorough. Higher: gentler.",
                    )
                ),
                advanced(
                    io.String.Input(
                        "templates",
                        multiline=True,
                        dynamic_prompts=False,
                        default="\n".join(TEMPLATES),
                        tooltip="Sentences in which each concept is edited, one per line; an empty pair of braces marks "
                        "its place.",
                    )
                ),
                advanced(layers_input()),
                advanced(
                    io.Int.Input(
                        "drawing_seed",
                        default=0,
                        min=0,
                        max=2**32,
                        tooltip="Of the noise that the model is asked about, and of pictures in the mode “full”.",
                    )
                ),
                StatisticsType.Input(
                    "statistics", optional=True, tooltip="From Concept Statistics; the pack's own captions if not connected."
                ),
                io.Latent.Input(
                    "pictures",
                    optional=True,
                    tooltip="For the mode “full”: your own pictures (VAE Encode), equally many for each line with [pictures], "
                    "or of the destinations of all lines where none has it, in their order. They are drawn if not connected.",
                ),
                *balance_inputs(),
            ],
            outputs=[
                io.Clip.Output(display_name="CLIP", tooltip="The text encoder that believes it."),
                EditType.Output(display_name="EDIT", tooltip="For Save Edit, Apply Edit, Preview Edit and Save Edit as LoRA."),
            ],
        )

    @classmethod
    def execute(
        cls,
        clip: Any,
        concepts: str,
        mode: str = MODES[0],
        regularization: float = DEFAULT_REGULARIZATION,
        templates: str = "\n".join(TEMPLATES),
        layers: str = "",
        drawing_seed: int = 0,
        model: Any = None,
        statistics: Captions | None = None,
        pictures: dict[str, Any] | None = None,
        **balancing: Any,
    ) -> io.NodeOutput:
        """Search, solve, patch."""
        recipe = parse_concept_recipe(
            concepts,
            regularization=regularization,
            templates=tuple(phrase_lines(templates, "templates")),
            layers=layers_from_text(layers),
            mode=mode,
        )
        rounds = Rounds(**balancing)
        rounds.check(recipe, model)
        begun = time.perf_counter()
        encoders = text_encoders(clip)
        sources = [concept.source for concept in recipe.concepts]
        encoder_statistics = statistics_of(encoders, recipe.layers, statistics or Captions(), sources)
        read = time.perf_counter()
        distill, teacher = teachers(model, clip, recipe, encoders, pictures and pictures["samples"], drawing_seed)
        advance = progress_to(len(recipe.searched) * len(encoders), what="values")
        how = ValueSearch(ValueSettings.for_mode(recipe.mode), distill, teacher, kept_folder("values"))
        values = find_concept_values(recipe, encoders, how, lambda done, of: advance(done))

        def write(tried: ConceptRecipe) -> ConceptEdit:
            return write_concept_values(tried, encoders, encoder_statistics, values, stop_if_interrupted)

        edit, last = rounds.run(model, clip, recipe, write, drawing_seed)
        done = "values and solve" if last is None else "values, solve and rounds"
        times = f"captions in {read - begun:.1f} s, {done} in {time.perf_counter() - read:.1f} s"
        changed = with_edit(clip, edit)
        besides = carried_besides("CLIP", concept_edits_on(changed), edit.recipe)
        remarks = [*shares_remarks(recipe, last), *statistics_remarks(encoder_statistics), *besides, times]
        return io.NodeOutput(changed, edit, ui=ui.PreviewText(describe_concepts(edit, remarks)))


NODES = [EditConcepts]
