"""Latents of pictures of the concepts' destinations, each concept's made by the host when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import torch

from ..errors import EditError
from .concept_lines import Concept
from .concept_recipe import ConceptRecipe


class Destinations(Sequence[torch.Tensor]):
    """For each of a recipe's ``searched`` concepts, by its number, (p, channels, height, width).

    What a concept gets depends on itself, the model and the seed, not on the concepts beside it.

    Args:
        recipe: what is asked.
        model: a name that changes with the diffusion model.
        seed: of what is drawn.
        own: the user's pictures for each concept; None where there are none.
        draw: a concept and a seed of its own to latents of its destination.
        read: the user's pictures to their latents.

    Raises:
        EditError: a concept with [pictures] has none.
    """

    def __init__(
        self,
        recipe: ConceptRecipe,
        model: str,
        seed: int,
        own: Sequence[torch.Tensor | None],
        draw: Callable[[Concept, int], torch.Tensor],
        read: Callable[[torch.Tensor], torch.Tensor] = lambda latents: latents,
    ) -> None:
        self.concepts, self.own, self.draw, self.read = recipe.searched, own, draw, read
        for concept, theirs in zip(self.concepts, own, strict=True):
            if concept.pictures and theirs is None:
                raise EditError(f"There are no pictures of “{concept.source}”; give some, or leave [pictures] out of its line.")
        self.names = [
            _name(f"{model} {seed} {concept.source} {concept.destination} {recipe.templates}{_mark(concept)}", theirs)
            for concept, theirs in zip(self.concepts, own, strict=True)
        ]
        """One for each concept, that changes with its pictures and the model."""
        self.seeds = [int(name[:12], 16) for name in self.names]
        """One for each concept."""
        self.marked = [number for number, concept in enumerate(self.concepts) if concept.pictures]
        """Numbers of those that mean the user's own pictures."""
        self._known: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self.concepts)

    def __getitem__(self, number: int) -> torch.Tensor:  # type: ignore[override] # no slices
        if number not in self._known:
            theirs = self.own[number]
            drawn = self.draw(self.concepts[number], self.seeds[number]) if theirs is None else self.read(theirs)
            self._known[number] = drawn
        return self._known[number]


def sample_digest(weights: Iterable[torch.Tensor]) -> str:
    """Changes with a model, by the first numbers of each of its weights."""
    digest = hashlib.sha256()
    for tensor in weights:
        digest.update(tensor.detach().flatten()[:64].float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _mark(concept: Concept) -> str:
    return " noise" if concept.pictures else ""


def _name(told: str, pictures: torch.Tensor | None) -> str:
    digest = hashlib.sha256(told.encode())
    if pictures is not None:
        digest.update(pictures.contiguous().numpy().tobytes())
    return digest.hexdigest()
