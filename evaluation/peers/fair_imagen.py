"""Our reading of FairImagen: what tells two groups of prompts apart is projected out of each prompt, and drawn anew.

Fu et al., "FairImagen: Post-Processing for Bias Mitigation in Text-to-Image Models" (NeurIPS 2025), on the fair PCA of
Kleindessner et al. (AISTATS 2023). With the pooled embeddings of prompts that name one group or the other as the rows of X, z
their group, 0 or 1, less its mean, R an orthonormal basis of the null space of z^T X, and L the strongest eigenvectors of
R^T X^T X R,

    U = R L        n = X^T z / ||X^T z||        e' = e U U^T + epsilon p n

for every token e. U U^T keeps what prompts say, but for n. p is what X says along n for a prompt drawn at random from a group
drawn at random (*empirical noise*), the same for all tokens of a picture.

What differs from the paper: its prompts name people's gender or race beside age and profession; ours name a role's hat beside
place and time. What it pools, CLIP's projection of the end token, is here the end token's embedding, which the model reads
itself. It keeps 1,800 of 2,048 directions; ours is the same share. epsilon is its 0.6, by which
its code multiplies twice, and this once. Its code also draws for the empty prompt, apart from the prompt's draw; here one draw
maps both.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from ...editing.encoding import Encode
from ...pocket.captions import PLACE_PHRASES, TIME_PHRASES, caption
from ...pocket.words import HATS, ROLES, Thing
from ..hats import even_rows, look, variant_of
from ..pocket_edits import PocketModel

KEPT = 1800 / 2048
NOISE = 0.6


@dataclass(frozen=True)
class FairImagen:
    """The map of each picture by what it has drawn.

    Args:
        kept: U, (width, directions).
        direction: n, (width,).
        said: what each prompt of the one group, and of the other, says along n.
        noise: epsilon.
    """

    kept: torch.Tensor
    direction: torch.Tensor
    said: tuple[torch.Tensor, torch.Tensor]
    noise: float = NOISE

    @classmethod
    def fit(cls, one: torch.Tensor, other: torch.Tensor, kept: float = KEPT, noise: float = NOISE) -> FairImagen:
        """From the pooled embeddings of two groups.

        Args:
            one, other: (prompts, width).
            kept: the share of the directions that U has.
            noise: epsilon.
        """
        rows = torch.cat([one, other]).double()
        group = torch.cat([torch.zeros(len(one)), torch.ones(len(other))]).double()
        direction = torch.nn.functional.normalize((group - group.mean()) @ rows, dim=0)
        beside = torch.linalg.svd(direction[None]).Vh[1:].T
        strongest = torch.linalg.eigh((rows @ beside).T @ (rows @ beside)).eigenvectors.flip(1)
        basis = beside @ strongest[:, : round(kept * len(direction))]
        said = ((one.double() @ direction).float(), (other.double() @ direction).float())
        return cls(basis.float(), direction.float(), said, noise)

    def to(self, device: torch.device | str | None = None) -> FairImagen:
        """The same elsewhere."""
        one, other = (own.to(device) for own in self.said)
        return FairImagen(self.kept.to(device), self.direction.to(device), (one, other), self.noise)

    def draw(self, seeds: Sequence[int]) -> list[float]:
        """p of each picture, by its seed."""
        drawn = []
        for seed in seeds:
            chance = random.Random(f"FairImagen {seed}")
            drawn.append(chance.choice(chance.choice(self.said).tolist()))
        return drawn

    def apply(self, embeddings: torch.Tensor, drawn: Sequence[float]) -> torch.Tensor:
        """e' of every token: (pictures, tokens, width) to the same, each by its p."""
        along = torch.tensor(drawn).to(embeddings)[:, None, None] * self.direction.to(embeddings)
        kept = self.kept.to(embeddings)
        return embeddings @ kept @ kept.T + self.noise * along


def pooled(encode: Encode, prompts: Sequence[str]) -> torch.Tensor:
    """The embedding of each prompt's end token, (prompts, width)."""
    return torch.stack([encoded.embeddings[encoded.chunks[0].words.stop] for encoded in encode(prompts)])


def group_prompts(role: Thing, hat: str) -> list[str]:
    """A role with its hat or without, at every place and time."""
    where = [f"{place} {time}" for place in PLACE_PHRASES.values() for time in TIME_PHRASES.values()]
    return [f"{variant_of(role, hat)} {own}" for own in where]


def fair_hats(encode: Encode) -> FairImagen:
    """What tells hats from none, over all roles."""
    one, other = (pooled(encode, [text for role in ROLES for text in group_prompts(role, hat)]) for hat in HATS)
    return FairImagen.fit(one, other)


def fair_roles(model: PocketModel, seeds: Sequence[int]) -> list[str]:
    """What pictures of every role show, of which no prompt names a hat."""
    own = fair_hats(model.encode)
    drawn = own.draw(seeds)
    shown = {role.name: look(model, [caption(role, {})] * len(seeds), seeds, by_chance=(own, drawn)) for role in ROLES}
    still = fmean(thing == role for role, pictures in shown.items() for thing in pictures.things)
    title = "our reading of FairImagen: no picture drawn to get there"
    return [title, "", *even_rows(shown), f"the role is shown in {still:.1%}"]
