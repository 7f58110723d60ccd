"""Concept Statistics: what a CLIP's MLPs read in ordinary captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io, ui

from ..editing.concepts.concept_recipe import layers_from_text
from ..editing.concepts.concept_report import statistics_remarks
from ..editing.lines import prompt_lines
from ..editing.text_file import read_text
from .comfy.concept_captions import GENERATED, Captions, StatisticsType, layers_input, statistics_of
from .comfy.schemas import advanced, schema
from .comfy.text_encoders import text_encoders

_OWN = "captions of the pack"


def _caption_files() -> list[str]:
    return sorted(path.name for path in Path(folder_paths.get_input_directory()).glob("*.txt"))


class ConceptStatistics(io.ComfyNode):
    """Captions into statistics."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            node_id="EditAssumptionConceptStatistics",
            display_name="Concept Statistics",
            description="Reads ordinary captions once and keeps what the text encoder's MLPs see in them, so that Edit "
            "Concepts leaves it alone. Kept on disk for each CLIP; an interrupted run goes on where it was.",
            search_aliases=["EMCID", "MEMIT", "covariance", "mom2", "second moment"],
            inputs=[
                io.Clip.Input("clip", tooltip="The CLIP that Edit Concepts will edit."),
                io.Combo.Input(
                    "captions",
                    options=[_OWN, *_caption_files()],
                    default=_OWN,
                    tooltip="What is ordinary: the pack's own captions, or a .txt file in ComfyUI's input folder with one on "
                    "each line.",
                ),
                io.Int.Input(
                    "count",
                    default=GENERATED,
                    min=100,
                    max=100000,
                    tooltip="How many captions are read, at most. More hold more in place, and take longer, once.",
                ),
                advanced(layers_input()),
            ],
            outputs=[StatisticsType.Output(display_name="STATISTICS", tooltip="For Edit Concepts.")],
        )

    @classmethod
    def execute(cls, clip: Any, captions: str, count: int, layers: str = "") -> io.NodeOutput:
        """Compute or load."""
        chosen = Captions(None if captions == _OWN else _read(captions)[:count], count)
        encoders = text_encoders(clip)
        statistics, count = statistics_of(encoders, layers_from_text(layers), chosen), len(chosen.of(encoders))
        lines = [
            f"{name}: {count} captions and {entry.captions - count} words, layers {', '.join(map(str, entry.sums))}"
            for name, entry in statistics.items()
        ]
        return io.NodeOutput(chosen, ui=ui.PreviewText("\n".join([*lines, *statistics_remarks(statistics)])))


def _read(name: str) -> tuple[str, ...]:
    name = Path(name).name
    return tuple(prompt_lines(read_text(Path(folder_paths.get_input_directory(), name), "captions"), f"“{name}”"))


NODES = [ConceptStatistics]
