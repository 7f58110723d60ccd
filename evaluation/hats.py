"""Roles of the pocket model with a hat and without: their prompts, and what their pictures show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..pipelines.generate import generate
from ..pocket.captions import HAT_PHRASES, caption
from ..pocket.words import HATS, Thing
from .pocket_edits import CERTAIN, PocketModel


@dataclass(frozen=True)
class Shown:
    """What pictures of a role show.

    Args:
        hats: each picture's answer, "hat" or "bare".
        unclear: the share of pictures in which the judge is not sure of its answer, so that they may be in between.
        things: each picture's thing.
    """

    hats: tuple[str, ...]
    unclear: float
    things: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Of those with a hat."""
        return self.hats.count(HATS[0]) / len(self.hats)


def look(model: PocketModel, prompts: Sequence[str], seeds: Sequence[int], **edit: Any) -> Shown:
    """Draw a picture for each prompt and its seed, and look at the hats."""
    images = generate(model.pipe, prompts, seeds, advance=model.advance, **edit)
    answers = model.judge.answers(images)
    unclear = (model.judge.certainty(images, "hat") < CERTAIN).double().mean().item()
    return Shown(tuple(answer["hat"] for answer in answers), unclear, tuple(answer["thing"] for answer in answers))


def variant_of(role: Thing, hat: str) -> str:
    """A role's prompt with its hat, or without."""
    return f"{caption(role, {})} {HAT_PHRASES[hat]}"


def even_rows(shown: Mapping[str, Shown]) -> list[str]:
    """A table of roles that ought to have a hat in half of their pictures, and a line on how far they are from it."""
    rows = ["| role | with a hat | in between |", "|---|---:|---:|"]
    rows += [f"| {role} | {own.share:.1%} | {own.unclear:.1%} |" for role, own in shown.items()]
    gaps, unclear = [abs(own.share - 0.5) for own in shown.values()], [own.unclear for own in shown.values()]
    return [*rows, "", f"largest gap {max(gaps):.1%}, mean {fmean(gaps):.1%}; in between {fmean(unclear):.1%} on average", ""]
