"""A small CLIP built here: a tokenizer with a tiny vocabulary, a random text model, and what encodes prompts with them."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

POSITIONS = 77
WORDS = (
    "a an the of in on with pack field photo image picture rose roses tulip tulips blue red green white apple apples "
    "doctor female male monster orange cat dog van gogh painting house"
)


@functools.cache
def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer for ``WORDS``; other words fall apart into pieces and letters."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    merges: dict[str, None] = {}
    for word in WORDS.split():
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            merges[f"{pieces[0]} {pieces[1]}"] = None
            pieces[:2] = ["".join(pieces[:2])]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary += [merge.replace(" ", "") for merge in merges]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        ids = {piece: number for number, piece in enumerate(dict.fromkeys(vocabulary))}
        Path(folder, "vocab.json").write_text(json.dumps(ids), "utf-8")
        Path(folder, "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
        return CLIPTokenizer.from_pretrained(folder, model_max_length=POSITIONS)


def clip_text_model(width: int = 768, seed: int = 0) -> CLIPTextModel:
    """A random text model of two layers, in float32."""
    tokenizer = clip_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=width,
        num_hidden_layers=2,
        num_attention_heads=8,
        max_position_embeddings=POSITIONS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return CLIPTextModel(config).eval()


class ClipEncoder:
    """Encodes prompts as Stable Diffusion does, one window of 77 tokens each, and keeps the calls it got."""

    def __init__(self, model: CLIPTextModel | None = None):
        self.model = clip_text_model() if model is None else model
        self.calls: list[list[str]] = []

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        self.calls.append(list(prompts))
        tokenizer = clip_tokenizer()
        ids = tokenizer(
            list(prompts), padding="max_length", max_length=POSITIONS, truncation=True, return_tensors="pt"
        ).input_ids
        embeddings = self.model(ids)[0]
        encoded = []
        for row, embedding in zip(ids, embeddings, strict=True):
            words = range(1, row.tolist().index(tokenizer.eos_token_id))
            pieces = tuple(tokenizer.convert_ids_to_tokens(row.tolist()))
            encoded.append(EncodedPrompt(pieces, (Chunk(0, words, POSITIONS),), embedding))
        return encoded
