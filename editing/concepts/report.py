"""What a concept edit did, in words that every host shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..report import percent
from .edit import ConceptEdit
from .statistics import Statistics

_SHOWN = 3
_DECIDES = {"attention": "the model reads", "text": "the text says", "full": "the model predicts"}


def describe_concepts(edit: ConceptEdit, remarks: Iterable[str] = ()) -> str:
    """A few lines: the concepts, the layers, what is left undone.

    Args:
        edit: what was applied.
        remarks: more lines, such as times.
    """
    concepts = edit.recipe.concepts
    names = [concept.described() for concept in concepts[:_SHOWN]]
    if len(concepts) > _SHOWN:
        names.append(f"and {len(concepts) - _SHOWN} more")
    layers = [f"{encoder} layers {', '.join(map(str, changed))}" for encoder, changed in edit.changes.items()]
    return "\n".join(
        [
            *names,
            f"{'; '.join(layers)}, rank {edit.rank}",
            f"left undone of what {_DECIDES[edit.recipe.mode]}: {percent(edit.left)}",
            *remarks,
        ]
    )


def statistics_remarks(statistics: Mapping[str, Statistics]) -> list[str]:
    """A warning for each encoder whose statistics are of too little text to hold all that it knows in place."""
    return [
        f"Warning: {name} was read in {entry.distinct} different places, fewer than the {len(next(iter(entry.sums.values())))} "
        "numbers of a key, so little is held in place; give more captions."
        for name, entry in statistics.items()
        if entry.thin
    ]
