"""A small causal text encoder with random weights and a vocabulary of its own, so that the method runs without a download.

It knows no language: a prompt's embedding depends on its words and their order, as in CLIP, but not on what they mean.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import torch
from transformers import CLIPTextConfig, CLIPTextModel

from ..editing.encoding import Chunk, EncodedPrompt
from ..editing.errors import EditError

_LENGTH = 77
_START, _END = 0, 1
_WORDS = 8192


class BuiltInEncoder:
    """``encode`` for the library. The same ``seed`` is the same encoder.

    Args:
        seed: of the weights.
        width: of an embedding.
        layers: of the transformer.
    """

    def __init__(self, seed: int = 0, width: int = 768, layers: int = 2) -> None:
        config = CLIPTextConfig(
            vocab_size=_WORDS,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            max_position_embeddings=_LENGTH,
            bos_token_id=_START,
            eos_token_id=_END,
            pad_token_id=_END,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = CLIPTextModel(config).eval()

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encode prompts, all in one batch."""
        words = [re.findall(r"\w+|[^\w\s]", prompt.lower()) for prompt in prompts]
        for prompt, found in zip(prompts, words, strict=True):
            if len(found) > _LENGTH - 2:
                raise EditError(f"“{prompt[:40]}…” has {len(found)} words; this encoder reads {_LENGTH - 2}, so shorten it.")
        tokens = [["<start>", *found, *["<end>"] * (_LENGTH - 1 - len(found))] for found in words]
        ids = torch.tensor([[_id(token) for token in row] for row in tokens])
        hidden = self.model(input_ids=ids).last_hidden_state
        return [
            EncodedPrompt(tuple(row), (Chunk(0, range(1, 1 + len(found)), _LENGTH),), embeddings)
            for row, found, embeddings in zip(tokens, words, hidden, strict=True)
        ]


def _id(token: str) -> int:
    special = {"<start>": _START, "<end>": _END}
    return special.get(token, 2 + zlib.crc32(token.encode()) % (_WORDS - 2))
