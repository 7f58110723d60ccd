"""Judges of balanced shares: which of several prompts a picture shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from ..editing.errors import EditError
from ..pocket.judge import load_judge, shown_prompts

Judge = Callable[[torch.Tensor, Sequence[str]], list[int | None]]
"""(n, 3, height, width) pictures from -1 to 1, and prompts, to the number of the prompt that each shows, or None."""


def pocket_judge() -> Judge:
    """The small classifier that comes with the pocket model, for its own pictures and captions."""
    return partial(shown_prompts, load_judge())


def picture_bytes(pictures: torch.Tensor) -> list[torch.Tensor]:
    """(n, 3, height, width) pictures from -1 to 1 as the n that the processors of transformers read."""
    return list(((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))


class ClipJudge:
    """A :data:`Judge` by the text that is nearest to the picture, as CLIP (Radford et al. 2021) and SigLIP have it.

    Args:
        name: the model's folder, with its processor, or its name on the hub.
        device: where it looks.

    Raises:
        EditError: there is none.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu") -> None:
        from transformers import AutoModelForZeroShotImageClassification, AutoProcessor

        try:
            self.processor = AutoProcessor.from_pretrained(name)
            self.model = AutoModelForZeroShotImageClassification.from_pretrained(name).to(device, torch.float32).eval()
        except (OSError, ValueError) as error:
            raise EditError(
                f"The judge “{name}” cannot be loaded; give the folder of a CLIP or SigLIP model with its processor, or its "
                "name on the Hugging Face Hub, such as openai/clip-vit-large-patch14."
            ) from error

    @torch.inference_mode()
    def __call__(self, pictures: torch.Tensor, prompts: Sequence[str]) -> list[int | None]:
        """The number of the prompt for each picture; there always is one."""
        images = picture_bytes(pictures)
        given = self.processor(text=list(prompts), images=images, return_tensors="pt", padding="max_length", truncation=True)
        logits: torch.Tensor = self.model(**given.to(self.model.device)).logits_per_image
        return [int(place) for place in logits.argmax(dim=1)]
