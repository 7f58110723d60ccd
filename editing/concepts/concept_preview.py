"""A concept edit before a picture is drawn: what becomes what, and how much prompts will change."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch

from ..encoding import EncodedPrompt
from ..preview import Preview, aligned
from .concept_edit import ConceptEdit
from .text_encoder import TextEncoder

_READ = 64


def preview_concepts(
    edit: ConceptEdit, encoders: Sequence[TextEncoder], related: Sequence[str] = (), unrelated: Sequence[str] = ()
) -> Preview:
    """Look at an edit.

    Args:
        edit: what to look at.
        encoders: the text encoders that it is for, without it.
        related: prompts that ought to follow the edit.
        unrelated: prompts that ought to stay.

    Raises:
        EditError: the edit is for other encoders.
    """
    edit.check_encoders(encoders)
    pairs = [concept.sentences(edit.recipe.templates)[0] for concept in edit.recipe.written[:_READ]]
    texts = list(dict.fromkeys([*(text for pair in pairs for text in pair), *related, *unrelated]))

    def read(given: Sequence[TextEncoder]) -> list[dict[str, EncodedPrompt]]:
        return [dict(zip(texts, encoder.encode(texts), strict=True)) for encoder in given]

    before, after = read(encoders), read(edit.edited(encoders))

    def reaches(prompts: Sequence[str]) -> dict[str, float]:
        return {prompt: _moved([known[prompt] for known in before], [known[prompt] for known in after]) for prompt in prompts}

    name, layers = next(iter(edit.changes.items()))
    layer = max(layers)
    core = [torch.linalg.qr(side.double())[1] for side in (layers[layer][0], layers[layer][1].T)]
    return Preview(
        aligned=tuple(aligned(source, destination, before[0][source], before[0][destination]) for source, destination in pairs),
        sources=reaches(list(dict.fromkeys(source for source, _ in pairs))),
        related=reaches(list(dict.fromkeys(related))),
        unrelated=reaches(list(dict.fromkeys(unrelated))),
        spectrum=torch.linalg.svdvals(core[0] @ core[1].T),
        spectrum_of=f"the change of {name}'s layer {layer}",
    )


def _moved(before: Sequence[EncodedPrompt], after: Sequence[EncodedPrompt]) -> float:
    """Relative change (Frobenius) of a prompt's words and end, over all encoders."""
    moved = size = 0.0
    for old, new in zip(before, after, strict=True):
        rows = [*old.words, min(len(old.tokens) - 1, old.chunks[0].words.stop)]
        moved += float((new.embeddings[rows] - old.embeddings[rows]).square().sum())
        size += float(old.embeddings[rows].square().sum())
    return sqrt(moved / size)
