"""Concept Statistics: what a CLIP's MLPs read in ordinary captions, computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io, ui

from ..editing.concepts.concept_recipe import layers_from_text
from ..editing.concepts.concept_report import statistics_remarks
from ..editing.concepts.statistics import Statistics, caption_statistics
from ..editing.concepts.text_encoder import TextEncoder
from ..editing.concepts.tower import layers_of
from ..editing.lines import prompt_lines
from ..editing.ordinary_captions import generated_captions, ordinary_captions
from ..editing.text_file import read_text
from .comfy.paths import kept_folder
from .comfy.schemas import advanced, progress_to, schema
from .comfy.text_encoders import text_encoders

StatisticsType = io.Custom("ASSUMPTION_STATISTICS")
_OWN = "captions of the pack"
_GENERATED = len(ordinary_captions())
_POCKET_WIDTH = 128


@dataclass(frozen=True)
class Captions:
    """What the node hands on; the statistics themselves are on disk, under the encoder's and the captions' hash.

    Args:
        texts: what is ordinary; None for the pack's own.
    """

    texts: tuple[str, ...] | None = None
    generated: int = _GENERATED

    def of(self, encoders: Sequence[TextEncoder]) -> tuple[str, ...]:
        """The captions for some encoders; the pocket model's own are those that it was trained on."""
        if self.texts is not None:
            return self.texts
        if encoders[0].tower.width == _POCKET_WIDTH:
            from ..pocket.captions import ordinary_captions

            return ordinary_captions()
        return generated_captions(self.generated)


def statistics_of(
    encoders: Sequence[TextEncoder], layers: Sequence[int], captions: Captions, edited: Sequence[str] = ()
) -> dict[str, Statistics]:
    """Encoder to its statistics, from disk or computed, with progress; stops when the user cancels, and goes on from there.

    Args:
        encoders: of a CLIP.
        layers: to be edited; empty for the default.
        captions: what is ordinary.
        edited: names that are to change; captions with them hold nothing in place.
    """
    texts, statistics = captions.of(encoders), {}
    sizes = [len(texts) + len(encoder.words) for encoder in encoders]
    for place, encoder in enumerate(encoders):
        advance = progress_to(sum(sizes), sum(sizes[:place]), "statistics")
        chosen = layers_of(encoder.tower, layers)
        statistics[encoder.name] = caption_statistics(
            encoder.tower, encoder.tokenize, texts, chosen, kept_folder("statistics"), advance, edited, encoder.words
        )
    return statistics


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
                    default=_GENERATED,
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


def layers_input() -> io.Input:
    """Which layers are edited."""
    return io.String.Input(
        "layers",
        default="",
        optional=True,
        tooltip="Layers of the text encoder to edit, counted from 0, such as: 7, 8, 9, 10. Empty means those that the method's "
        "paper chose, or the same height of another encoder.",
    )


def _read(name: str) -> tuple[str, ...]:
    name = Path(name).name
    return tuple(prompt_lines(read_text(Path(folder_paths.get_input_directory(), name), "captions"), f"“{name}”"))


NODES = [ConceptStatistics]
