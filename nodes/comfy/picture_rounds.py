"""Rounds of pictures: small batches from the graph's own model, judged; Debias Concept's are kept where a run is stopped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import comfy.sample
import torch

from ...editing.errors import EditError
from ...editing.shares import Round, Wanted, counts_of, none_shown, tune
from .picture_judges import Judge

_KEPT = 8
_unfinished: OrderedDict[Hashable, list[Round]] = OrderedDict()
"""Rounds of runs that were stopped, so that the same graph goes on where it was."""


def check_sight(model: Any, vae: Any, latent: Any) -> None:
    """Raise :class:`EditError` where a judge would have no pictures to see."""
    if model is None:
        raise EditError("A judge needs pictures that the model draws: connect the MODEL, or disconnect the judge.")
    if vae is None or latent is None:
        raise EditError("A judge needs pictures: connect a VAE and an empty latent of the size that you draw in.")


@dataclass(frozen=True)
class Sampling:
    """How the pictures of a round are drawn.

    Args:
        prompt, negative: texts.
        shape: of one latent, with its batch of one.
        pictures: of each round.
        seed: of the first round.
        steps, cfg, sampler_name, scheduler: as KSampler has them.
    """

    prompt: str
    negative: str
    shape: tuple[int, ...]
    pictures: int
    seed: int
    steps: int
    cfg: float
    sampler_name: str
    scheduler: str


class JudgedPictures:
    """Draws the pictures of the rounds and has them judged.

    Args:
        sampling: how.
        clip, vae: ComfyUI's.
        judge: who says what a picture shows.
    """

    def __init__(self, sampling: Sampling, clip: Any, vae: Any, judge: Judge) -> None:
        self.sampling, self.vae, self.judge = sampling, vae, judge
        self.positive, self.negative = (
            clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (sampling.prompt, sampling.negative)
        )

    def draw(self, model: Any, number: int) -> torch.Tensor:
        """The pictures of round ``number``: (pictures, height, width, 3) from 0 to 1."""
        how = self.sampling
        empty = torch.zeros(how.pictures, *how.shape[1:])
        empty = comfy.sample.fix_empty_latent_channels(model, empty)
        seed = how.seed + number
        samples = comfy.sample.sample(
            model, comfy.sample.prepare_noise(empty, seed), how.steps, how.cfg, how.sampler_name, how.scheduler, self.positive,
            self.negative, empty, disable_pbar=True, seed=seed,
        )  # fmt: skip
        return self.vae.decode(samples)

    def count(self, model: Any, wanted: Wanted, number: int) -> list[int]:
        """How many pictures of round ``number`` show each variant.

        Raises:
            EditError: none shows any.
        """
        counts = list(counts_of(self.judge(self.draw(model, number), wanted.variants), len(wanted.variants)))
        if not sum(counts):
            raise none_shown(self.sampling.prompt)
        return counts


def tuned(
    wanted: Wanted,
    count_shown: Callable[[tuple[float, ...], int], list[int]],
    tolerance: float,
    budget: int,
    begun: list[Round],
    key: Hashable,
    advance: Callable[[], object],
) -> list[Round]:
    """All rounds, after those of an earlier run with the same ``key`` that was stopped, if there was one.

    Args:
        wanted, count_shown, tolerance, budget: as in :func:`...editing.shares.tune`.
        begun: rounds to go on from where no run was stopped.
        key: equal for runs whose rounds may follow each other.
        advance: told after each round.
    """
    done = _unfinished.pop(key, begun)
    try:
        for so_far in tune(wanted, count_shown, tolerance, budget, done):
            done = so_far
            advance()
    except BaseException:
        if done:
            _unfinished[key] = done
            while len(_unfinished) > _KEPT:
                _unfinished.popitem(last=False)
        raise
    return done
