"""A diffusers pipeline's text encoder as the library asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from diffusers import StableDiffusionPipeline

from ..editing.encoding import Chunk, EncodedPrompt

_AT_ONCE = 256


class PipelineEncoder:
    """``encode`` for the editing library, over the CLIP text encoder of an SD 1.x or SD 2.x pipeline."""

    def __init__(self, pipe: StableDiffusionPipeline) -> None:
        self.tokenizer, self.text = pipe.tokenizer, pipe.text_encoder
        self.length = self.tokenizer.model_max_length

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts in batches; what is longer than a chunk is cut, as diffusers does."""
        prompts = list(prompts)
        ids = self.tokenizer(prompts, padding="max_length", max_length=self.length, truncation=True)["input_ids"]
        hidden = torch.cat(
            [self.text(torch.tensor(part, device=self.text.device)).last_hidden_state for part in parts(ids, _AT_ONCE)]
        )
        end = self.tokenizer.eos_token_id
        encoded = []
        for row, embeddings in zip(ids, hidden, strict=True):
            words = row.index(end) if end in row else self.length - 1
            tokens = tuple(self.tokenizer.convert_ids_to_tokens(row))
            encoded.append(EncodedPrompt(tokens, (Chunk(0, range(1, words), self.length),), embeddings))
        return encoded


def parts(items: Sequence, size: int) -> Iterator[Sequence]:
    """The items in turns of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
