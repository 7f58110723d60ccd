"""A CLIP tokenizer whose vocabulary makes one token of every word that the pocket model knows."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

from ..editing.whole_file import save_whole_text
from .captions import FRAMES, HAT_PHRASES, PLACE_PHRASES, SEVERAL, TIME_PHRASES
from .names import NAMES
from .words import ALL, ATTRIBUTES

LENGTH = 32
"""Tokens of a chunk, start and end included."""
START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"


def known_words() -> list[str]:
    """Every word that a caption may have."""
    return sorted({*_plain_words(), *NAMES})


def _plain_words() -> list[str]:
    texts = [*FRAMES, *SEVERAL, *PLACE_PHRASES.values(), *TIME_PHRASES.values(), *HAT_PHRASES.values(), "a an that is are"]
    texts += [f"{thing.name} {thing.plural}" for thing in ALL.values()]
    texts += [value for name, values in ATTRIBUTES.items() if name not in ("place", "time", "hat") for value in values]
    return sorted({word for text in texts for word in re.findall("[a-z]+", text)})


Merge = tuple[str, str]


def _merges(words: Iterable[str], earlier: Iterable[Merge] = ()) -> list[Merge]:
    """Byte-pair encoding until every word is one piece: the most frequent pair first, of equals the first in the alphabet.

    Libraries leave it to chance which of two equally frequent pairs comes first; here the same words give the same merges.
    What ``earlier`` merges make of the words comes first; of words that they leave in one piece nothing changes.
    """
    spelled = [[*word[:-1], word[-1] + _WORD_END] for word in sorted(words)]
    for left, right in earlier:
        spelled = [_merged(pieces, left, right) for pieces in spelled]
    merges = []
    while counts := Counter(pair for pieces in spelled for pair in pairwise(pieces)):
        left, right = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append((left, right))
        spelled = [_merged(pieces, left, right) for pieces in spelled]
    return merges


def _merged(pieces: list[str], left: str, right: str) -> list[str]:
    joined: list[str] = []
    for piece in pieces:
        if piece == right and joined and joined[-1] == left:
            joined[-1] = left + right
        else:
            joined.append(piece)
    return joined


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[list[Merge], list[str], int]:
    """Merges, pieces, and how many of these there are without the names, which come last."""
    plain = _merges(_plain_words())
    merges = [*plain, *_merges(NAMES, plain)]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(letter + _WORD_END for letter in letters), *("".join(merge) for merge in plain), START, END]
    count = len(dict.fromkeys(pieces))
    return merges, list(dict.fromkeys([*pieces, *("".join(merge) for merge in merges)])), count


def plain_tokens() -> int:
    """How many tokens there are before the first that only names have."""
    return _vocabulary()[2]


def write_tokenizer(folder: Path) -> CLIPTokenizer:
    """Make the vocabulary, write it as CLIP's files into ``folder``, and load it. The same words give the same files."""
    merges, pieces, _ = _vocabulary()
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    save_whole_text(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    save_whole_text(folder / "merges.txt", "\n".join(lines) + "\n")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": LENGTH,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    save_whole_text(folder / "tokenizer_config.json", json.dumps(settings, indent=2) + "\n")
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
