"""A diffusers pipeline's text encoder as the library asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from diffusers import StableDiffusionPipeline

from ..editing.concepts.sentences import Tokens
from ..editing.encoding import Chunk, EncodedPrompt

_AT_ONCE = 256


class PipelineEncoder:
    """``encode`` for the editing library, over the CLIP text encoder of an SD 1.x or SD 2.x pipeline.

    Args:
        pipe: the pipeline.
        second: SDXL's second encoder and its tokenizer.
    """

    def __init__(self, pipe: StableDiffusionPipeline, second: bool = False) -> None:
        self.tokenizer = pipe.tokenizer_2 if second else pipe.tokenizer
        self.text = pipe.text_encoder_2 if second else pipe.text_encoder
        self.length = self.tokenizer.model_max_length

    def tokenize(self, prompts: Sequence[str]) -> list[Tokens]:
        """One window each; what is longer is cut, as diffusers does."""
        end = self.tokenizer.eos_token_id
        found = []
        for ids in self.tokenizer(list(prompts), padding="max_length", max_length=self.length, truncation=True)["input_ids"]:
            words = ids.index(end) if end in ids else self.length - 1
            found.append(Tokens(tuple(ids), tuple(self.tokenizer.convert_ids_to_tokens(ids)), range(1, words)))
        return found

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts in batches."""
        tokens = self.tokenize(prompts)
        ids = [entry.ids for entry in tokens]
        hidden = torch.cat(
            [self.text(torch.tensor(part, device=self.text.device)).last_hidden_state for part in parts(ids, _AT_ONCE)]
        )
        return [
            EncodedPrompt(entry.pieces, (Chunk(0, entry.words, self.length),), embeddings)
            for entry, embeddings in zip(tokens, hidden, strict=True)
        ]


def parts(items: Sequence, size: int) -> Iterator[Sequence]:
    """The items in turns of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
