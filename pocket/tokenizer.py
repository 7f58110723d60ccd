"""A CLIP tokenizer whose vocabulary makes one token of every word that the pocket model knows."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from .captions import FRAMES, HAT_PHRASES, PLACE_PHRASES, SEVERAL, TIME_PHRASES
from .words import ALL, ATTRIBUTES

LENGTH = 32
"""Tokens of a chunk, start and end included."""
START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
_SPLIT = r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def known_words() -> list[str]:
    """Every word that a caption may have."""
    texts = [*FRAMES, *SEVERAL, *PLACE_PHRASES.values(), *TIME_PHRASES.values(), *HAT_PHRASES.values(), "a an that is are"]
    texts += [f"{thing.name} {thing.plural}" for thing in ALL.values()]
    texts += [value for name, values in ATTRIBUTES.items() if name not in ("place", "time", "hat") for value in values]
    return sorted({word for text in texts for word in re.findall("[a-z]+", text)})


def write_tokenizer(folder: Path) -> CLIPTokenizer:
    """Make the vocabulary by byte-pair encoding, write it as CLIP's files into ``folder``, and load it."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=_WORD_END))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_SPLIT), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,
        min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix=_WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(known_words(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    pieces = [*letters, *(letter + _WORD_END for letter in letters), *("".join(merge) for merge in merges), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": LENGTH,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return CLIPTokenizer.from_pretrained(folder)


def unknown_words(prompt: str) -> dict[str, list[str]]:
    """Words of a prompt that the model was not taught, each with the nearest that it knows."""
    known = known_words()
    return {
        word: difflib.get_close_matches(word, known, 3, 0.5)
        for word in re.findall(r"[^\W\d_]+", prompt.lower())
        if word not in known
    }


def token_ids(tokenizer: CLIPTokenizer, prompts: Iterable[str]) -> list[list[int]]:
    """Ids of one chunk for each prompt, padded with the end token as in Stable Diffusion."""
    return tokenizer(list(prompts), padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]
