"""The tokens behind a subject, where a concept is to change everywhere: the words, the end token and the padding.

They have read the subject in the layers below those that are edited, so what it means stands in them as well, and a change of
the subject's own token leaves that there. The stream of each is to be what it is for the destination's sentence, at the token
that answers to it (:mod:`..alignment`); nothing has to be searched for. (EMCID's release edits one place, the last, and
searches for its value by Safe Latent Diffusion's predictions.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .keys import Places, device_of
from .sentences import Sentences
from .tower import Tower


@dataclass(frozen=True)
class Following:
    """Tokens behind subjects, m of them.

    Args:
        places: where they stand.
        share: (m,) weights, 1 for all of a concept together, float64.
        values: (m, width) what the stream is to be there behind the last edited layer, float64.
    """

    places: Places
    share: torch.Tensor
    values: torch.Tensor


@torch.no_grad()
def following(tower: Tower, sentences: Sentences, last: int) -> Following:
    """Those of some concepts' sentences.

    Args:
        tower: as it is now.
        sentences: of the concepts.
        last: the last edited layer.
    """
    here = (sentences.weight > 0) & (sentences.rows != sentences.subject[:, None])
    number, column = here.nonzero(as_tuple=True)
    stream = tower.run(tower.embed(sentences.destination.to(device_of(tower))), 0, last + 1).cpu()
    return Following(
        Places(sentences.ids[number], sentences.rows[number, column]),
        (1 / torch.bincount(sentences.concept[number]).double())[sentences.concept[number]],
        stream[number, sentences.answers[number, column]].double(),
    )
