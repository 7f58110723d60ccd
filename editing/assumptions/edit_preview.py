"""An edit of cross-attention before a picture is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..encoding import Encode
from ..errors import EditError
from ..preview import Preview, aligned
from .behind_norm import unit_rows
from .edit import Edit
from .end_only import end_only_sources
from .reach import reach
from .rows_read import RowsRead


def preview(edit: Edit, encode: Encode, related: Sequence[str] = (), unrelated: Sequence[str] = ()) -> Preview:
    """Look at an edit.

    Args:
        edit: what to look at.
        encode: its text encoder.
        related: prompts that ought to follow the edit.
        unrelated: prompts that ought to stay.

    Raises:
        EditError: the edit is for another text encoder.
    """
    if edit.layers:
        raise EditError(
            f"This edit is one of what {edit.layers}’s own layers make of a prompt, which the text alone does not show; draw "
            "pictures with it instead."
        )
    edit.check_encoder(encode)
    pairs = edit.recipe.active
    texts = list(dict.fromkeys([*(text for pair in pairs for text in (pair.source, pair.destination)), *related, *unrelated]))
    known = dict(zip(texts, RowsRead(edit.norms).encode(encode)(texts), strict=True))
    own = edit.encoder.embeddings
    unit = replace(edit.encoder, embeddings=unit_rows(own, edit.norms) if edit.norms else own).unit

    def reaches(prompts: Sequence[str]) -> dict[str, float]:
        return {prompt: reach(edit.context_map, known[prompt], unit) for prompt in dict.fromkeys(prompts)}

    return Preview(
        aligned=tuple(aligned(pair.source, pair.destination, known[pair.source], known[pair.destination]) for pair in pairs),
        sources=reaches([pair.source for pair in pairs]),
        related=reaches(related),
        unrelated=reaches(unrelated),
        spectrum=edit.context_map.singular_values(),
        end_only=end_only_sources(pairs, known),
    )
