"""What a CLIP's MLPs read in ordinary captions, computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comfy_api.latest import io

from ...editing.concepts.statistics import Statistics, caption_statistics
from ...editing.concepts.text_encoder import TextEncoder
from ...editing.concepts.tower import layers_of
from ...editing.families import POCKET
from ...editing.ordinary_captions import generated_captions, ordinary_captions
from ...pocket.captions import captions_for
from .paths import kept_folder
from .progress import progress_to

StatisticsType = io.Custom("ASSUMPTION_STATISTICS")
GENERATED = len(ordinary_captions())


@dataclass(frozen=True)
class Captions:
    """What the node hands on; the statistics themselves are on disk, under the encoder's and the captions' hash.

    Args:
        texts: what is ordinary; None for the pack's own.
    """

    texts: tuple[str, ...] | None = None
    generated: int = GENERATED

    def of(self, encoders: Sequence[TextEncoder]) -> tuple[str, ...]:
        """The captions for some encoders; the pocket model's own are those that it was trained on."""
        if self.texts is not None:
            return self.texts
        if encoders[0].tower.width == POCKET.width:
            return captions_for(POCKET.width)
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


def layers_input() -> io.Input:
    """Which layers are edited."""
    return io.String.Input(
        "layers",
        default="",
        optional=True,
        tooltip="Layers of the text encoder to edit, counted from 0, such as: 7, 8, 9, 10. Empty means those that the method's "
        "paper chose, or the same height of another encoder.",
    )
