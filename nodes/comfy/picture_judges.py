"""Judges: which of several prompts a picture shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from comfy_api.latest import io

from ...editing.errors import EditError

Judge = Callable[[torch.Tensor, Sequence[str]], list[int | None]]
"""(n, height, width, 3) pictures from 0 to 1, and prompts, to the number of the prompt that each shows, or None."""
JudgeType = io.Custom("ASSUMPTION_JUDGE")


def clip_judge(clip_vision: Any, clip: Any) -> Judge:
    """By the nearest text embedding of CLIP (Radford et al. 2021).

    Args:
        clip_vision, clip: CLIP's two halves, of one model.

    Raises:
        EditError: the two halves do not speak the same language.
    """

    def judge(pictures: torch.Tensor, prompts: Sequence[str]) -> list[int | None]:
        texts = [clip.encode_from_tokens(clip.tokenize(prompt), return_pooled=True)[1] for prompt in prompts]
        seen = clip_vision.encode_image(pictures)["image_embeds"]
        if any(text is None or text.shape[-1] != seen.shape[-1] for text in texts):
            raise EditError(
                "The CLIP and the CLIP Vision model of the judge are no pair: their embeddings have different widths; connect "
                "the text and the vision half of the same CLIP, such as ViT-L/14's."
            )
        text = torch.nn.functional.normalize(torch.cat([row.float().cpu() for row in texts]), dim=1)
        image = torch.nn.functional.normalize(seen.float().cpu(), dim=1)
        return (image @ text.T).argmax(dim=1).tolist()

    return judge


def pocket_judge() -> Judge:
    """The small classifier that comes with the pocket model, for its own pictures and captions."""
    from ...pocket.judge import load_judge, shown_prompts
    from ...pocket.scenes import SIDE

    classifier = load_judge()

    def judge(pictures: torch.Tensor, prompts: Sequence[str]) -> list[int | None]:
        if pictures.shape[1:3] != (SIDE, SIDE):
            raise EditError(
                f"The pocket judge knows pictures of {SIDE} x {SIDE} pixels, but these have {pictures.shape[2]} x "
                f"{pictures.shape[1]}; connect an empty latent of {SIDE} x {SIDE}."
            )
        return shown_prompts(classifier, pictures.movedim(-1, 1).float().cpu() * 2 - 1, prompts)

    return judge
